// Atomics, order between blocks, vectors with cache hints, cp.async.
#include "case.hpp"

namespace alder::ALDER_BACKEND::conformance {
namespace {

constexpr uint32_t kThreads = 64, kBlocks = 4, kAll = kThreads * kBlocks;

// ---- relaxed atomics: results that do not depend on the order

ALDER_KERNEL(kThreads)
atomics(uint32_t* out) {
  const uint32_t i = isa::block_x() * kThreads + isa::thread();
  isa::atomic_add(&out[0], i);
  isa::atomic_add(reinterpret_cast<float*>(&out[1]), static_cast<float>(i));
  isa::atomic_add(reinterpret_cast<uint64_t*>(&out[2]), uint64_t{i} << 30);
  isa::atomic_add(reinterpret_cast<int*>(&out[4]), i % 2 == 0 ? 3 : -5);
  isa::atomic_max(&out[5], i * 7 % kAll);
  isa::atomic_max(reinterpret_cast<int*>(&out[6]), static_cast<int>(i) - 1000);
  // All but the last value to be exchanged come back, each once: their sum is known.
  isa::atomic_add(&out[8], isa::atomic_exchange(&out[7], i + 1));
  // One thread wins.
  if (isa::atomic_compare_exchange(&out[9], 0, i + 1) == 0) isa::atomic_add(&out[10], 1U);
  isa::atomic_add_acq_rel(&out[11], 2);
}
ALDER_KERNEL(1)
set_up_atomics(uint32_t* out) {
  for (int i = 0; i < 12; ++i) out[i] = 0;
  out[6] = 0x80000000;
}
Words run_atomics(const Stream& stream) {
  const DeviceArray<uint32_t> out(12, "atomics");
  launch(stream, {.name = "set_up_atomics"}, set_up_atomics, out.data());
  launch(stream, {.name = "atomics", .grid = {kBlocks}, .threads = kThreads}, atomics, out.data());
  Words words(12);
  out.download(stream, words);
  words[8] += words[7];  // the one that was left
  words[7] = 0;
  words[9] = words[9] == 0 ? 0 : 1;
  return words;
}
Words expect_atomics() {
  const uint32_t sum = kAll * (kAll - 1) / 2;
  const uint64_t wide = uint64_t{sum} << 30;
  const auto balance = static_cast<int>(kAll / 2) * (3 - 5);
  return {sum,
          bits_of(static_cast<float>(sum)),
          static_cast<uint32_t>(wide),
          static_cast<uint32_t>(wide >> 32),
          static_cast<uint32_t>(balance),
          kAll - 1,
          static_cast<uint32_t>(static_cast<int>(kAll) - 1 - 1000),
          0,
          sum + kAll,
          1,
          1,
          2 * kAll};
}

// ---- tickets: each is given once, the counter returns to 0

ALDER_KERNEL(kThreads)
tickets(uint32_t* out, uint32_t* counter) {
  const uint32_t ticket = isa::take_ticket(counter, kAll - 1);
  isa::atomic_exchange(&out[ticket], 1U);
}
Words run_tickets(const Stream& stream) {
  const DeviceArray<uint32_t> counter = on_device<uint32_t>(stream, {0}, "counter");
  Words words = run_kernel(stream, {.name = "tickets", .grid = {kBlocks}, .threads = kThreads}, kAll, tickets,
                           counter.data());
  uint32_t left = 1;
  counter.download(stream, std::span(&left, 1));
  words.push_back(left);
  return words;
}
Words expect_tickets() {
  Words words(kAll, 1);
  words.push_back(0);
  return words;
}

// ---- the last block sees what all blocks wrote; twice with one counter

ALDER_KERNEL(kThreads)
last_block(uint32_t* out, uint32_t* scratch, uint32_t* counter) {
  scratch[isa::block_x() * kThreads + isa::thread()] = isa::block_x() + isa::thread();
  if (!isa::last_block_here(counter, kBlocks)) return;
  uint32_t sum = 0;
  for (uint32_t b = 0; b < kBlocks; ++b) sum += scratch[b * kThreads + (isa::thread() + 1) % kThreads];
  out[isa::thread()] = sum;
}
Words run_last_block(const Stream& stream) {
  const DeviceArray<uint32_t> counter = on_device<uint32_t>(stream, {0}, "counter");
  const DeviceArray<uint32_t> scratch(kAll, "scratch");
  Words words;
  for (int launches = 0; launches < 2; ++launches) {
    fill(stream, scratch.data(), 0xFF, kAll * sizeof(uint32_t));
    words = run_kernel(stream, {.name = "last_block", .grid = {kBlocks}, .threads = kThreads}, kThreads,
                       last_block, scratch.data(), counter.data());
  }
  return words;
}
Words expect_last_block() {
  return generate(kThreads,
                  [](uint32_t i) { return kBlocks * ((i + 1) % kThreads) + kBlocks * (kBlocks - 1) / 2; });
}

// ---- acquire and release of both widths and scopes, through one thread: the values

ALDER_KERNEL(1)
acquire_release(uint32_t* out) {
  auto* wide = reinterpret_cast<uint64_t*>(out + 2);
  isa::store_release(out, 11U);
  isa::store_release_system(out + 1, isa::load_acquire(out) + 1);
  isa::store_release(wide, uint64_t{5} << 32 | isa::load_acquire_system(out + 1));
  isa::store_release_system(wide + 1, isa::load_acquire(wide) + 1);
  isa::fence_block();
  isa::fence_device();
  isa::fence_system();
  out[6] = static_cast<uint32_t>(isa::load_acquire_system(wide + 1));
}
Words run_acquire_release(const Stream& stream) {
  return run_kernel(stream, {.name = "acquire_release"}, 7, acquire_release);
}
Words expect_acquire_release() {
  return {11, 12, 12, 5, 13, 5, 13};
}

// ---- vectors

ALDER_KERNEL(kThreads)
vectors(uint32_t* out, const uint32_t* in) {
  using isa::Cache;
  struct Buffer {
    isa::U32x4 values[kThreads];
  };
  auto& buffer = isa::shared<Buffer>();
  const uint32_t t = isa::thread();
  const auto normal = isa::load<isa::U32x4>(in + t * 4);
  const auto streaming = isa::load<isa::U32x4, Cache::streaming>(in + t * 4);
  const auto constant = isa::load<isa::U32x2, Cache::read_only>(in + t * 4 + 2);
  isa::store(&buffer.values[t], normal);
  isa::sync_block();
  const auto shared = isa::load<isa::U32x4>(&buffer.values[kThreads - 1 - t]);
  isa::store(out + t * 12, shared);
  isa::store<Cache::streaming>(out + t * 12 + 4, streaming);
  isa::store(out + t * 12 + 8, constant);
  isa::store<Cache::streaming>(out + t * 12 + 10, isa::load<uint32_t>(in + t * 4 + 1));
  out[t * 12 + 11] = 0;
}
constexpr uint32_t input(uint32_t i) {
  return i * 2654435761U;
}
Words run_vectors(const Stream& stream) {
  const DeviceArray<uint32_t> in = on_device(stream, generate(std::size_t{4} * kThreads, input), "vectors");
  return run_kernel(stream, {.name = "vectors", .threads = kThreads, .shared_bytes = kThreads * 16},
                    std::size_t{12} * kThreads, vectors, static_cast<const uint32_t*>(in.data()));
}
Words expect_vectors() {
  return generate(std::size_t{12} * kThreads, [](uint32_t i) {
    const uint32_t t = i / 12, w = i % 12;
    if (w < 4) return input((kThreads - 1 - t) * 4 + w);
    if (w < 8) return input(t * 4 + w - 4);
    if (w < 10) return input(t * 4 + 2 + w - 8);
    return w == 10 ? input(t * 4 + 1) : 0;
  });
}

// ---- cp.async: three groups of 16-byte copies, some masked, and one of 4-byte copies

struct Stages {
  isa::U32x4 wide[3][kThreads];
  uint32_t narrow[kThreads];
};

ALDER_KERNEL(kThreads)
copies(uint32_t* out, const uint32_t* in) {
  auto& stages = isa::shared<Stages>();
  const uint32_t t = isa::thread();
  for (uint32_t s = 0; s < 3; ++s) {
    isa::cp_async16(isa::shared_address(&stages.wide[s][t]), in + t * 4, (t + s) % 3 != 0);
    if (s == 2) isa::cp_async4(isa::shared_address(&stages.narrow[t]), in + t * 4 + 1, t % 2 == 0);
    isa::cp_async_commit();
  }
  const uint32_t other = kThreads - 1 - t;
  isa::cp_async_wait<1>();
  isa::sync_block();
  for (uint32_t s = 0; s < 2; ++s)
    isa::store(out + t * 16 + s * 4, isa::load<isa::U32x4>(&stages.wide[s][other]));
  isa::cp_async_wait<0>();
  isa::sync_block();
  isa::store(out + t * 16 + 8, isa::load<isa::U32x4>(&stages.wide[2][other]));
  out[t * 16 + 12] = stages.narrow[other];
  for (uint32_t i = 13; i < 16; ++i) out[t * 16 + i] = 0;
}
Words run_copies(const Stream& stream) {
  const DeviceArray<uint32_t> in = on_device(stream, generate(std::size_t{4} * kThreads, input), "copies");
  return run_kernel(stream, {.name = "copies", .threads = kThreads, .shared_bytes = sizeof(Stages)},
                    std::size_t{16} * kThreads, copies, static_cast<const uint32_t*>(in.data()));
}
Words expect_copies() {
  return generate(std::size_t{16} * kThreads, [](uint32_t i) {
    const uint32_t other = kThreads - 1 - i / 16, w = i % 16;
    if (w < 12) return (other + w / 4) % 3 != 0 ? input(other * 4 + w % 4) : 0;
    return w == 12 && other % 2 == 0 ? input(other * 4 + 1) : 0;
  });
}

constexpr Case kCases[] = {
    {"atomics", 80, run_atomics, expect_atomics},
    {"tickets", 80, run_tickets, expect_tickets},
    {"last_block", 80, run_last_block, expect_last_block},
    {"acquire_release", 80, run_acquire_release, expect_acquire_release},
    {"vectors", 80, run_vectors, expect_vectors},
    {"cp_async", 80, run_copies, expect_copies},
};

}  // namespace

std::span<const Case> memory_cases() {
  return kCases;
}

}  // namespace alder::ALDER_BACKEND::conformance
