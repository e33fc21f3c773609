// The same exchange as verbs_bench's by NCCL, between GPUs: grouped send and receive with every other
// process, or an all-reduce in buckets as DistributedDataParallel does it.
//
//   mpirun -n 4 nccl_bench --mib 1,8,100 [--way neighbours|all-reduce]
//
// Columns as verbs_bench's; the busbw of an all-reduce is nccl-tests': algbw 2 (n - 1) / n. With one process
// NCCL goes through its loopback. Ends with 77 where there is no GPU. NCCL is a peer to compare with, and
// nothing that Alder uses.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "bench/gather.hpp"
#include "bench/nccl/nccl_exchange.hpp"
#include "launch/pmix_rendezvous.hpp"
#include "launch/prefixed_rendezvous.hpp"

namespace alder::bench {
namespace {

struct Options {
  std::vector<double> mib{1, 8};
  std::string way = "neighbours";
  double bucket_mib = 8;
  int iterations = 10, checks = 2;
};

constexpr std::chrono::milliseconds kPatience{60000};
constexpr int kNoGpu = 77;

Deadline soon() {
  return std::chrono::steady_clock::now() + kPatience;
}

void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) fail("{}: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status));
}

// Small whole numbers, so that a sum over ranks is exact; other ones in every round.
float expected(Rank rank, uint64_t round, std::size_t k) {
  return static_cast<float>((k * 31 + round * 1009 + static_cast<uint64_t>(rank) * 257) & 0xFFF);
}

// A model in device memory, in buckets.
class Model {
 public:
  Model(std::size_t elements, std::size_t bucket) : host_(elements) {
    check(cudaMalloc(&data_, elements * sizeof(float)), "cudaMalloc of the model");
    for (std::size_t begin = 0; begin < elements; begin += bucket) {
      buckets_.push_back(std::min(bucket, elements - begin));
    }
  }
  ~Model() { cudaFree(data_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const std::vector<std::size_t>& buckets() const { return buckets_; }
  std::span<float> all() const { return {static_cast<float*>(data_), host_.size()}; }
  void fill(Rank rank, uint64_t round) {
    for (std::size_t k = 0; k < host_.size(); ++k) host_[k] = expected(rank, round, k);
    check(cudaMemcpy(data_, host_.data(), host_.size() * sizeof(float), cudaMemcpyDefault), "cudaMemcpy");
  }
  // Elements of `from`, device memory that stands for the model's part from `begin` on, that are not
  // `value(k)`.
  template <typename Value>
  int64_t wrong(std::span<const float> from, std::size_t begin, Value value) {
    check(cudaMemcpy(host_.data(), from.data(), from.size_bytes(), cudaMemcpyDefault), "cudaMemcpy");
    int64_t count = 0;
    for (std::size_t k = 0; k < from.size(); ++k) count += host_[k] == value(begin + k) ? 0 : 1;
    return count;
  }

 private:
  std::vector<float> host_;
  void* data_ = nullptr;
  std::vector<std::size_t> buckets_;
};

class Way {
 public:
  virtual ~Way() = default;
  virtual void run(uint64_t round) = 0;       // ends when all has arrived
  virtual int64_t wrong(uint64_t round) = 0;  // of the round that was run last
  virtual double busbw(double algbw) const = 0;
};

class Neighbours final : public Way {
 public:
  Neighbours(Rendezvous& job, Model& model)
      : model_(model),
        exchange_(make_nccl_exchange(job, model.buckets())),
        endpoint_(exchange_->endpoint(job.rank())) {
    for (Rank other = 0; other < job.size(); ++other) {
      if (other != job.rank() || job.size() == 1) others_.push_back(other);  // alone: to itself
    }
  }
  void run(uint64_t round) override {
    const Generation now(round);
    endpoint_.open(now, {.send_to = others_, .receive_from = others_});
    each_bucket([&](Bucket bucket, std::size_t begin, std::size_t count) {
      endpoint_.publish(now, bucket, model_.all().subspan(begin, count));
    });
    endpoint_.announce(now, {.step = round});
    require(endpoint_.await_headers(now, soon()));
    each_bucket([&](Bucket bucket, std::size_t, std::size_t) {
      require(endpoint_.await_bucket(now, bucket, soon()));
    });
    endpoint_.release(now);
  }
  int64_t wrong(uint64_t round) override {
    int64_t count = 0;
    for (const Rank from : others_) {
      if (endpoint_.header(from, Generation(round)).step != round) ++count;
      each_bucket([&](Bucket bucket, std::size_t begin, std::size_t) {
        count += model_.wrong(endpoint_.slot(from, Generation(round), bucket), begin,
                              [&](std::size_t k) { return expected(from, round, k); });
      });
    }
    return count;
  }
  double busbw(double algbw) const override { return algbw * static_cast<double>(others_.size()); }

 private:
  template <typename Body>
  void each_bucket(Body body) const {
    std::size_t begin = 0;
    for (uint32_t b = 0; b < model_.buckets().size(); ++b) {
      body(Bucket(b), begin, model_.buckets()[b]);
      begin += model_.buckets()[b];
    }
  }
  void require(const std::vector<Arrival>& arrivals) const {
    if (std::ranges::any_of(arrivals, [](Arrival one) { return one != Arrival::arrived; })) {
      fail("an exchange did not end within {} s, or NCCL reports that a process is gone",
           kPatience.count() / 1000);
    }
  }

  Model& model_;
  std::vector<Rank> others_;
  std::unique_ptr<Exchange> exchange_;
  Endpoint& endpoint_;
};

class AllReduce final : public Way {
 public:
  AllReduce(Rendezvous& job, Model& model)
      : ranks_(job.size()), model_(model), reduce_(make_nccl_all_reduce(job)) {}
  void run(uint64_t) override {
    std::size_t begin = 0;
    for (const std::size_t bucket : model_.buckets()) {
      reduce_->start(model_.all().subspan(begin, bucket), nullptr);
      begin += bucket;
    }
    reduce_->join(nullptr);
    check(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize");
  }
  int64_t wrong(uint64_t round) override {
    return model_.wrong(model_.all(), 0, [&](std::size_t k) {
      float sum = 0;
      for (Rank rank = 0; rank < ranks_; ++rank) sum += expected(rank, round, k);
      return sum;
    });
  }
  double busbw(double algbw) const override { return algbw * 2 * (ranks_ - 1) / ranks_; }

 private:
  int ranks_;
  Model& model_;
  std::unique_ptr<NcclAllReduce> reduce_;
};

// True when nothing was wrong.
bool measure(Rendezvous& job, const Options& options, Model& model, Way& way) {
  uint64_t round = 0;
  int64_t wrong = 0;
  for (int i = 0; i < options.checks; ++i, ++round) {
    model.fill(job.rank(), round);
    way.run(round);
    wrong += way.wrong(round);
  }
  const int64_t begin = monotonic_ns();
  for (int i = 0; i < options.iterations; ++i, ++round) way.run(round);
  const double seconds = seconds_between(begin, monotonic_ns()) / options.iterations;
  const double bytes = static_cast<double>(model.all().size_bytes());
  const auto times = gather(job, "seconds", seconds, kPatience);
  const auto wrongs = gather(job, "wrong", wrong, kPatience);
  const int64_t all_wrong = std::accumulate(wrongs.begin(), wrongs.end(), int64_t{0});
  if (job.rank() == 0) {
    const double slowest = std::ranges::max(times), algbw = bytes / slowest * 1e-9;
    fmt::print("{:>12.0f} {:>10} {:>12.1f} {:>8.4f} {:>8.4f} {:>7}\n", bytes, job.size() - 1, slowest * 1e6,
               algbw, way.busbw(algbw), all_wrong);
    std::fflush(stdout);
  }
  return all_wrong == 0;
}

int run(const Options& options) {
  if (const std::string why = why_no_nccl(); !why.empty()) {
    fmt::print("skipped: NCCL cannot be used here: {}\n", why);
    return kNoGpu;
  }
  const auto job = make_pmix_rendezvous(process_environment(), "nccl_bench");
  if (job->rank() == 0) {
    fmt::print("{:>12} {:>10} {:>12} {:>8} {:>8} {:>7}\n", "size (B)", "neighbours", "time (us)", "algbw",
               "busbw", "#wrong");
  }
  bool right = true;
  const auto floats = [](double mib) {
    return std::max<std::size_t>(1, static_cast<std::size_t>(mib * (1 << 20)) / sizeof(float));
  };
  for (const double mib : options.mib) {
    Model model(floats(mib), floats(options.bucket_mib));
    PrefixedRendezvous meeting(*job, fmt::format("nccl_bench.{}", mib));
    std::unique_ptr<Way> way;
    if (options.way == "all-reduce") {
      way = std::make_unique<AllReduce>(meeting, model);
    } else {
      way = std::make_unique<Neighbours>(meeting, model);
    }
    right = measure(meeting, options, model, *way) && right;
  }
  return right ? 0 : 1;
}

}  // namespace
}  // namespace alder::bench

int main(int argc, char** argv) {
  alder::bench::Options options;
  CLI::App app{"Speed of NCCL between processes with a GPU each"};
  app.option_defaults()->always_capture_default();
  app.add_option("--mib", options.mib, "Sizes of the model, MiB")->delimiter(',');
  app.add_option("--way", options.way, "Grouped send and receive, or an all-reduce")
      ->check(CLI::IsMember({"neighbours", "all-reduce"}));
  app.add_option("--bucket-mib", options.bucket_mib, "Part of a model that is exchanged at a time, MiB");
  app.add_option("--iterations", options.iterations, "Exchanges that are timed")->check(CLI::PositiveNumber);
  app.add_option("--checks", options.checks, "Exchanges whose every element is checked");
  CLI11_PARSE(app, argc, argv);
  try {
    return alder::bench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "nccl_bench: {}\n", error.what());
    return 1;
  }
}
