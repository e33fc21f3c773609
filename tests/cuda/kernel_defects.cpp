// kernel_defects CASE: runs one small kernel. Those named sound_* are right; each other one has a defect that
// a sanitizer must report when this program is built with it: races (ThreadSanitizer), accesses out of bounds
// (AddressSanitizer, UndefinedBehaviorSanitizer), values that nobody wrote (MemorySanitizer). CTest knows
// which.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <vector>

#include "base/error.hpp"
#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"
#include "cuda/runtime.hpp"
#include "pipelines/column_sums.hpp"
#include "pipelines/conv.hpp"

namespace alder::emulated {
namespace {

constexpr uint32_t kThreads = 64, kBlocks = 4;

struct Shared {
  float values[kThreads];
};

// ---- races

// One warp reads what the other wrote.
template <bool kBarrier>
void across_warps(float* out) {
  auto& s = isa::shared<Shared>();
  s.values[isa::thread()] = 1;
  if (kBarrier) isa::sync_block();
  out[isa::block_x() * kThreads + isa::thread()] = s.values[isa::thread() ^ 32];
}

// One lane reads what its neighbour wrote; a shuffle in between orders nothing.
template <bool kSync>
void across_lanes(float* out) {
  auto& s = isa::shared<Shared>();
  s.values[isa::thread()] = 1;
  float other = isa::shuffle_xor(s.values[isa::thread()], 1);
  if (kSync) isa::sync_warp();
  out[isa::block_x() * kThreads + isa::thread()] = other + s.values[isa::thread() ^ 1];
}

template <bool kAtomic>
void across_blocks(float* out) {
  if (isa::thread() != 5) return;
  if (kAtomic) {
    isa::atomic_add(out, 1.0F);
  } else {
    out[0] += 1;
  }
}

// Block 0 hands a value to block 1 by a flag, which block 1 finds set or gives up.
template <bool kAcquire>
void flag(float* out) {
  auto* word = reinterpret_cast<uint32_t*>(out + 1);
  if (isa::thread() != 0) return;
  if (isa::block_x() == 0) {
    out[0] = 1;
    if (kAcquire) {
      isa::store_release(word, 1U);
    } else {
      isa::atomic_exchange(word, 1U);
    }
  } else if (isa::block_x() == 1) {
    const uint32_t seen = kAcquire ? isa::load_acquire(word) : isa::atomic_add(word, 0U);
    if (seen == 1) out[2] = out[0];
  }
}

// The same with relaxed atomics and fences around them.
void fenced_flag(float* out) {
  auto* word = reinterpret_cast<uint32_t*>(out + 1);
  if (isa::thread() != 0) return;
  if (isa::block_x() == 0) {
    out[0] = 1;
    isa::fence_device();
    isa::atomic_exchange(word, 1U);
  } else if (isa::block_x() == 1 && isa::atomic_add(word, 0U) == 1) {
    isa::fence_device();
    out[2] = out[0];
  }
}

// Blocks of a cluster read each other's shared memory.
template <bool kSync>
void across_cluster(float* out) {
  auto& s = isa::shared<Shared>();
  s.values[isa::thread()] = static_cast<float>(isa::cluster_rank());
  if (kSync) isa::cluster_sync();
  out[isa::block_x() * kThreads + isa::thread()] =
      isa::cluster_shared(&s, isa::cluster_rank() ^ 1)->values[isa::thread()];
  isa::cluster_sync();
}

// ---- out of bounds

void writes_behind_global(float* out) {
  out[isa::block_x() * kThreads + isa::thread() + 1] = 1;
}
void reads_behind_global(float* out) {
  const uint32_t i = isa::block_x() * kThreads + isa::thread();
  const float next = out[i + 1];
  if (isa::thread() == 0) out[i] = next;
}
void writes_behind_shared(float* out) {
  auto& s = isa::shared<Shared>();
  float* values = s.values;
  const uint32_t i = isa::thread() + (out == nullptr ? 0 : 1);
  values[i] = 1;
}
void misaligned_vector(float* out) {
  const auto* vector = reinterpret_cast<const isa::F32x4*>(out + 1);
  out[isa::thread()] = (*vector)[0];
}

// ---- never written

void reads_unwritten_shared(float* out) {
  auto& s = isa::shared<Shared>();
  if (isa::thread() < kThreads - 1) s.values[isa::thread()] = 1;
  isa::sync_block();
  if (s.values[kThreads - 1 - isa::thread()] > 0.5F) out[isa::thread()] = 1;
}
void reads_unwritten_global(float* out) {
  if (out[isa::thread()] > 0.5F) out[isa::thread()] = 1;
}

// ---- running them

constexpr std::size_t kWords = kBlocks * kThreads;

void run(void (*kernel)(float*), uint32_t cluster = 1, bool written = true) {
  const Stream stream("a defect");
  const DeviceArray<float> out(kWords, "out");
  if (written) fill(stream, out.data(), 0, kWords * sizeof(float));
  launch(stream,
         {.name = "defect",
          .grid = {kBlocks},
          .threads = kThreads,
          .shared_bytes = sizeof(Shared),
          .cluster = cluster},
         kernel, out.data());
}

void run_conv(const std::function<void(const Stream&, const pipelines::ConvArguments&)>& conv) {
  const pipelines::ConvShape shape{.n = 1, .h = 9, .w = 8, .c = 64, .k = 64};
  const Stream stream("a defect");
  const DeviceArray<uint16_t> x(static_cast<std::size_t>(shape.pixels()) * shape.c, "x");
  const DeviceArray<uint16_t> w(static_cast<std::size_t>(shape.k) * 9 * shape.c, "w");
  const DeviceArray<float> y(static_cast<std::size_t>(shape.pixels()) * shape.k, "y");
  fill(stream, x.data(), 0, x.size() * sizeof(uint16_t));
  fill(stream, w.data(), 0, w.size() * sizeof(uint16_t));
  conv(stream, {x.data(), w.data(), y.data(), shape});
  std::vector<float> result(y.size());
  y.download(stream, result);
  const auto wrong = std::count_if(result.begin(), result.end(), [](float value) { return value != 0; });
  if (wrong > 0) fail("{} of {} results are wrong", wrong, result.size());
}

void run_conv_sm80(pipelines::ConvBug bug) {
  run_conv([=](const Stream& s, const pipelines::ConvArguments& a) { pipelines::conv_sm80(s, a, bug); });
}
void run_conv_sm90(pipelines::HopperBug bug) {
  run_conv([=](const Stream& s, const pipelines::ConvArguments& a) { pipelines::conv_sm90(s, a, bug); });
}
void run_sums(pipelines::SumBug bug) {
  using pipelines::ColumnSums;
  constexpr int kRows = 100;
  const Stream stream("a defect");
  const DeviceArray<float> x(kRows * ColumnSums::kColumns, "x"), sums(ColumnSums::kColumns, "sums");
  const DeviceArray<float> partial(kRows * ColumnSums::kColumns, "partial sums");
  const DeviceArray<uint32_t> counter(1, "counter");
  fill(stream, x.data(), 0, x.size() * sizeof(float));
  fill(stream, counter.data(), 0, sizeof(uint32_t));
  pipelines::column_sums(stream, {x.data(), partial.data(), sums.data(), counter.data(), kRows}, bug);
}

// Plain arrays and pointers: the standard library's own objects are not instrumented for MemorySanitizer.
struct Case {
  const char* name;
  void (*run)();
};
constexpr Case kCases[] = {
    {"sound_across_warps", [] { run(across_warps<true>); }},
    {"sound_across_lanes", [] { run(across_lanes<true>); }},
    {"sound_across_blocks", [] { run(across_blocks<true>); }},
    {"sound_across_cluster", [] { run(across_cluster<true>, 2); }},
    {"sound_flag", [] { run(flag<true>); }},
    {"sound_fenced_flag", [] { run(fenced_flag); }},
    {"sound_conv_sm80", [] { run_conv_sm80(pipelines::ConvBug::none); }},
    {"sound_conv_sm90", [] { run_conv_sm90(pipelines::HopperBug::none); }},
    {"sound_sums", [] { run_sums(pipelines::SumBug::none); }},
    {"race_across_warps", [] { run(across_warps<false>); }},
    {"race_across_lanes", [] { run(across_lanes<false>); }},
    {"race_across_blocks", [] { run(across_blocks<false>); }},
    {"race_across_cluster", [] { run(across_cluster<false>, 2); }},
    {"race_flag", [] { run(flag<false>); }},
    {"race_conv_no_barrier", [] { run_conv_sm80(pipelines::ConvBug::no_barrier); }},
    {"race_conv_load_before_barrier", [] { run_conv_sm80(pipelines::ConvBug::load_before_barrier); }},
    {"race_conv_early_release", [] { run_conv_sm90(pipelines::HopperBug::early_release); }},
    {"race_conv_no_store_barrier", [] { run_conv_sm90(pipelines::HopperBug::no_store_barrier); }},
    {"race_sums_no_block_barrier", [] { run_sums(pipelines::SumBug::no_block_barrier); }},
    {"race_sums_no_ticket", [] { run_sums(pipelines::SumBug::no_ticket); }},
    {"race_sums_relaxed_ticket", [] { run_sums(pipelines::SumBug::relaxed_ticket); }},
    {"overrun_global_write", [] { run(writes_behind_global); }},
    {"overrun_global_read", [] { run(reads_behind_global); }},
    {"overrun_shared_write", [] { run(writes_behind_shared); }},
    {"misaligned_vector", [] { run(misaligned_vector); }},
    {"unwritten_conv_no_wait", [] { run_conv_sm80(pipelines::ConvBug::no_wait); }},
    {"unwritten_shared", [] { run(reads_unwritten_shared); }},
    {"unwritten_global", [] { run(reads_unwritten_global, 1, false); }},
};

}  // namespace
}  // namespace alder::emulated

int main(int argc, char** argv) {
  for (const auto& [name, run] : alder::emulated::kCases) {
    if (argc != 2 || std::strcmp(name, argv[1]) != 0) continue;
    try {
      run();
    } catch (const std::exception& error) {
      std::printf("error: %s\n", error.what());
      return 1;
    }
    std::printf("%s: ran to its end\n", name);
    return 0;
  }
  std::puts("usage: kernel_defects CASE; cases:");
  for (const auto& [name, run] : alder::emulated::kCases) std::printf("  %s\n", name);
  return 2;
}
