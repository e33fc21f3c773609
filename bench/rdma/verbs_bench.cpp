// How fast models travel between neighbours over real devices, what that costs, and whether they arrive
// whole. Every worker is a process, and everybody is everybody's neighbour:
//
//   mpirun -n 4 verbs_bench --rdma-devices mlx5_0 --mib 1,8,100
//
// Columns as nccl-tests has them: size of the model, time of one exchange (open, publish, announce, await,
// release), algbw = size / time, busbw = what leaves a port / time, #wrong = elements that arrived with
// another value, of exchanges whose every element is checked and which are not timed. Then, of worker 0:
// processor time of its progress threads per GB that it sends and receives, requests, doorbells and
// completions of one exchange, bytes registered.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/sysfs.hpp"
#include "bench/gather.hpp"
#include "bench/rdma/counting_verbs.hpp"
#include "launch/pmix_rendezvous.hpp"
#include "launch/prefixed_rendezvous.hpp"
#include "rdma/devices/paths.hpp"
#include "rdma/devices/survey.hpp"
#include "rdma/exchange.hpp"

namespace alder::rdma {
namespace {

struct Options {
  std::vector<std::string> devices;
  std::vector<double> mib{1, 8};
  double bucket_mib = 8;
  bool one_way = false, latency = false;
  int iterations = 10, checks = 2;
  Tuning tuning{.grace = std::chrono::seconds(20)};  // machines that are measured may be busy
};

constexpr std::chrono::milliseconds kPatience{60000};
Deadline soon() {
  return std::chrono::steady_clock::now() + kPatience;
}

// Processor time of the progress threads so far.
double progress_seconds() {
  double seconds = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(task.path() / "comm") >> name;
    int64_t nanoseconds = 0;
    if (name == "alder-rdma" && std::ifstream(task.path() / "schedstat") >> nanoseconds)
      seconds += static_cast<double>(nanoseconds) * 1e-9;
  }
  return seconds;
}

// What element k of worker `rank` is in a generation: no two generations have the same, so that what an
// earlier one left in a slot is not taken for this one's.
float expected(Rank rank, uint64_t generation, std::size_t k) {
  return static_cast<float>((k * 31 + generation * 1009 + static_cast<uint64_t>(rank) * 65537) & 0xFFFFFF);
}

std::vector<Path> find_paths(Verbs& verbs, const Options& options) {
  PathWish wish;
  wish.devices = options.devices;
  std::vector<Path> paths;
  for (const UsablePort& port : find_usable_ports(survey_devices(verbs, Sysfs()), wish).ports) {
    if (!options.devices.empty() || paths.empty()) paths.push_back(port.path);
  }
  return paths;
}

// One exchange, and the model that this worker sends.
class Bench {
 public:
  Bench(CountingVerbs& verbs, Rendezvous& meeting, const Options& options, std::size_t elements,
        std::size_t bucket_elements)
      : meeting_(meeting), options_(options) {
    ExchangePlan plan{
        .workers = meeting.size(), .rank = meeting.rank(), .tuning = options.tuning, .flush_cuda = {}};
    for (Rank other = 0; other < meeting.size(); ++other) {
      if (other == meeting.rank()) continue;
      const bool sends = !options.one_way || meeting.rank() == 0, receives = !options.one_way || other == 0;
      plan.edges.push_back({.neighbour = other, .sends = sends, .receives = receives});
      if (sends) live_.send_to.push_back(other);
      if (receives) live_.receive_from.push_back(other);
    }
    for (std::size_t begin = 0; begin < elements; begin += bucket_elements)
      plan.buckets.push_back(std::min(bucket_elements, elements - begin));
    plan.paths = find_paths(verbs, options);
    buckets_ = plan.buckets;
    model_ = allocate_host(elements * sizeof(float));
    exchange_ = make_verbs_exchange(verbs, meeting, plan);
    exchange_->attach(meeting.rank(), {model_.get(), 1});
    endpoint_ = &exchange_->endpoint(meeting.rank());
  }

  std::size_t neighbours() const { return live_.send_to.size(); }

  // One generation; whether all of it arrived. Leaves it open for the caller to read.
  void exchange() {
    endpoint_->open(now(), live_);
    const std::span<const float> all = model();
    std::size_t begin = 0;
    for (uint32_t b = 0; b < buckets_.size(); ++b) {
      endpoint_->publish(now(), Bucket(b), all.subspan(begin, buckets_[b]));
      begin += buckets_[b];
    }
    endpoint_->announce(now(), {.step = generation_});
    require(endpoint_->await_headers(now(), soon()), "headers");
    for (uint32_t b = 0; b < buckets_.size(); ++b)
      require(endpoint_->await_bucket(now(), Bucket(b), soon()), "buckets");
  }
  void release() {
    endpoint_->release(now());
    require(endpoint_->await_released(now(), soon()), "releases");
    ++generation_;
  }

  // Elements that arrived wrong in a generation of values of its own.
  int64_t check() {
    for (std::size_t k = 0; k < model().size(); ++k) model()[k] = expected(meeting_.rank(), generation_, k);
    exchange();
    int64_t wrong = 0;
    for (const Rank from : live_.receive_from) {
      std::size_t k = 0;
      for (uint32_t b = 0; b < buckets_.size(); ++b) {
        for (const float value : endpoint_->slot(from, now(), Bucket(b)))
          wrong += value == expected(from, generation_, k++) ? 0 : 1;
      }
    }
    release();
    return wrong;
  }

  // Half the time from our header's leaving to the answer's coming; the model follows, untimed.
  double header_seconds() {
    endpoint_->open(now(), live_);
    const int64_t begin = monotonic_ns();
    if (meeting_.rank() == 0) endpoint_->announce(now(), {.step = generation_});
    require(endpoint_->await_headers(now(), soon()), "headers");
    if (meeting_.rank() != 0) endpoint_->announce(now(), {.step = generation_});
    const double seconds = seconds_between(begin, monotonic_ns()) / 2;
    endpoint_->publish(now(), Bucket(0), model());
    require(endpoint_->await_bucket(now(), Bucket(0), soon()), "buckets");
    release();
    return seconds;
  }

 private:
  Generation now() const { return Generation(generation_); }
  std::span<float> model() const {
    return {static_cast<float*>(model_->address),
            std::accumulate(buckets_.begin(), buckets_.end(), std::size_t{0})};
  }
  void require(const std::vector<Arrival>& arrivals, const char* what) const {
    if (std::ranges::all_of(arrivals, [](Arrival one) { return one == Arrival::arrived; })) return;
    std::string why;
    for (const EdgeNotice& notice : exchange_->take_notices()) why += "; " + notice.text;
    fail("worker {}: the {} of generation {} did not all arrive{}", meeting_.rank(), what, generation_, why);
  }

  Rendezvous& meeting_;
  const Options& options_;
  LiveEdges live_;
  std::vector<std::size_t> buckets_;
  std::shared_ptr<const Region> model_;
  std::unique_ptr<Exchange> exchange_;
  Endpoint* endpoint_ = nullptr;
  uint64_t generation_ = 0;
};

// True when nothing was wrong.
bool measure(Rendezvous& job, const Options& options, double mib) {
  PrefixedRendezvous meeting(job, fmt::format("{}", mib));
  CountingVerbs verbs;
  const auto elements = std::max<std::size_t>(1, static_cast<std::size_t>(mib * (1 << 20)) / sizeof(float));
  const auto bucket =
      std::max<std::size_t>(1, static_cast<std::size_t>(options.bucket_mib * (1 << 20)) / sizeof(float));
  Bench bench(verbs, meeting, options, elements, bucket);
  int64_t wrong = 0;
  for (int i = 0; i < options.checks; ++i) wrong += bench.check();
  if (options.checks == 0) {  // else they have warmed everything up
    bench.exchange();
    bench.release();
  }
  const double processor_before = progress_seconds();
  const CountingVerbs::Counts before = verbs.counts();
  const int64_t begin = monotonic_ns();
  for (int i = 0; i < options.iterations; ++i) {
    bench.exchange();
    bench.release();
  }
  const double seconds = seconds_between(begin, monotonic_ns()) / options.iterations;
  const double processor = progress_seconds() - processor_before;
  const CountingVerbs::Counts after = verbs.counts();
  const std::vector<double> times = bench::gather(meeting, "seconds", seconds, kPatience);
  const std::vector<int64_t> wrongs = bench::gather(meeting, "wrong", wrong, kPatience);
  const double slowest = std::ranges::max(times);
  const int64_t all_wrong = std::accumulate(wrongs.begin(), wrongs.end(), int64_t{0});
  if (meeting.rank() == 0) {
    const double bytes = static_cast<double>(elements) * sizeof(float);
    const double sent = bytes * static_cast<double>(bench.neighbours());
    const double moved = sent * (options.one_way ? 1 : 2) * options.iterations;
    const auto each = [&](uint64_t now, uint64_t then) {
      return static_cast<double>(now - then) / options.iterations;
    };
    fmt::print(
        "{:>12.0f} {:>10} {:>12.1f} {:>8.4f} {:>8.4f} {:>7} {:>9.3f} {:>8.1f} {:>9.1f} {:>11.1f} {:>14.1f}\n",
        bytes, bench.neighbours(), slowest * 1e6, bytes / slowest * 1e-9, sent / slowest * 1e-9, all_wrong,
        processor / (moved * 1e-9), each(after.send_requests, before.send_requests),
        each(after.doorbells, before.doorbells), each(after.completions, before.completions),
        static_cast<double>(after.registered_bytes) * 1e-6);
    std::fflush(stdout);
  }
  return all_wrong == 0;
}

void measure_latency(Rendezvous& job, const Options& options) {
  if (job.size() != 2) usage_error("--latency: start two processes, not {}", job.size());
  PrefixedRendezvous meeting(job, "latency");
  CountingVerbs verbs;
  Bench bench(verbs, meeting, options, 4, 4);
  std::vector<double> times;
  for (int i = 0; i < options.iterations; ++i) times.push_back(bench.header_seconds());
  meeting.fence(kPatience);
  if (meeting.rank() != 0) return;
  std::ranges::sort(times);
  const auto at = [&](double share) {
    return times[std::min(times.size() - 1,
                          static_cast<std::size_t>(share * static_cast<double>(times.size())))] *
           1e6;
  };
  fmt::print("a header of 64 bytes, one way, of {}: minimum {:.1f} us, median {:.1f} us, 99 % {:.1f} us\n",
             times.size(), at(0), at(0.5), at(0.99));
}

int run(const Options& options) {
  const auto job = make_pmix_rendezvous(process_environment(), "verbs_bench");
  if (job->size() < 2) usage_error("verbs_bench: start at least two processes");
  if (options.latency) {
    measure_latency(*job, options);
    return 0;
  }
  if (job->rank() == 0) {
    fmt::print("{:>12} {:>10} {:>12} {:>8} {:>8} {:>7} {:>9} {:>8} {:>9} {:>11} {:>14}\n", "size (B)",
               "neighbours", "time (us)", "algbw", "busbw", "#wrong", "CPU s/GB", "requests", "doorbells",
               "completions", "registered (MB)");
  }
  bool right = true;
  for (const double mib : options.mib) right = measure(*job, options, mib) && right;
  return right ? 0 : 1;
}

}  // namespace
}  // namespace alder::rdma

int main(int argc, char** argv) {
  alder::rdma::Options options;
  CLI::App app{"Speed of the verbs exchange between processes"};
  app.option_defaults()->always_capture_default();
  app.add_option("--rdma-devices", options.devices, "Devices of this process, one a rail; none: the first")
      ->delimiter(',');
  app.add_option("--mib", options.mib, "Sizes of the model, MiB")->delimiter(',');
  app.add_option("--bucket-mib", options.bucket_mib, "Part of a model that is exchanged at a time, MiB");
  app.add_flag("--one-way", options.one_way, "Worker 0 sends to the others, and they send nothing");
  app.add_flag("--latency", options.latency, "Time of a header instead, between two processes");
  app.add_option("--iterations", options.iterations, "Exchanges that are timed")->check(CLI::PositiveNumber);
  app.add_option("--checks", options.checks, "Exchanges whose every element is checked");
  app.add_option("--queue-pairs", options.tuning.data_queue_pairs, "Data queue pairs of an edge");
  app.add_option("--ack-timeout", options.tuning.ack_timeout,
                 "Until a request is repeated: 4.096 us times 2 to this");
  app.add_option("--spin", options.tuning.spin_polls, "Polls before a thread yields its core");
  CLI11_PARSE(app, argc, argv);
  try {
    return alder::rdma::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "verbs_bench: {}\n", error.what());
    return 1;
  }
}
