// The same exchange as verbs_bench's by Open MPI: every process sends its model to every other, either by one
// neighbourhood collective or by MPI_Isend and MPI_Irecv of 8 MiB parts.
//
//   mpirun -n 4 mpi_bench --mib 1,8,100 [--way collective|messages]
//
// Columns as verbs_bench's. MPI is a peer to compare with, and nothing that Alder uses.
#include <fmt/format.h>
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace {

struct Options {
  std::vector<double> mib{1, 8};
  std::string way = "collective";
  double part_mib = 8;
  int iterations = 10, checks = 2;
};

float expected(int rank, uint64_t generation, std::size_t k) {
  return static_cast<float>((k * 31 + generation * 1009 + static_cast<uint64_t>(rank) * 65537) & 0xFFFFFF);
}

class Bench {
 public:
  Bench(const Options& options, std::size_t elements)
      : collective_(options.way == "collective"),
        part_(
            std::max<std::size_t>(1, static_cast<std::size_t>(options.part_mib * (1 << 20)) / sizeof(float))),
        model_(elements) {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    for (int other = 0; other < size_; ++other) {
      if (other != rank_) neighbours_.push_back(other);
    }
    const int degree = size_ - 1;
    MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, degree, neighbours_.data(), MPI_UNWEIGHTED, degree,
                                   neighbours_.data(), MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &graph_);
    slots_.resize(elements * neighbours_.size());
  }
  ~Bench() { MPI_Comm_free(&graph_); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void exchange() {
    const auto count = static_cast<int>(model_.size());
    if (collective_) {
      MPI_Neighbor_allgather(model_.data(), count, MPI_FLOAT, slots_.data(), count, MPI_FLOAT, graph_);
      return;
    }
    std::vector<MPI_Request> requests;
    for (std::size_t n = 0; n < neighbours_.size(); ++n) {
      for (std::size_t begin = 0; begin < model_.size(); begin += part_) {
        const auto part = static_cast<int>(std::min(part_, model_.size() - begin));
        MPI_Irecv(slots_.data() + n * model_.size() + begin, part, MPI_FLOAT, neighbours_[n], 0, graph_,
                  &requests.emplace_back());
        MPI_Isend(model_.data() + begin, part, MPI_FLOAT, neighbours_[n], 0, graph_,
                  &requests.emplace_back());
      }
    }
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  }

  int64_t check(uint64_t generation) {
    for (std::size_t k = 0; k < model_.size(); ++k) model_[k] = expected(rank_, generation, k);
    exchange();
    int64_t wrong = 0;
    for (std::size_t n = 0; n < neighbours_.size(); ++n) {
      for (std::size_t k = 0; k < model_.size(); ++k)
        wrong += slots_[n * model_.size() + k] == expected(neighbours_[n], generation, k) ? 0 : 1;
    }
    return wrong;
  }

  int rank() const { return rank_; }
  std::size_t neighbours() const { return neighbours_.size(); }

 private:
  bool collective_;
  std::size_t part_;
  std::vector<float> model_, slots_;
  std::vector<int> neighbours_;
  MPI_Comm graph_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 0;
};

bool measure(const Options& options, double mib) {
  const auto elements = std::max<std::size_t>(1, static_cast<std::size_t>(mib * (1 << 20)) / sizeof(float));
  Bench bench(options, elements);
  int64_t wrong = 0, all_wrong = 0;
  for (int i = 0; i < options.checks; ++i) wrong += bench.check(static_cast<uint64_t>(i));
  bench.exchange();
  MPI_Barrier(MPI_COMM_WORLD);
  const double begin = MPI_Wtime();
  for (int i = 0; i < options.iterations; ++i) bench.exchange();
  const double seconds = (MPI_Wtime() - begin) / options.iterations;
  double slowest = 0;
  MPI_Reduce(&seconds, &slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  MPI_Allreduce(&wrong, &all_wrong, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  if (bench.rank() == 0) {
    const double bytes = static_cast<double>(elements) * sizeof(float);
    fmt::print("{:>12.0f} {:>10} {:>12.1f} {:>8.4f} {:>8.4f} {:>7}\n", bytes, bench.neighbours(),
               slowest * 1e6, bytes / slowest * 1e-9,
               bytes * static_cast<double>(bench.neighbours()) / slowest * 1e-9, all_wrong);
    std::fflush(stdout);
  }
  return all_wrong == 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Speed of Open MPI for the exchange that verbs_bench measures"};
  app.option_defaults()->always_capture_default();
  app.add_option("--mib", options.mib, "Sizes of the model, MiB")->delimiter(',');
  app.add_option("--part-mib", options.part_mib, "Part of a model that is sent at a time by messages, MiB");
  app.add_option("--way", options.way, "How it is sent")->check(CLI::IsMember({"collective", "messages"}));
  app.add_option("--iterations", options.iterations, "Exchanges that are timed")->check(CLI::PositiveNumber);
  app.add_option("--checks", options.checks, "Exchanges whose every element is checked");
  CLI11_PARSE(app, argc, argv);
  MPI_Init(nullptr, nullptr);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == 0) {
    fmt::print("{:>12} {:>10} {:>12} {:>8} {:>8} {:>7}\n", "size (B)", "neighbours", "time (us)", "algbw",
               "busbw", "#wrong");
  }
  bool right = true;
  for (const double mib : options.mib) right = measure(options, mib) && right;
  MPI_Finalize();
  return right ? 0 : 1;
}
