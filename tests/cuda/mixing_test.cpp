#include "cuda/kernels/mixing.hpp"

#include <gmock/gmock.h>

#include <array>

#include "base/error.hpp"
#include "engine/aligned.hpp"
#include "kernel_test.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using testing::HasSubstr;

// The header's formulas, an element at a time. This file is compiled without contraction.
float rounded(float value) {
  return emulator::from_bf16(emulator::to_bf16(value));
}

// A source on the host; `bf16` ones hold values that bf16 has.
struct Source {
  std::vector<float> values;
  bool bf16 = false;
};

struct Case {
  std::vector<Source> sources;
  std::vector<float> row, self, gradients, momentum;
  std::vector<Segment> segments;
  OptimizerSettings optimizer;
  StatisticsMode statistics = StatisticsMode::average;
  bool adapt = true;
  std::size_t elements() const { return self.size(); }
};

struct Outcome {
  std::vector<float> target, momentum;
  std::vector<uint16_t> copy;
};

float scalar_mix(const Case& c, std::size_t i) {
  bool differences = false;
  for (const Source& source : c.sources) differences = differences || source.bf16;
  const float own = c.sources[0].values[i];
  float mixed = differences ? own : c.row[0] * own;
  for (std::size_t k = 1; k < c.sources.size(); ++k) {
    const Source& source = c.sources[k];
    if (differences) {
      const float difference = source.values[i] - (source.bf16 ? rounded(own) : own);
      mixed = mixed + c.row[k] * difference;
    } else {
      mixed = mixed + c.row[k] * source.values[i];
    }
  }
  return mixed;
}

Outcome scalar_outcome(const Case& c) {
  Outcome result{std::vector<float>(c.elements()), c.momentum, std::vector<uint16_t>(c.elements())};
  for (const Segment& segment : c.segments) {
    for (std::size_t i = segment.begin; i < segment.end; ++i) {
      float mixed = scalar_mix(c, i);
      if (segment.statistics) {
        if (c.statistics == StatisticsMode::local) mixed = c.self[i];
        mixed = mixed - (c.adapt ? segment.statistics_rate : 0.0F) * c.gradients[i];
      } else if (c.adapt) {
        const OptimizerSettings& o = c.optimizer;
        const float gradient =
            c.gradients[i] + (segment.decay || o.decay_all ? o.weight_decay : 0.0F) * c.self[i];
        const float velocity = o.momentum * c.momentum[i] + gradient;
        const float step = o.nesterov ? gradient + o.momentum * velocity : velocity;
        result.momentum[i] = velocity;
        mixed = mixed - o.learning_rate * step;
      }
      result.target[i] = mixed;
      result.copy[i] = emulator::to_bf16(mixed);
    }
  }
  return result;
}

// An array on the device that begins `shift` elements behind an aligned address, with room around it.
template <typename T>
class Shifted {
 public:
  Shifted(const Stream& stream, const std::vector<T>& values, std::size_t shift)
      : shift_(shift), size_(values.size()) {
    std::vector<T> padded(shift);
    padded.insert(padded.end(), values.begin(), values.end());
    array_ = on_device(stream, padded);
  }
  T* data() const { return array_.data() + shift_; }
  std::vector<T> get(const Stream& stream) const {
    const std::vector<T> all = on_host(stream, array_);
    return {all.begin() + static_cast<std::ptrdiff_t>(shift_), all.end()};
  }

 private:
  std::size_t shift_, size_;
  DeviceArray<T> array_;
};

struct Placement {
  std::size_t shift = 0;      // of every array, in elements
  bool self_is_first = true;  // the first source is `self`, not an equal array elsewhere
  bool target_is_self = false;
  uint32_t blocks = 0;
  bool wants_unrolled = true;
};

Outcome device_outcome(const Stream& stream, const Case& c, const Placement& place) {
  const MixingKinds kinds(stream, c.segments);
  std::vector<Shifted<float>> floats;
  std::vector<Shifted<uint16_t>> halves;
  floats.reserve(c.sources.size());
  halves.reserve(c.sources.size());
  std::vector<MixingSource> sources;
  for (const Source& source : c.sources) {
    if (source.bf16) {
      halves.emplace_back(stream, to_bf16(source.values), place.shift);
      sources.push_back({halves.back().data(), true});
    } else {
      floats.emplace_back(stream, source.values, place.shift);
      sources.push_back({floats.back().data(), false});
    }
  }
  const Shifted<float> own(stream, c.self, place.shift), gradients(stream, c.gradients, place.shift);
  const Shifted<float> momentum(stream, c.momentum, place.shift);
  const Shifted<float> target(stream, std::vector<float>(c.elements(), NAN), place.shift);
  const Shifted<uint16_t> copy(stream, std::vector<uint16_t>(c.elements(), 0xFFFF), place.shift);
  const DeviceArray<float> row = on_device(stream, c.row);
  const DeviceArray<MixingSettings> settings =
      on_device(stream, std::vector{mixing_settings(c.optimizer, c.statistics)});
  if (place.self_is_first) sources[0].data = own.data();
  const float* written = place.target_is_self ? own.data() : target.data();
  const Mixing mixing{.sources = sources,
                      .row = row.data(),
                      .settings = settings.data(),
                      .kinds = &kinds,
                      .self = own.data(),
                      .gradients = gradients.data(),
                      .momentum = momentum.data(),
                      .target = const_cast<float*>(written),
                      .copy = copy.data(),
                      .adapt = c.adapt,
                      .blocks = place.blocks};
  EXPECT_EQ(mixes_unrolled(mixing), place.wants_unrolled);
  mix(stream, mixing);
  return {place.target_is_self ? own.get(stream) : target.get(stream), momentum.get(stream),
          copy.get(stream)};
}

void expect_same_bits(const Outcome& actual, const Outcome& expected) {
  EXPECT_EQ(bits_of(actual.target), bits_of(expected.target));
  EXPECT_EQ(bits_of(actual.momentum), bits_of(expected.momentum));
  EXPECT_EQ(actual.copy, expected.copy);
}

// In four parts, as far as the length goes: parameters that decay, parameters that do not, and statistics of
// two momenta.
std::vector<Segment> segments_for(std::size_t elements) {
  constexpr std::array<Segment, 4> kKinds{Segment{0, 0, true, false, 0}, Segment{0, 0, false, false, 0},
                                          Segment{0, 0, false, true, 0.1F}, Segment{0, 0, false, true, 0.9F}};
  std::vector<Segment> segments;
  std::size_t begin = 0;
  for (std::size_t k = 0; k < kKinds.size(); ++k) {
    Segment segment = kKinds[k];
    segment.begin = begin;
    segment.end = k == 3 ? elements : elements * (k + 1) / 4 / 32 * 32;
    if (segment.begin == segment.end) continue;
    segments.push_back(segment);
    begin = segment.end;
  }
  return segments;
}

Case make_case(int neighbours, bool bf16, std::size_t elements, bool adapt, bool nesterov) {
  Case c;
  c.adapt = adapt;
  c.segments = segments_for(elements);
  c.optimizer = {.learning_rate = 0.3F,
                 .momentum = 0.9F,
                 .nesterov = nesterov,
                 .weight_decay = 0.05F,
                 .decay_all = elements % 2 == 0};
  c.statistics = neighbours % 2 == 0 ? StatisticsMode::average : StatisticsMode::local;
  const auto seed = static_cast<unsigned>(neighbours * 100000 + static_cast<int>(elements));
  for (int k = 0; k <= neighbours; ++k) {
    Source source{random_floats(elements, seed + static_cast<unsigned>(k) * 17), bf16 && k > 0};
    if (source.bf16) source.values = from_bf16(to_bf16(source.values));
    c.sources.push_back(source);
  }
  c.row = random_floats(c.sources.size(), seed + 1, 0, 1);
  c.self = c.sources[0].values;
  c.gradients = random_floats(elements, seed + 2);
  c.momentum = random_floats(elements, seed + 3);
  return c;
}

// Lengths about the edges of a vector, of a chunk of kinds, of a tile of 1024 and of one of 2048.
constexpr std::array<std::size_t, 12> kLengths{1, 3, 4, 5, 31, 32, 33, 1023, 1025, 2047, 2048, 2051};

// Neighbours, slots in bf16, optimizer step.
using DegreeAndType = std::tuple<int, bool, bool>;
class MixingOfDegree : public KernelTestWith<DegreeAndType> {};

TEST_P(MixingOfDegree, HasTheBitsOfAScalarLoopAtEveryLength) {
  const auto [neighbours, bf16, adapt] = GetParam();
  for (const std::size_t elements : kLengths) {
    SCOPED_TRACE(elements);
    const Case c = make_case(neighbours, bf16, elements, adapt, elements % 4 == 3);
    expect_same_bits(device_outcome(stream(), c, {.wants_unrolled = neighbours <= 8}), scalar_outcome(c));
  }
}

TEST_P(MixingOfDegree, HasTheSameBitsAtEveryAlignment) {
  const auto [neighbours, bf16, adapt] = GetParam();
  const Case c = make_case(neighbours, bf16, 333, adapt, true);
  const Outcome expected = scalar_outcome(c);
  for (const std::size_t shift : {1, 2, 3, 4, 5}) {
    SCOPED_TRACE(shift);
    expect_same_bits(
        device_outcome(stream(), c, {.shift = shift, .wants_unrolled = neighbours <= 8 && shift % 4 == 0}),
        expected);
  }
}

TEST_P(MixingOfDegree, MayOverwriteSelfAndTakesSelfFromElsewhere) {
  const auto [neighbours, bf16, adapt] = GetParam();
  const Case c = make_case(neighbours, bf16, 1500, adapt, false);
  const Outcome expected = scalar_outcome(c);
  expect_same_bits(device_outcome(stream(), c, {.target_is_self = true, .wants_unrolled = neighbours <= 8}),
                   expected);
  expect_same_bits(device_outcome(stream(), c, {.self_is_first = false, .wants_unrolled = false}), expected);
}

INSTANTIATE_TEST_SUITE_P(Degrees, MixingOfDegree,
                         testing::Combine(testing::Values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20), testing::Bool(),
                                          testing::Bool()),
                         [](const testing::TestParamInfo<DegreeAndType>& of) {
                           return std::to_string(std::get<0>(of.param)) +
                                  (std::get<1>(of.param) ? "Bf16" : "Fp32") +
                                  (std::get<2>(of.param) ? "Adapting" : "");
                         });

using MixingTest = KernelTest;

TEST_F(MixingTest, HasTheSameBitsInEveryOrderAndOnEveryGrid) {
  const Case c = make_case(2, false, 9000, true, true);
  const Outcome expected = scalar_outcome(c);
  in_every_order([&] {
    for (const uint32_t blocks : {0U, 1U, 3U}) {
      expect_same_bits(device_outcome(stream(), c, {.blocks = blocks}), expected);
    }
  });
}

TEST_F(MixingTest, TakesSourcesOfBothTypesInOneRow) {
  Case c = make_case(4, true, 700, true, false);
  c.sources[2] = {random_floats(700, 5), false};
  expect_same_bits(device_outcome(stream(), c, {.wants_unrolled = false}), scalar_outcome(c));
}

TEST_F(MixingTest, LeavesWorkersThatAgreeAsTheyAreWhenSlotsAreInBf16) {
  Case c = make_case(3, true, 640, false, false);
  c.segments = {{0, 640, true, false, 0}};
  for (std::size_t k = 1; k < c.sources.size(); ++k) {
    c.sources[k].values = from_bf16(to_bf16(c.self));
  }
  EXPECT_EQ(bits_of(device_outcome(stream(), c, {}).target), bits_of(c.self));
}

// The whole way: a network's segments, against the CPU engine's pass.
TEST_F(MixingTest, HasTheBitsOfTheCpuEngine) {
  const Network network = make_network("wrn-10-1-release", 10);
  for (const bool decay_all : {false, true}) {
    for (const StatisticsMode statistics : {StatisticsMode::local, StatisticsMode::average}) {
      Case c = make_case(3, false, network.elements, true, true);
      c.segments = segments_of(network);
      c.statistics = statistics;
      c.optimizer.decay_all = decay_all;
      std::vector<Term> terms;
      std::vector<AlignedBuffer> aligned;
      const auto place = [&](const std::vector<float>& values) {
        aligned.emplace_back(values.size() * sizeof(float));
        std::ranges::copy(values, aligned.back().as<float>().begin());
        return aligned.back().as<float>();
      };
      for (std::size_t k = 0; k < c.sources.size(); ++k)
        terms.push_back({c.row[k], place(c.sources[k].values)});
      const auto target = place(c.self), gradients = place(c.gradients), momentum = place(c.momentum);
      alder::combine(c.segments,
                     {.terms = terms,
                      .self = terms[0].source,
                      .target = target,
                      .optimizer = c.optimizer,
                      .statistics = statistics},
                     gradients, momentum, 1);
      const Outcome actual = device_outcome(stream(), c, {});
      EXPECT_EQ(bits_of(actual.target), bits_of({target.begin(), target.end()}));
      EXPECT_EQ(bits_of(actual.momentum), bits_of({momentum.begin(), momentum.end()}));
    }
  }
}

// In parts, as buckets arrive.
TEST_F(MixingTest, GoesThroughAnArrayInParts) {
  const Case c = make_case(2, false, 3000, true, false);
  const Outcome expected = scalar_outcome(c);
  const MixingKinds kinds(stream(), c.segments);
  std::vector<DeviceArray<float>> arrays;
  std::vector<MixingSource> sources;
  for (const Source& source : c.sources) {
    arrays.push_back(on_device(stream(), source.values));
    sources.push_back({arrays.back().data()});
  }
  const auto gradients = on_device(stream(), c.gradients), momentum = on_device(stream(), c.momentum);
  const auto row = on_device(stream(), c.row);
  const auto settings = on_device(stream(), std::vector{mixing_settings(c.optimizer, c.statistics)});
  const DeviceArray<float> target(c.elements(), "target");
  Mixing mixing{.sources = sources,
                .row = row.data(),
                .settings = settings.data(),
                .kinds = &kinds,
                .self = arrays[0].data(),
                .gradients = gradients.data(),
                .momentum = momentum.data(),
                .target = target.data()};
  for (const auto& [begin, end] : {std::pair{1024, 2048}, std::pair{2048, 0}, std::pair{0, 1024}}) {
    mixing.begin = static_cast<std::size_t>(begin);
    mixing.end = static_cast<std::size_t>(end);
    mix(stream(), mixing);
  }
  EXPECT_EQ(bits_of(on_host(stream(), target)), bits_of(expected.target));
  EXPECT_EQ(bits_of(on_host(stream(), momentum)), bits_of(expected.momentum));
}

TEST_F(MixingTest, SaysWhatItCannotDo) {
  const MixingKinds kinds(stream(), std::vector<Segment>{{0, 100, true, false, 0}});
  Mixing mixing{};
  mixing.kinds = &kinds;
  const auto run = [&] { mix(stream(), mixing); };
  EXPECT_THAT(run, testing::ThrowsMessage<Error>(HasSubstr("no sources")));
  std::vector<MixingSource> sources(kMaxMixingSources + 1);
  mixing.sources = sources;
  EXPECT_THAT(run, testing::ThrowsMessage<Error>(HasSubstr("129 sources; one pass takes at most 128")));
  mixing.sources = {sources.data(), 1};
  sources[0].bf16 = true;
  EXPECT_THAT(run, testing::ThrowsMessage<Error>(HasSubstr("the first source is in bf16")));
  sources[0].bf16 = false;
  mixing.begin = 16;
  EXPECT_THAT(run, testing::ThrowsMessage<Error>(HasSubstr("elements 16 to 100")));
  EXPECT_THAT(
      [&] {
        MixingKinds(stream(), std::vector<Segment>{{16, 32, true, false, 0}});
      },
      testing::ThrowsMessage<Error>(HasSubstr("begins at element 16")));
}

}  // namespace
}  // namespace alder::ALDER_BACKEND
