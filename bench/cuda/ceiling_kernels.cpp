#include "ceiling_kernels.hpp"

#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::ceilings {
namespace {

// ---- reading

constexpr uint32_t kReaders = 512, kInFlight = 8, kUnlikely = 0x9E3779B9;

ALDER_KERNEL(kReaders, 2)
read_over_kernel(const isa::U32x4* data, uint32_t vectors, int times, uint32_t* sink) {
  const uint32_t blocks = isa::blocks_x(), slice = vectors / blocks;
  uint32_t seen = 0;
  for (int pass = 0; pass < times; ++pass) {
    const isa::U32x4* own =
        data + (isa::block_x() + static_cast<uint32_t>(pass) * (blocks / 2 + 1)) % blocks * slice;
    ALDER_NO_UNROLL
    for (uint32_t at = isa::thread(); at < slice; at += kReaders * kInFlight) {
      isa::U32x4 values[kInFlight];
      ALDER_UNROLL
      for (uint32_t i = 0; i < kInFlight; ++i) {
        const uint32_t index = at + i * kReaders;
        values[i] = isa::load<isa::U32x4>(own + (index < slice ? index : at));
      }
      ALDER_UNROLL
      for (uint32_t i = 0; i < kInFlight; ++i) {
        seen ^= values[i][0] ^ values[i][1] ^ values[i][2] ^ values[i][3];
      }
    }
  }
  if (seen == kUnlikely) *sink = seen;  // so that the loads are not left out
}

// ---- multiplying

constexpr int kDepth = 64;  // of a tile in shared memory: a line of 128 bytes
constexpr uint32_t kMultipliers = 256, kRows = 128;

// Values of both signs with full mantissas: the power that a multiplication takes depends on them.
ALDER_DEVICE uint32_t operand_word(uint32_t index) {
  const uint32_t mixed = (index + 1) * 0x9E3779B1U;
  const auto value = [](uint32_t bits) { return static_cast<float>(bits & 0xFFFF) * 3e-5F - 1.0F; };
  return isa::pack_bf16(value(mixed), value(mixed >> 16));
}

template <int N>
struct Tiles {
  alignas(1024) uint32_t a[kRows * kDepth / 2];
  alignas(1024) uint32_t b[N * kDepth / 2];
};

template <int N, bool kFromRegisters>
ALDER_KERNEL(kMultipliers, 1)
wgmma_kernel(int steps, float* sink) {
  if constexpr (isa::kHopper) {
    auto& tiles = isa::shared<Tiles<N>>();
    const uint32_t t = isa::thread();
    for (uint32_t i = t; i < kRows * kDepth / 2; i += kMultipliers) isa::store(&tiles.a[i], operand_word(i));
    for (uint32_t i = t; i < N * kDepth / 2; i += kMultipliers) isa::store(&tiles.b[i], operand_word(i * 7));
    isa::fence_async_proxy();
    isa::sync_block();
    // Which value lies where is all the same here: only the access pattern counts.
    const auto descriptor = [](const uint32_t* tile) {
      return isa::matrix_descriptor(isa::shared_address(tile), Swizzle::bytes128, 16, 1024);
    };
    const uint64_t a = descriptor(tiles.a + t / 128 * 64 * kDepth / 2), b = descriptor(tiles.b);
    uint32_t fragment[4];
    for (uint32_t i = 0; i < 4; ++i) fragment[i] = operand_word(t * 4 + i);
    float d[N / 2];
    ALDER_UNROLL
    for (int i = 0; i < N / 2; ++i) d[i] = 0;
    ALDER_NO_UNROLL
    for (int step = 0; step < steps; ++step) {
      isa::pin(d);
      isa::wgmma_fence();
      ALDER_UNROLL
      for (int k = 0; k < kDepth / 16; ++k) {
        const auto along = static_cast<uint64_t>(k) * 2;  // 32 bytes
        if constexpr (kFromRegisters) {
          isa::wgmma_registers<N>(d, fragment, b + along, true);
        } else {
          isa::wgmma<N>(d, a + along, b + along, true);
        }
      }
      isa::wgmma_commit();
    }
    isa::wgmma_wait<0>();
    isa::pin(d);
    float sum = 0;
    ALDER_UNROLL
    for (int i = 0; i < N / 2; ++i) sum += d[i];
    sink[isa::block_x() * kMultipliers + t] = sum;
  }
}

constexpr int kMmaRows = 4, kMmaColumns = 4;

ALDER_KERNEL(kMultipliers, 2)
mma_kernel(int steps, float* sink) {
  uint32_t a[kMmaRows][4], b[kMmaColumns][2];
  const uint32_t t = isa::thread();
  for (uint32_t i = 0; i < kMmaRows * 4; ++i) a[i / 4][i % 4] = operand_word(t * 32 + i);
  for (uint32_t i = 0; i < kMmaColumns * 2; ++i) b[i / 2][i % 2] = operand_word(t * 32 + 16 + i);
  float d[kMmaRows][kMmaColumns][4] = {};
  ALDER_NO_UNROLL
  for (int step = 0; step < steps; ++step) isa::mma_tile(d, a, b);
  float sum = 0;
  ALDER_UNROLL
  for (int i = 0; i < kMmaRows * kMmaColumns * 4; ++i) {
    sum += d[i / (kMmaColumns * 4)][i / 4 % kMmaColumns][i % 4];
  }
  sink[isa::block_x() * kMultipliers + t] = sum;
}

template <int N, bool kFromRegisters>
void launch_wgmma(const Stream& stream, uint32_t blocks, int steps, float* sink) {
  launch(stream,
         {.name = kFromRegisters ? "wgmma ceiling, A in registers" : "wgmma ceiling",
          .grid = {blocks},
          .threads = kMultipliers,
          .shared_bytes = sizeof(Tiles<N>)},
         wgmma_kernel<N, kFromRegisters>, steps, sink);
}

template <bool kFromRegisters>
void launch_wgmma(const Stream& stream, uint32_t blocks, int columns, int steps, float* sink) {
  if (columns == 64) return launch_wgmma<64, kFromRegisters>(stream, blocks, steps, sink);
  if (columns == 128) return launch_wgmma<128, kFromRegisters>(stream, blocks, steps, sink);
  launch_wgmma<256, kFromRegisters>(stream, blocks, steps, sink);
}

// ---- nothing

ALDER_KERNEL(32) nothing_kernel() {
  isa::grid_dependency_launch();
  isa::grid_dependency_wait();
}

uint32_t multiprocessors(const DeviceProperties& device) {
  return static_cast<uint32_t>(device.multiprocessors);
}

}  // namespace

void read_over(const Stream& stream, const DeviceProperties& device, const void* data, std::size_t bytes,
               int times, uint32_t* sink) {
  launch(stream, {.name = "read ceiling", .grid = {2 * multiprocessors(device)}, .threads = kReaders},
         read_over_kernel, static_cast<const isa::U32x4*>(data), static_cast<uint32_t>(bytes / 16), times,
         sink);
}

std::size_t multiply_sink(const DeviceProperties& device) {
  return std::size_t{2} * multiprocessors(device) * kMultipliers;
}

double multiply(const Stream& stream, const DeviceProperties& device, Tensor tensor, int columns, int steps,
                float* sink) {
  const uint32_t sms = multiprocessors(device);
  if (tensor == Tensor::mma) {
    launch(stream, {.name = "mma ceiling", .grid = {2 * sms}, .threads = kMultipliers}, mma_kernel, steps,
           sink);
    constexpr double kWarp = 2.0 * kMmaRows * kMmaColumns * 16 * 8 * 16;
    return kWarp * (kMultipliers / 32) * 2 * sms * steps;
  }
  if (tensor == Tensor::wgmma_registers) {
    launch_wgmma<true>(stream, sms, columns, steps, sink);
  } else {
    launch_wgmma<false>(stream, sms, columns, steps, sink);
  }
  return 2.0 * kRows * columns * kDepth * sms * steps;
}

void nothing(const Stream& stream, bool programmatic) {
  launch(stream, {.name = "nothing", .threads = 32, .programmatic = programmatic}, nothing_kernel);
}

}  // namespace alder::ALDER_BACKEND::ceilings
