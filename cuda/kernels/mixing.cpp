#include "cuda/kernels/mixing.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using isa::Cache;
using isa::F32x4;
using isa::U32x2;

constexpr uint32_t kThreads = 256;
constexpr int kMaxDegree = 8;      // of the unrolled kernels
constexpr std::size_t kWidth = 4;  // elements of a vector: 16 bytes of float32, 8 of bf16, so that a warp's
                                   // access to either is contiguous

struct Bf16 {};  // names the type of slots; the values are uint16_t

// Everything but the sources. Arrays begin at the first element to be treated.
struct Pass {
  const float* row;
  const MixingSettings* settings;
  const uint8_t* chunks;
  const float* rates;
  const float* self;
  const float* gradients;
  float* momentum;
  float* target;
  uint16_t* copy;
  std::size_t elements;
};

template <int N>
struct Slots {
  const void* data[N == 0 ? 1 : N];
};

struct ManySources {
  MixingSource each[kMaxMixingSources];
  int count;
  bool differences;  // a source is in bf16
};

// ---- one element

// What the optimizer does to an element that is `mixed` so far.
ALDER_DEVICE float adapted(const MixingSettings& rule, bool decays, float mixed, float self, float gradient,
                           float& velocity) {
  const float decay = decays || rule.decay_all != 0 ? rule.weight_decay : 0.0F;
  const float whole = isa::add(gradient, isa::multiply(decay, self));
  velocity = isa::add(isa::multiply(rule.momentum, velocity), whole);
  const float step = rule.nesterov != 0 ? isa::add(whole, isa::multiply(rule.momentum, velocity)) : velocity;
  return isa::add(mixed, -isa::multiply(rule.learning_rate, step));
}

ALDER_DEVICE float statistics_step(const MixingSettings& rule, float rate, float mixed, float self,
                                   float gradient) {
  const float begin = rule.statistics_local != 0 ? self : mixed;
  return isa::add(begin, -isa::multiply(rate, gradient));
}

// ---- one vector: 4 elements, or 1 at the end of the arrays and where they are not aligned

template <int N>
using Floats = isa::Vector<float, N>;

template <int N>
ALDER_DEVICE void store_bf16(uint16_t* to, const Floats<N>& values) {
  if constexpr (N == 1) {
    *to = isa::to_bf16(values.v[0]);
  } else {
    isa::store(to, U32x2{isa::pack_bf16(values.v[0], values.v[1]), isa::pack_bf16(values.v[2], values.v[3])});
  }
}

template <int N>
ALDER_DEVICE Floats<N> load_bf16(const uint16_t* from) {
  if constexpr (N == 1) {
    return {isa::from_bf16(*from)};
  } else {
    const U32x2 pairs = isa::load<U32x2, Cache::streaming>(from);
    return {isa::low_bf16(pairs.v[0]), isa::high_bf16(pairs.v[0]), isa::low_bf16(pairs.v[1]),
            isa::high_bf16(pairs.v[1])};
  }
}

ALDER_DEVICE float rounded(float value) {
  return isa::from_bf16(isa::to_bf16(value));
}

// mixed += weight * source, or, on differences, weight * (source - own).
template <int N>
ALDER_DEVICE void add_difference(Floats<N>& mixed, float weight, const Floats<N>& source,
                                 const Floats<N>& own, bool bf16) {
  ALDER_UNROLL
  for (int i = 0; i < N; ++i) {
    const float from = bf16 ? rounded(own.v[i]) : own.v[i];
    mixed.v[i] = isa::add(mixed.v[i], isa::multiply(weight, isa::add(source.v[i], -from)));
  }
}
template <int N>
ALDER_DEVICE void add_product(Floats<N>& mixed, float weight, const Floats<N>& source) {
  ALDER_UNROLL
  for (int i = 0; i < N; ++i) mixed.v[i] = isa::add(mixed.v[i], isa::multiply(weight, source.v[i]));
}
template <int N>
ALDER_DEVICE Floats<N> product(float weight, const Floats<N>& source) {
  Floats<N> result;
  ALDER_UNROLL
  for (int i = 0; i < N; ++i) result.v[i] = isa::multiply(weight, source.v[i]);
  return result;
}

// Gradient and momentum of a vector, loaded together with the sources. Unused parts are not loaded.
template <int N, bool kAdapt>
struct Step {
  Floats<N> gradient, velocity;
  uint8_t kind;

  ALDER_DEVICE void load(const Pass& pass, std::size_t at) {
    kind = pass.chunks[at / MixingKinds::kChunk];
    if constexpr (kAdapt) {
      gradient = isa::load<Floats<N>, Cache::streaming>(pass.gradients + at);
      velocity = isa::load<Floats<N>, Cache::streaming>(pass.momentum + at);
    }
  }
};

// The update of a vector that is `mixed`, and the writing of all results.
template <int N, bool kAdapt>
ALDER_DEVICE void write_results(const Pass& pass, const MixingSettings& rule, std::size_t at, Floats<N> mixed,
                                const Floats<N>& self, Step<N, kAdapt>& step) {
  if (step.kind >= MixingKinds::kStatistics) {
    const float rate = kAdapt ? pass.rates[step.kind - MixingKinds::kStatistics] : 0.0F;
    if constexpr (!kAdapt) step.gradient = isa::load<Floats<N>, Cache::streaming>(pass.gradients + at);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) {
      mixed.v[i] = statistics_step(rule, rate, mixed.v[i], self.v[i], step.gradient.v[i]);
    }
  } else if constexpr (kAdapt) {
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) {
      mixed.v[i] = adapted(rule, step.kind == MixingKinds::kDecays, mixed.v[i], self.v[i], step.gradient.v[i],
                           step.velocity.v[i]);
    }
    isa::store<Cache::streaming>(pass.momentum + at, step.velocity);
  }
  isa::store(pass.target + at, mixed);
  if (pass.copy != nullptr) store_bf16<N>(pass.copy + at, mixed);
}

// ---- degrees 0 .. 8, self being the first source

// What a thread has under way: all loads of a vector are issued before the first value is used.
template <int kDegree, typename Slot, int N, bool kAdapt>
struct Unrolled {
  static constexpr bool kBf16 = std::is_same_v<Slot, Bf16>;
  Floats<N> own;
  Floats<N> sources[kDegree == 0 ? 1 : kDegree];
  Step<N, kAdapt> step;

  ALDER_DEVICE void load(const Pass& pass, const Slots<kDegree>& slots, std::size_t at) {
    own = isa::load<Floats<N>>(pass.self + at);
    ALDER_UNROLL
    for (int k = 0; k < kDegree; ++k) {
      if constexpr (kBf16) {
        sources[k] = load_bf16<N>(static_cast<const uint16_t*>(slots.data[k]) + at);
      } else {
        sources[k] = isa::load<Floats<N>, Cache::streaming>(static_cast<const float*>(slots.data[k]) + at);
      }
    }
    step.load(pass, at);
  }

  ALDER_DEVICE void finish(const Pass& pass, const MixingSettings& rule, const float (&row)[kDegree + 1],
                           std::size_t at) {
    Floats<N> mixed = kBf16 ? own : product(row[0], own);
    ALDER_UNROLL
    for (int k = 0; k < kDegree; ++k) {
      if constexpr (kBf16) {
        add_difference(mixed, row[k + 1], sources[k], own, true);
      } else {
        add_product(mixed, row[k + 1], sources[k]);
      }
    }
    write_results(pass, rule, at, mixed, own, step);
  }
};

// Vectors that a thread has under way: two, while their registers leave room for two blocks.
constexpr int vectors_at_once(int degree) {
  return degree <= 4 ? 2 : 1;
}
constexpr std::size_t tile_vectors(int degree) {
  return kThreads * std::size_t(vectors_at_once(degree));
}

template <int kDegree, typename Slot, bool kAdapt>
ALDER_KERNEL(kThreads, 2)
mixing_kernel(ALDER_PARAMETER Pass pass, ALDER_PARAMETER Slots<kDegree> slots) {
  constexpr int kVectors = vectors_at_once(kDegree);
  const MixingSettings rule = *pass.settings;
  float row[kDegree + 1];
  ALDER_UNROLL
  for (int k = 0; k <= kDegree; ++k) row[k] = pass.row[k];

  const auto mix_one = [&]<int N>(Unrolled<kDegree, Slot, N, kAdapt>&& vector, std::size_t at) {
    vector.load(pass, slots, at);
    vector.finish(pass, rule, row, at);
  };
  const std::size_t vectors = pass.elements / kWidth;
  for (std::size_t tile = isa::block_x(); tile * tile_vectors(kDegree) < vectors; tile += isa::blocks_x()) {
    const std::size_t first = tile * tile_vectors(kDegree) + isa::thread();
    if ((tile + 1) * tile_vectors(kDegree) <= vectors) {
      Unrolled<kDegree, Slot, kWidth, kAdapt> under_way[kVectors];
      ALDER_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        under_way[i].load(pass, slots, (first + std::size_t(i) * kThreads) * kWidth);
      }
      ALDER_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        under_way[i].finish(pass, rule, row, (first + std::size_t(i) * kThreads) * kWidth);
      }
    } else {
      for (std::size_t vector = first; vector < vectors; vector += kThreads) {
        mix_one(Unrolled<kDegree, Slot, kWidth, kAdapt>(), vector * kWidth);
      }
    }
  }
  const std::size_t at = vectors * kWidth + isa::thread();
  if (isa::block_x() == 0 && at < pass.elements) mix_one(Unrolled<kDegree, Slot, 1, kAdapt>(), at);
}

// ---- any number of sources, any order, any alignment (N = 1)

template <int N>
ALDER_DEVICE Floats<N> load_source(const MixingSource& source, std::size_t at) {
  if (source.bf16) return load_bf16<N>(static_cast<const uint16_t*>(source.data) + at);
  return isa::load<Floats<N>, Cache::streaming>(static_cast<const float*>(source.data) + at);
}

template <int N, bool kAdapt>
ALDER_DEVICE void mix_vector(const Pass& pass, const ManySources& sources, const MixingSettings& rule,
                             std::size_t at) {
  Step<N, kAdapt> step;
  step.load(pass, at);
  const Floats<N> self = isa::load<Floats<N>>(pass.self + at);
  const Floats<N> own = load_source<N>(sources.each[0], at);
  Floats<N> mixed = sources.differences ? own : product(pass.row[0], own);
  for (int k = 1; k < sources.count; ++k) {
    const MixingSource& source = sources.each[k];
    const Floats<N> values = load_source<N>(source, at);
    if (sources.differences) {
      add_difference(mixed, pass.row[k], values, own, source.bf16);
    } else {
      add_product(mixed, pass.row[k], values);
    }
  }
  write_results(pass, rule, at, mixed, self, step);
}

template <int N, bool kAdapt>
ALDER_KERNEL(kThreads, 2)
mixing_loop_kernel(ALDER_PARAMETER Pass pass, ALDER_PARAMETER ManySources sources) {
  const MixingSettings rule = *pass.settings;
  const std::size_t vectors = pass.elements / N, stride = std::size_t(isa::blocks_x()) * kThreads;
  for (std::size_t i = std::size_t(isa::block_x()) * kThreads + isa::thread(); i < vectors; i += stride) {
    mix_vector<N, kAdapt>(pass, sources, rule, i * N);
  }
  const std::size_t at = vectors * N + isa::thread();
  if constexpr (N > 1) {
    if (isa::block_x() == 0 && at < pass.elements) mix_vector<1, kAdapt>(pass, sources, rule, at);
  }
}

// ---- launchers

uint32_t grid_of(const Mixing& mixing, std::size_t elements, std::size_t elements_of_tile) {
  const std::size_t tiles = std::max<std::size_t>((elements + elements_of_tile - 1) / elements_of_tile, 1);
  return static_cast<uint32_t>(mixing.blocks == 0 ? tiles : std::min<std::size_t>(tiles, mixing.blocks));
}

std::size_t end_of(const Mixing& mixing) {
  return mixing.end == 0 ? mixing.kinds->elements() : mixing.end;
}

const void* source_at(const MixingSource& source, std::size_t element) {
  return static_cast<const std::byte*>(source.data) +
         element * (source.bf16 ? sizeof(uint16_t) : sizeof(float));
}

Pass pass_of(const Mixing& mixing) {
  const std::size_t begin = mixing.begin;
  return {.row = mixing.row,
          .settings = mixing.settings,
          .chunks = mixing.kinds->chunks() + begin / MixingKinds::kChunk,
          .rates = mixing.kinds->rates(),
          .self = mixing.self + begin,
          .gradients = mixing.gradients + begin,
          .momentum = mixing.momentum + begin,
          .target = mixing.target + begin,
          .copy = mixing.copy == nullptr ? nullptr : mixing.copy + begin,
          .elements = end_of(mixing) - begin};
}

template <int kDegree, typename Slot, bool kAdapt>
void launch_unrolled(const Stream& stream, const Mixing& mixing) {
  Slots<kDegree> slots{};
  for (int k = 0; k < kDegree; ++k) {
    slots.data[k] = source_at(mixing.sources[std::size_t(k) + 1], mixing.begin);
  }
  const Pass pass = pass_of(mixing);
  launch(stream,
         {.name = "mixing",
          .grid = {grid_of(mixing, pass.elements, tile_vectors(kDegree) * kWidth)},
          .threads = kThreads},
         mixing_kernel<kDegree, Slot, kAdapt>, pass, slots);
}

template <int N, bool kAdapt>
void launch_loop(const Stream& stream, const Mixing& mixing) {
  ManySources sources{};
  sources.count = static_cast<int>(mixing.sources.size());
  for (std::size_t k = 0; k < mixing.sources.size(); ++k) {
    const MixingSource& source = mixing.sources[k];
    sources.each[k] = {source_at(source, mixing.begin), source.bf16};
    sources.differences = sources.differences || source.bf16;
  }
  const Pass pass = pass_of(mixing);
  launch(stream,
         {.name = "mixing over a list",
          .grid = {grid_of(mixing, pass.elements, kThreads * N)},
          .threads = kThreads},
         mixing_loop_kernel<N, kAdapt>, pass, sources);
}

using Launcher = void (*)(const Stream&, const Mixing&);

template <typename Slot, bool kAdapt, int... degrees>
Launcher unrolled_launcher(std::size_t degree, std::integer_sequence<int, degrees...>) {
  static constexpr std::array<Launcher, sizeof...(degrees)> kTable{launch_unrolled<degrees, Slot, kAdapt>...};
  return kTable[degree];
}

template <bool kAdapt>
Launcher unrolled_launcher(const Mixing& mixing) {
  using Degrees = std::make_integer_sequence<int, kMaxDegree + 1>;
  const std::size_t degree = mixing.sources.size() - 1;
  const bool bf16 = degree > 0 && mixing.sources[1].bf16;
  return bf16 ? unrolled_launcher<Bf16, kAdapt>(degree, Degrees{})
              : unrolled_launcher<float, kAdapt>(degree, Degrees{});
}

bool aligned(const void* address, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

// Whether every access to four elements is aligned.
bool all_aligned(const Mixing& mixing) {
  constexpr std::size_t kFloats = kWidth * sizeof(float), kHalves = kWidth * sizeof(uint16_t);
  return std::ranges::all_of(mixing.sources,
                             [](const MixingSource& source) {
                               return aligned(source.data, source.bf16 ? kHalves : kFloats);
                             }) &&
         aligned(mixing.self, kFloats) && aligned(mixing.gradients, kFloats) &&
         aligned(mixing.momentum, kFloats) && aligned(mixing.target, kFloats) &&
         aligned(mixing.copy, kHalves);
}

void check(const Mixing& mixing) {
  if (mixing.sources.empty()) fail("mixing: no sources; a row holds at least the worker itself");
  if (mixing.sources.size() > kMaxMixingSources) {
    fail("mixing: {} sources; one pass takes at most {}", mixing.sources.size(), kMaxMixingSources);
  }
  if (mixing.sources.front().bf16)
    fail("mixing: the first source is in bf16; it must be the worker's own model");
  if (mixing.begin % MixingKinds::kChunk != 0 || mixing.begin > end_of(mixing) ||
      end_of(mixing) > mixing.kinds->elements()) {
    fail("mixing: elements {} to {} of an array of {}; a part begins at a multiple of {}", mixing.begin,
         end_of(mixing), mixing.kinds->elements(), MixingKinds::kChunk);
  }
}

}  // namespace

MixingSettings mixing_settings(const OptimizerSettings& optimizer, StatisticsMode statistics) {
  return {.learning_rate = optimizer.learning_rate,
          .momentum = optimizer.momentum,
          .weight_decay = optimizer.weight_decay,
          .nesterov = optimizer.nesterov,
          .decay_all = optimizer.decay_all,
          .statistics_local = statistics == StatisticsMode::local};
}

MixingKinds::MixingKinds(const Stream& stream, std::span<const Segment> segments)
    : elements_(segments.empty() ? 0 : segments.back().end) {
  std::vector<uint8_t> chunks((elements_ + kChunk - 1) / kChunk);
  std::vector<float> rates;
  for (const Segment& segment : segments) {
    if (segment.begin % kChunk != 0) {
      fail("mixing: a tensor begins at element {}, which is not a multiple of {}", segment.begin, kChunk);
    }
    uint8_t kind = segment.decay ? kDecays : kPlain;
    if (segment.statistics) {
      const auto known = std::find(rates.begin(), rates.end(), segment.statistics_rate);
      const std::ptrdiff_t index = known - rates.begin();
      if (known == rates.end()) rates.push_back(segment.statistics_rate);
      if (rates.size() > 0xFF - kStatistics)
        fail("mixing: more than {} momenta of statistics", rates.size() - 1);
      kind = static_cast<uint8_t>(kStatistics + index);
    }
    std::fill(chunks.begin() + static_cast<std::ptrdiff_t>(segment.begin / kChunk),
              chunks.begin() + static_cast<std::ptrdiff_t>((segment.end + kChunk - 1) / kChunk), kind);
  }
  chunks_ = DeviceArray<uint8_t>(chunks.size(), "kinds of parameters");
  chunks_.upload(stream, {chunks.data(), chunks.size()});
  rates_ = DeviceArray<float>(rates.size(), "momenta of statistics");
  rates_.upload(stream, {rates.data(), rates.size()});
}

bool mixes_unrolled(const Mixing& mixing) {
  const auto neighbours = mixing.sources.subspan(1);
  return mixing.sources.size() <= kMaxDegree + 1 && mixing.sources[0].data == mixing.self &&
         all_aligned(mixing) &&
         std::all_of(neighbours.begin(), neighbours.end(),
                     [&](const MixingSource& source) { return source.bf16 == neighbours.front().bf16; });
}

void mix(const Stream& stream, const Mixing& mixing) {
  check(mixing);
  if (mixing.begin == end_of(mixing)) return;
  if (mixes_unrolled(mixing)) {
    const Launcher start = mixing.adapt ? unrolled_launcher<true>(mixing) : unrolled_launcher<false>(mixing);
    start(stream, mixing);
  } else if (all_aligned(mixing)) {
    mixing.adapt ? launch_loop<kWidth, true>(stream, mixing) : launch_loop<kWidth, false>(stream, mixing);
  } else {
    mixing.adapt ? launch_loop<1, true>(stream, mixing) : launch_loop<1, false>(stream, mixing);
  }
}

}  // namespace alder::ALDER_BACKEND
