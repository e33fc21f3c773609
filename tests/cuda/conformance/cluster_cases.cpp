// Clusters, programmatic dependent launch, register redistribution.
#include "case.hpp"

namespace alder::ALDER_BACKEND::conformance {
namespace {

constexpr uint32_t kThreads = 64, kBlocks = 8;

struct Shared {
  uint32_t values[kThreads];
  isa::Mbarrier arrived;
};

// ---- each block reads its neighbour's shared memory, twice: behind the cluster's barrier and behind an
// mbarrier that the neighbour's threads arrive at from afar

ALDER_KERNEL(kThreads)
clusters(uint32_t* out) {
  if constexpr (isa::kHopper) {
    auto& own = isa::shared<Shared>();
    const uint32_t rank = isa::cluster_rank(), size = isa::cluster_blocks(), t = isa::thread();
    const uint32_t next = (rank + 1) % size, previous = (rank + size - 1) % size;
    if (t == 0) {
      isa::mbarrier_init(own.arrived, kThreads);
      isa::mbarrier_init_fence();
    }
    own.values[t] = isa::block_x() * 1000 + t;
    isa::cluster_sync();
    uint32_t* to = out + (isa::block_x() * kThreads + t) * 4;
    to[0] = rank;
    to[1] = size;
    to[2] = isa::cluster_shared(&own, next)->values[kThreads - 1 - t];
    isa::cluster_sync();
    isa::cluster_shared(&own, next)->values[t] = rank * 100 + t;  // into the next block's memory
    isa::mbarrier_arrive_remote(own.arrived, next);
    isa::mbarrier_wait(own.arrived, 0);
    isa::cluster_sync();
    to[3] = own.values[t] - previous * 100;
    isa::cluster_sync();
  }
}
Words run_clusters(const Stream& stream) {
  return run_kernel(stream,
                    {.name = "clusters",
                     .grid = {kBlocks},
                     .threads = kThreads,
                     .shared_bytes = sizeof(Shared),
                     .cluster = 4},
                    std::size_t{kBlocks} * kThreads * 4, clusters);
}
Words expect_clusters() {
  return generate(std::size_t{kBlocks} * kThreads * 4, [](uint32_t i) {
    const uint32_t t = i / 4 % kThreads, block = i / 4 / kThreads, rank = block % 4;
    const uint32_t neighbour = block / 4 * 4 + (rank + 1) % 4;
    const uint32_t results[4] = {rank, 4, neighbour * 1000 + kThreads - 1 - t, t};
    return results[i % 4];
  });
}

// ---- the second kernel may begin early and must still see what the first one wrote

ALDER_KERNEL(kThreads)
first_kernel(uint32_t* between) {
  isa::grid_dependency_launch();
  between[isa::block_x() * kThreads + isa::thread()] = isa::block_x() + 5;
}
ALDER_KERNEL(kThreads)
second_kernel(uint32_t* out, const uint32_t* between) {
  const uint32_t i = isa::block_x() * kThreads + isa::thread();
  isa::grid_dependency_wait();
  out[i] = between[kBlocks * kThreads - 1 - i] * 2;
}
Words run_dependent_launch(const Stream& stream) {
  const std::size_t words = std::size_t{kBlocks} * kThreads;
  const DeviceArray<uint32_t> between(words, "between"), out(words, "out");
  fill(stream, between.data(), 0xFF, words * sizeof(uint32_t));
  launch(stream, {.name = "first_kernel", .grid = {kBlocks}, .threads = kThreads}, first_kernel,
         between.data());
  launch(stream, {.name = "second_kernel", .grid = {kBlocks}, .threads = kThreads, .programmatic = true},
         second_kernel, out.data(), static_cast<const uint32_t*>(between.data()));
  Words result(words);
  out.download(stream, result);
  return result;
}
Words expect_dependent_launch() {
  return generate(std::size_t{kBlocks} * kThreads,
                  [](uint32_t i) { return ((kBlocks * kThreads - 1 - i) / kThreads + 5) * 2; });
}

// ---- one warpgroup gives registers up, the other takes them; both go on computing

constexpr uint32_t kGroups = 256;

ALDER_KERNEL(kGroups, 1)
registers(uint32_t* out) {
  if constexpr (isa::kHopper) {
    uint32_t sum = isa::thread();
    if (isa::thread() < 128) {
      isa::registers_decrease<40>();
    } else {
      isa::registers_increase<232>();
    }
    for (uint32_t i = 0; i < 8; ++i) sum = sum * 3 + i;
    out[isa::thread()] = sum;
  }
}
Words run_registers(const Stream& stream) {
  return run_kernel(stream, {.name = "registers", .threads = kGroups}, kGroups, registers);
}
Words expect_registers() {
  return generate(kGroups, [](uint32_t i) {
    for (uint32_t step = 0; step < 8; ++step) i = i * 3 + step;
    return i;
  });
}

constexpr Case kCases[] = {
    {"clusters", 90, run_clusters, expect_clusters},
    {"dependent_launch", 80, run_dependent_launch, expect_dependent_launch},
    {"registers", 90, run_registers, expect_registers},
};

}  // namespace

std::span<const Case> cluster_cases() {
  return kCases;
}

}  // namespace alder::ALDER_BACKEND::conformance
