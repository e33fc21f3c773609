// The mixing pass against the machine's triad (a = b + s * c), both in this run, in turns.
//
//   combine_bench --model resnet-50 --neighbours 3 --threads 2 --rounds 15
//
// Bytes are those that the algorithm needs: (neighbours + 1) models, gradient and momentum read, momentum and
// target written; triad: two arrays read, one written. Both write past the cache, so nothing else moves.
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "base/clock.hpp"
#include "engine/aligned.hpp"
#include "engine/combine.hpp"
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

using alder::AlignedBuffer;

struct Options {
  std::string model = "resnet-50";
  int neighbours = 3, threads = 2, rounds = 15;
};

void triad_part(const float* b, const float* c, float* a, std::size_t begin, std::size_t end) {
#ifdef __AVX512F__
  const __m512 factor = _mm512_set1_ps(0.5F);
  for (std::size_t i = begin; i < end; i += 16) {
    _mm512_stream_ps(a + i, _mm512_fmadd_ps(factor, _mm512_loadu_ps(c + i), _mm512_loadu_ps(b + i)));
  }
#else
#pragma omp simd
  for (std::size_t i = begin; i < end; ++i) a[i] = b[i] + 0.5F * c[i];
#endif
}

void triad(int threads, const float* b, const float* c, float* a, std::size_t count) {
  const std::size_t blocks = count / 1024, parts = static_cast<std::size_t>(threads);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::size_t part = 0; part < parts; ++part) {
    triad_part(b, c, a, blocks * part / parts * 1024, blocks * (part + 1) / parts * 1024);
  }
}

double seconds_of(const std::function<void()>& action) {
  const int64_t begin = alder::monotonic_ns();
  action();
  return alder::seconds_between(begin, alder::monotonic_ns());
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

int run(const Options& options) {
  const alder::Network network = alder::make_network(options.model, 10);
  const std::vector<alder::Segment> segments = alder::segments_of(network);
  const std::size_t count = network.elements;
  std::vector<AlignedBuffer> sources;
  std::vector<alder::Term> terms;
  for (int k = 0; k <= options.neighbours; ++k) {
    sources.emplace_back(count * sizeof(float));
    std::ranges::fill(sources.back().as<float>(), static_cast<float>(k + 1));
    terms.push_back({1.0F / static_cast<float>(options.neighbours + 1), sources.back().as<float>()});
  }
  AlignedBuffer gradients(count * sizeof(float)), momentum(count * sizeof(float)),
      target(count * sizeof(float));
  std::ranges::fill(gradients.as<float>(), 0.5F);
  const alder::Combination combination{
      .terms = terms,
      .self = terms[0].source,
      .target = target.as<float>(),
      .optimizer = {.learning_rate = 0.1F, .momentum = 0.0F, .weight_decay = 0.01F}};
  const auto mix = [&] {
    alder::combine(segments, combination, gradients.as<float>(), momentum.as<float>(), options.threads);
  };
  AlignedBuffer written(count * sizeof(float));
  const auto reference = [&] {
    triad(options.threads, sources[0].as<float>().data(), gradients.as<float>().data(),
          written.as<float>().data(), count);
  };
  mix();
  reference();
  std::vector<double> mixes, triads;
  for (int round = 0; round < options.rounds; ++round) {
    triads.push_back(seconds_of(reference));
    mixes.push_back(seconds_of(mix));
  }
  // Every parameter had the same values: mean of 1 .. k+1, less 0.1 * (0.5 + 0.01 * 1).
  const float expected = static_cast<float>(options.neighbours + 2) / 2 - 0.1F * (0.5F + 0.01F);
  for (const float value : target.as<float>().first(network.parameter_elements)) {
    if (std::fabs(value - expected) > 1e-5F) {
      fmt::print(stderr, "combine_bench: wrong result {} instead of {}\n", value, expected);
      return 1;
    }
  }
  const double bytes = static_cast<double>(count) * sizeof(float);
  const auto rate = [bytes](int streams, double seconds) { return streams * bytes / seconds * 1e-9; };
  const int streams = options.neighbours + 5;
  const double mixing = rate(streams, median(mixes)), peak = rate(3, median(triads));
  fmt::print(
      "{} ({} elements), {} neighbours, {} threads: {:.2f} ms, {:.1f} GB/s; triad {:.1f} GB/s; {:.0f} % "
      "(best of both: {:.1f} of {:.1f} GB/s)\n",
      options.model, count, options.neighbours, options.threads, median(mixes) * 1e3, mixing, peak,
      100 * mixing / peak, rate(streams, *std::ranges::min_element(mixes)),
      rate(3, *std::ranges::min_element(triads)));
  return 0;
}

}  // namespace

int main(int count, char** words) {
  CLI::App app("Times the mixing pass against the machine's triad");
  Options options;
  app.add_option("--model", options.model)->capture_default_str();
  app.add_option("--neighbours", options.neighbours)->check(CLI::Range(0, 64))->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 10000))->capture_default_str();
  CLI11_PARSE(app, count, words);
  try {
    return run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "combine_bench: {}\n", error.what());
    return 1;
  }
}
