// Indices, shared memory, barriers, shuffles, votes.
#include "case.hpp"

namespace alder::ALDER_BACKEND::conformance {
namespace {

constexpr uint32_t kWarp = 32;

// ---- indices: ten words a thread, 3 x 2 x 2 blocks of 40 threads

constexpr uint32_t kIndexThreads = 40, kIndexWords = 10;

ALDER_KERNEL(kIndexThreads)
indices(uint32_t* out) {
  const uint32_t block =
      (isa::block_z() * isa::blocks_y() + isa::block_y()) * isa::blocks_x() + isa::block_x();
  const uint32_t values[kIndexWords] = {isa::thread(),   isa::threads(), isa::lane(),    isa::warp(),
                                        isa::block_x(),  isa::block_y(), isa::block_z(), isa::blocks_x(),
                                        isa::blocks_y(), isa::blocks_z()};
  for (uint32_t i = 0; i < kIndexWords; ++i) {
    out[(block * kIndexThreads + isa::thread()) * kIndexWords + i] = values[i];
  }
}

Words run_indices(const Stream& stream) {
  return run_kernel(stream, {.name = "indices", .grid = {3, 2, 2}, .threads = kIndexThreads},
                    std::size_t{12} * kIndexThreads * kIndexWords, indices);
}

Words expect_indices() {
  return generate(std::size_t{12} * kIndexThreads * kIndexWords, [](uint32_t i) {
    const uint32_t thread = i / kIndexWords % kIndexThreads, block = i / kIndexWords / kIndexThreads;
    const uint32_t values[kIndexWords] = {
        thread, kIndexThreads, thread % kWarp, thread / kWarp, block % 3, block / 3 % 2, block / 6, 3, 2, 2};
    return values[i % kIndexWords];
  });
}

// ---- shared memory: aligned, addresses count bytes, the first is a multiple of 1024

struct Struct {
  uint8_t bytes[100];
  alignas(64) uint32_t aligned[4];
};

ALDER_KERNEL(kWarp)
shared_memory(uint32_t* out) {
  auto& memory = isa::shared<Struct>();
  if (isa::thread() != 0) return;
  out[0] = isa::shared_address(&memory) % 1024;
  out[1] = isa::shared_address(&memory.bytes[99]) - isa::shared_address(&memory);
  out[2] = isa::shared_address(&memory.aligned[1]) - isa::shared_address(&memory);
}
Words run_shared_memory(const Stream& stream) {
  return run_kernel(stream, {.name = "shared_memory", .threads = kWarp, .shared_bytes = sizeof(Struct)}, 3,
                    shared_memory);
}
Words expect_shared_memory() {
  return {0, 99, 132};
}

// ---- block barriers, with and without a vote

constexpr uint32_t kBarrierThreads = 96;

struct Ring {
  uint32_t values[kBarrierThreads];
};

ALDER_KERNEL(kBarrierThreads)
block_barriers(uint32_t* out) {
  auto& ring = isa::shared<Ring>();
  const uint32_t t = isa::thread();
  ring.values[t] = t * 3;
  isa::sync_block();
  const uint32_t next = ring.values[(t + 1) % kBarrierThreads];
  uint32_t votes = isa::sync_block_any(t == 77) ? 1 : 0;
  votes |= isa::sync_block_any(t == 200) ? 2 : 0;
  votes |= isa::sync_block_all(t < 200) ? 4 : 0;
  votes |= isa::sync_block_all(t != 5) ? 8 : 0;
  votes |= static_cast<uint32_t>(isa::sync_block_count(t % 3 == 0)) << 8;
  out[t * 2] = next;
  out[t * 2 + 1] = votes;
}
Words run_block_barriers(const Stream& stream) {
  return run_kernel(stream,
                    {.name = "block_barriers", .threads = kBarrierThreads, .shared_bytes = sizeof(Ring)},
                    std::size_t{2} * kBarrierThreads, block_barriers);
}
Words expect_block_barriers() {
  return generate(std::size_t{2} * kBarrierThreads, [](uint32_t i) {
    return i % 2 == 0 ? (i / 2 + 1) % kBarrierThreads * 3 : 1U | 4U | 32U << 8;
  });
}

// ---- named barriers: warp 1 gives values to warp 0, one buffer, full and empty

constexpr uint32_t kRounds = 5;

struct Buffer {
  uint32_t values[kWarp];
};

ALDER_KERNEL(2 * kWarp)
named_barriers(uint32_t* out) {
  auto& buffer = isa::shared<Buffer>();
  for (uint32_t round = 0; round < kRounds; ++round) {
    if (isa::warp() == 1) {
      if (round > 0) isa::barrier_sync(2, 2 * kWarp);  // empty
      buffer.values[isa::lane()] = round * 100 + isa::lane();
      isa::barrier_arrive(1, 2 * kWarp);  // full
    } else {
      isa::barrier_sync(1, 2 * kWarp);
      out[round * kWarp + isa::lane()] = buffer.values[kWarp - 1 - isa::lane()];
      if (round + 1 < kRounds) isa::barrier_arrive(2, 2 * kWarp);
    }
  }
}
Words run_named_barriers(const Stream& stream) {
  return run_kernel(stream, {.name = "named_barriers", .threads = 2 * kWarp, .shared_bytes = sizeof(Buffer)},
                    std::size_t{kRounds} * kWarp, named_barriers);
}
Words expect_named_barriers() {
  return generate(std::size_t{kRounds} * kWarp,
                  [](uint32_t i) { return i / kWarp * 100 + kWarp - 1 - i % kWarp; });
}

// ---- shuffles, of 4 and 8 bytes

ALDER_KERNEL(kWarp)
shuffles(uint32_t* out) {
  const uint32_t lane = isa::lane(), value = lane * lane + 1;
  const uint64_t wide = uint64_t{value} << 32 | lane;
  uint32_t* to = out + lane * 6;
  to[0] = isa::shuffle(value, lane * 5 % kWarp);
  to[1] = isa::shuffle_xor(value, 5);
  to[2] = isa::shuffle_up(value, 3);
  to[3] = isa::shuffle_down(value, 7);
  const uint64_t got = isa::shuffle_xor(wide, 16);
  to[4] = static_cast<uint32_t>(got >> 32) * 100 + static_cast<uint32_t>(got);
  // Two halves of the warp on their own.
  const uint32_t mask = lane < 16 ? 0x0000FFFF : 0xFFFF0000;
  to[5] = lane < 16 ? isa::shuffle_xor(value, 1, mask) : isa::shuffle_xor(value, 2, mask);
}
Words run_shuffles(const Stream& stream) {
  return run_kernel(stream, {.name = "shuffles", .threads = kWarp}, std::size_t{6} * kWarp, shuffles);
}
Words expect_shuffles() {
  return generate(std::size_t{6} * kWarp, [](uint32_t i) {
    const auto value = [](uint32_t lane) { return lane * lane + 1; };
    const uint32_t lane = i / 6, other = lane ^ 16;
    const uint32_t results[6] = {value(lane * 5 % kWarp),           value(lane ^ 5),
                                 value(lane < 3 ? lane : lane - 3), value(lane + 7 < kWarp ? lane + 7 : lane),
                                 value(other) * 100 + other,        value(lane < 16 ? lane ^ 1 : lane ^ 2)};
    return results[i % 6];
  });
}

// ---- votes

ALDER_KERNEL(kWarp)
votes(uint32_t* out) {
  const uint32_t lane = isa::lane();
  uint32_t* to = out + lane * 3;
  to[0] = isa::ballot(lane % 3 == 0);
  uint32_t bits = isa::any(lane == 31) ? 1 : 0;
  bits |= isa::any(lane == 32) ? 2 : 0;
  bits |= isa::all(lane < 32) ? 4 : 0;
  bits |= isa::all(lane < 31) ? 8 : 0;
  to[1] = bits;
  const uint32_t mask = lane < 8 ? 0x000000FF : 0xFFFFFF00;
  to[2] = isa::ballot(lane % 2 == 1, mask);
}
Words run_votes(const Stream& stream) {
  return run_kernel(stream, {.name = "votes", .threads = kWarp}, std::size_t{3} * kWarp, votes);
}
Words expect_votes() {
  return generate(std::size_t{3} * kWarp, [](uint32_t i) {
    const uint32_t results[3] = {0x49249249, 1 | 4, i / 3 < 8 ? 0x000000AAU : 0xAAAAAA00U};
    return results[i % 3];
  });
}

// ---- warp synchronisation orders shared memory

ALDER_KERNEL(kWarp)
warp_sync(uint32_t* out) {
  auto& buffer = isa::shared<Buffer>();
  uint32_t sum = isa::lane();
  for (uint32_t step = 1; step < kWarp; step *= 2) {
    buffer.values[isa::lane()] = sum;
    isa::sync_warp();
    if (isa::lane() >= step) sum += buffer.values[isa::lane() - step];
    isa::sync_warp();
  }
  out[isa::lane()] = sum;
}
Words run_warp_sync(const Stream& stream) {
  return run_kernel(stream, {.name = "warp_sync", .threads = kWarp, .shared_bytes = sizeof(Buffer)}, kWarp,
                    warp_sync);
}
Words expect_warp_sync() {
  return generate(kWarp, [](uint32_t i) { return i * (i + 1) / 2; });
}

constexpr Case kCases[] = {
    {"indices", 80, run_indices, expect_indices},
    {"shared_memory", 80, run_shared_memory, expect_shared_memory},
    {"block_barriers", 80, run_block_barriers, expect_block_barriers},
    {"named_barriers", 80, run_named_barriers, expect_named_barriers},
    {"shuffles", 80, run_shuffles, expect_shuffles},
    {"votes", 80, run_votes, expect_votes},
    {"warp_sync", 80, run_warp_sync, expect_warp_sync},
};

}  // namespace

std::span<const Case> thread_cases() {
  return kCases;
}

}  // namespace alder::ALDER_BACKEND::conformance
