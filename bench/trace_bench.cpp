// What tracing costs: an event while nothing is recorded and while something is, and the merge of many ranks.
//
//   trace_bench                       all
//   trace_bench --benchmark_filter=Span
#include <benchmark/benchmark.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>

#include "trace/analysis.hpp"
#include "trace/chrome.hpp"
#include "trace/merge.hpp"
#include "trace/rings.hpp"
#include "trace/span.hpp"

namespace alder::trace {
namespace {

void empty_rings() {
  for (const auto& ring : detail::all_rings()) {
    Record record;
    while (ring->records.pop(record)) benchmark::DoNotOptimize(record);
  }
}

// Processor time of this thread: what a loaded machine leaves alone.
double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Batches that fit into a ring, which is emptied between them, outside of the time: what the recording thread
// pays.
template <typename Act>
void measure(benchmark::State& state, bool on, Act act) {
  constexpr int kBatch = 8192;
  detail::wanted.store(on ? detail::kRecord : 0);
  uint64_t generation = 0;
  for (auto _ : state) {
    const double begin = thread_seconds();
    for (int i = 0; i < kBatch; ++i) act(generation++);
    state.SetIterationTime(thread_seconds() - begin);
    empty_rings();
  }
  detail::wanted.store(0);
  state.counters["per event"] = benchmark::Counter(static_cast<double>(state.iterations()) * kBatch,
                                                   benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void Ticks(benchmark::State& state) {
  measure(state, false, [](uint64_t) { benchmark::DoNotOptimize(ticks()); });
}
void SteadyClock(benchmark::State& state) {
  measure(state, false, [](uint64_t) { benchmark::DoNotOptimize(monotonic_ns()); });
}
void InstantOff(benchmark::State& state) {
  measure(state, false, [](uint64_t g) { instant(Kind::arrival, {1, 2, g, 3}); });
}
void SpanOff(benchmark::State& state) {
  measure(state, false, [](uint64_t g) { const Span span(Kind::mixing, {1, 2, g, 3}); });
}
void InstantOn(benchmark::State& state) {
  measure(state, true, [](uint64_t g) { instant(Kind::arrival, {1, 2, g, 3}); });
}
// Two clock readings: a span is the two events of its ends.
void SpanOn(benchmark::State& state) {
  measure(state, true, [](uint64_t g) { const Span span(Kind::mixing, {1, 2, g, 3}); });
}
BENCHMARK(Ticks)->UseManualTime();
BENCHMARK(SteadyClock)->UseManualTime();
BENCHMARK(InstantOff)->UseManualTime();
BENCHMARK(SpanOff)->UseManualTime();
BENCHMARK(InstantOn)->UseManualTime();
BENCHMARK(SpanOn)->UseManualTime();

// Ranks on a ring with chords: three neighbours each, 12 buckets a model.
constexpr int kRanks = 64, kSteps = 100, kDegree = 3;
constexpr uint32_t kBuckets = 12;
constexpr int64_t kStepNs = 50'000'000;

File made_file(Rank rank) {
  File file{.path = file_name("made", rank),
            .description = {.run_id = "made",
                            .run_name = "made",
                            .model = "resnet-18",
                            .host = "node",
                            .workers = kRanks,
                            .local = {rank},
                            .bucket_bytes = std::vector<uint64_t>(kBuckets, 4 << 20),
                            .exchange = "verbs"},
            .records = {},
            .clock = {{.at_ns = 0, .offset_ns = rank * 1000, .error_ns = 900}},
            .threads = {},
            .complete = true};
  const auto add = [&](Kind kind, int64_t begin, int64_t end, Rank neighbour, uint64_t g, uint32_t bucket) {
    file.records.push_back({.begin = begin,
                            .end = end,
                            .generation = g,
                            .worker = rank,
                            .neighbour = neighbour,
                            .bucket = bucket,
                            .kind = kind,
                            .in_nanoseconds = 1});
  };
  for (uint64_t g = 0; g < kSteps; ++g) {
    const int64_t t = static_cast<int64_t>(g) * kStepNs - rank * 1000;
    add(Kind::data, t, t + kStepNs / 20, -1, g, 0);
    add(Kind::forward, t + kStepNs / 20, t + kStepNs / 3, -1, g, 0);
    add(Kind::backward, t + kStepNs / 3, t + kStepNs / 10 * 9, -1, g, 0);
    for (uint32_t b = 0; b < kBuckets; ++b) {
      add(Kind::publish, t + b * 1000, t + b * 1000 + 900, -1, g, b);
      add(Kind::wait_bucket, t + kStepNs / 10 * 9 + b * 100, t + kStepNs / 10 * 9 + b * 100 + 90, -1, g, b);
      for (int k = 1; k <= kDegree; ++k) {
        const Rank to = (rank + k) % kRanks, from = (rank + kRanks - k) % kRanks;
        if (b == 0) add(Kind::expects, t, t, from, g, 0);
        add(Kind::post, t + 1'000'000 * b, t + 1'000'000 * b, to, g, b);
        add(Kind::sent, t + 1'000'000 * b + 900'000, t + 1'000'000 * b + 900'000, to, g, b);
        add(Kind::arrival, t + 1'000'000 * b + 950'000, t + 1'000'000 * b + 950'000, from, g, b);
      }
    }
    add(Kind::mixing, t + kStepNs / 10 * 9 + 5000, t + kStepNs - 1000, -1, g, 0);
    add(Kind::step, t, t + kStepNs, -1, g, 0);
  }
  return file;
}

class Ranks {
 public:
  Ranks() {
    std::string pattern = (std::filesystem::temp_directory_path() / "alder-bench-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    const auto part = part_folder(folder_, 0);
    std::filesystem::create_directories(part);
    for (Rank rank = 0; rank < kRanks; ++rank) {
      const File file = made_file(rank);
      FileWriter writer(file_name(part, rank), file.description);
      for (const ClockReading& reading : file.clock) writer.clock(reading);
      writer.records(file.records);
      writer.end();
    }
  }
  ~Ranks() { std::filesystem::remove_all(folder_); }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

// 64 ranks of 100 steps into one JSON file: at most 10 s.
void Merge(benchmark::State& state) {
  const Ranks ranks;
  uint64_t events = 0;
  for (auto _ : state) {
    const auto folder = ranks.folder();
    events = write_chrome(load({&folder, 1}), folder / "trace.json");
  }
  state.counters["events"] = static_cast<double>(events);
  state.counters["bytes"] = static_cast<double>(std::filesystem::file_size(ranks.folder() / "trace.json"));
}
BENCHMARK(Merge)->Unit(benchmark::kSecond)->UseRealTime()->Iterations(2);

void Analyse(benchmark::State& state) {
  const Ranks ranks;
  const auto folder = ranks.folder();
  for (auto _ : state) {
    const Figures figures = analyse(load({&folder, 1}));
    if (figures.workers.size() != kRanks || figures.workers[0].steps.size() != kSteps) {
      state.SkipWithError("not every step of every rank was measured");
    }
  }
}
BENCHMARK(Analyse)->Unit(benchmark::kSecond)->UseRealTime()->Iterations(2);

}  // namespace
}  // namespace alder::trace

BENCHMARK_MAIN();
