#include "engine/combine.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "engine/parallel.hpp"
#include "engine/simd.hpp"

namespace alder {
namespace {

constexpr int kUnrolledTerms = 9;  // self and eight neighbours; more go through a loop over the terms

// Above this the target does not stay in cache until somebody reads it, and fetching its lines before
// overwriting them would be a quarter more traffic.
constexpr std::size_t kStreamingElements = std::size_t{1} << 21;

// Stretches of one thread start at whole cache-line pairs of a page.
constexpr int64_t kGrain = 1024;

struct Pass {
  std::span<const Term> terms;
  const float* self;
  float* target;
  const float* gradients;
  float* momentum;
  float learning_rate, momentum_factor, decay;
};

template <bool stream>
[[gnu::always_inline]] inline void write(float* to, Floats value) {
#ifdef __AVX512F__
  if constexpr (stream) {
    __m512 whole;
    std::memcpy(&whole, &value, sizeof whole);
    _mm512_stream_ps(to, whole);
    return;
  }
#endif
  store(to, value);
}

// sum_k weight_k * source_k at `at`, in the order of the terms. count 0: as many as the span has.
template <int count>
[[gnu::always_inline]] inline Floats weighted_sum(const Term* terms, std::size_t terms_count,
                                                  std::size_t at) {
  Floats sum = terms[0].weight * load(terms[0].source.data() + at);
  const std::size_t end = count == 0 ? terms_count : count;
#pragma GCC unroll 9
  for (std::size_t k = 1; k < end; ++k) sum += terms[k].weight * load(terms[k].source.data() + at);
  return sum;
}

enum class Update { none, plain, nesterov };

template <int count, Update update, bool stream>
void mix(const Pass& pass, std::size_t begin, std::size_t end) {
  // A copy on the stack: stores to the target cannot change it, so it stays in registers.
  std::array<Term, kUnrolledTerms> own;
  if constexpr (count != 0) std::copy_n(pass.terms.begin(), count, own.begin());
  const Term* terms = count == 0 ? pass.terms.data() : own.data();
  const Pass p = pass;
  for (std::size_t at = begin; at < end; at += kLanes) {
    Floats mixed = weighted_sum<count>(terms, p.terms.size(), at);
    if constexpr (update != Update::none) {
      const Floats gradient = load(p.gradients + at) + p.decay * load(p.self + at);
      const Floats velocity = p.momentum_factor * load(p.momentum + at) + gradient;
      const Floats step = update == Update::nesterov ? gradient + p.momentum_factor * velocity : velocity;
      write<stream>(p.momentum + at, velocity);
      mixed -= p.learning_rate * step;
    }
    write<stream>(p.target + at, mixed);
  }
}

// target = sum - rate * gradient: the running mean of the statistics.
void mix_statistics(const Pass& pass, float rate, std::size_t begin, std::size_t end) {
  for (std::size_t at = begin; at < end; at += kLanes) {
    const Floats mixed = weighted_sum<0>(pass.terms.data(), pass.terms.size(), at);
    store(pass.target + at, mixed - rate * load(pass.gradients + at));
  }
}

using Mix = void (*)(const Pass&, std::size_t, std::size_t);

template <Update update, bool stream, std::size_t... counts>
Mix choose(std::size_t terms, std::index_sequence<counts...>) {
  static constexpr std::array<Mix, sizeof...(counts)> kTable{
      mix<static_cast<int>(counts), update, stream>...};
  return kTable[terms < kTable.size() ? terms : 0];
}

template <Update update>
Mix choose(std::size_t terms, bool stream) {
  using Counts = std::make_index_sequence<kUnrolledTerms + 1>;
  return stream ? choose<update, true>(terms, Counts{}) : choose<update, false>(terms, Counts{});
}

bool aligned(const float* address) {
  return reinterpret_cast<uintptr_t>(address) % (kLanes * sizeof(float)) == 0;
}

void check(const Combination& combination, std::size_t elements, std::size_t gradients,
           std::size_t momentum) {
  const auto check_length = [elements](const char* what, std::size_t length) {
    if (length != elements) fail("combine: {} has {} values instead of {}", what, length, elements);
  };
  if (combination.terms.empty()) fail("combine: no terms; a row holds at least the worker itself");
  for (const Term& term : combination.terms) check_length("a source", term.source.size());
  check_length("the target", combination.target.size());
  check_length("self", combination.self.size());
  check_length("the gradient array", gradients);
  check_length("the momentum array", momentum);
}

}  // namespace

std::vector<Segment> segments_of(const Network& network) {
  std::vector<Segment> segments;
  // A tensor's stretch reaches to the next tensor: the padding between is zero and stays zero.
  const auto append = [&](const Segment& next) {
    if (!segments.empty()) {
      Segment& last = segments.back();
      last.end = next.begin;
      if (last.decay == next.decay && last.statistics == next.statistics &&
          last.statistics_rate == next.statistics_rate) {
        last.end = next.end;
        return;
      }
    }
    segments.push_back(next);
  };
  for (const Tensor& tensor : network.parameters) {
    append({tensor.offset, tensor.offset + tensor.elements, tensor.decay, false, 0});
  }
  std::vector<float> rates(network.statistics.size());
  for (const Layer& layer : network.layers) {
    if (layer.op != Op::batch_norm) continue;
    for (const int index : {layer.running_mean, layer.running_var}) {
      rates[static_cast<std::size_t>(index)] = static_cast<float>(layer.statistics_momentum);
    }
  }
  for (std::size_t i = 0; i < network.statistics.size(); ++i) {
    const Tensor& tensor = network.statistics[i];
    append({tensor.offset, tensor.offset + tensor.elements, false, true, rates[i]});
  }
  if (!segments.empty()) segments.back().end = network.elements;
  return segments;
}

void combine(const std::vector<Segment>& segments, const Combination& combination,
             std::span<const float> gradients, std::span<float> momentum, int threads) {
  const std::size_t elements = segments.empty() ? 0 : segments.back().end;
  check(combination, elements, gradients.size(), momentum.size());
  const OptimizerSettings& optimizer = combination.optimizer;
  const Update update = !combination.adapt   ? Update::none
                        : optimizer.nesterov ? Update::nesterov
                                             : Update::plain;
  const bool stream =
      elements >= kStreamingElements && aligned(combination.target.data()) && aligned(momentum.data());
  const std::size_t count = combination.terms.size();
  const Mix mix = update == Update::none    ? choose<Update::none>(count, stream)
                  : update == Update::plain ? choose<Update::plain>(count, stream)
                                            : choose<Update::nesterov>(count, stream);
  const Term self{1.0F, combination.self};
  const Pass pass{combination.terms, combination.self.data(), combination.target.data(), gradients.data(),
                  momentum.data(),   optimizer.learning_rate, optimizer.momentum,        0};
  parallel_ranges(threads, static_cast<int64_t>(elements), kGrain, [&](int64_t first, int64_t last) {
    for (const Segment& segment : segments) {
      const std::size_t begin = std::max(segment.begin, static_cast<std::size_t>(first));
      const std::size_t end = std::min(segment.end, static_cast<std::size_t>(last));
      if (begin >= end) continue;
      Pass part = pass;
      if (segment.statistics) {
        if (combination.statistics == StatisticsMode::local) part.terms = {&self, 1};
        mix_statistics(part, combination.adapt ? segment.statistics_rate : 0.0F, begin, end);
      } else {
        part.decay = segment.decay || optimizer.decay_all ? optimizer.weight_decay : 0.0F;
        mix(part, begin, end);
      }
    }
#ifdef __AVX512F__
    if (stream) _mm_sfence();  // other threads read the target after this call
#endif
  });
}

}  // namespace alder
