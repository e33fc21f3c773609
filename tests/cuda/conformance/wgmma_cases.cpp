// wgmma: whole products for several N, both majors of both operands, all swizzles, A from registers.
//
// The host lays the operands out by the rules that hopper.hpp states, the kernel copies that picture of
// shared memory in and multiplies once onto accumulators that are not zero.
#include "case.hpp"

namespace alder::ALDER_BACKEND::conformance {
namespace {

using isa::Major;

constexpr uint32_t kThreads = 128, kRows = 64, kDepth = 16;
constexpr uint32_t kABytes = 8192, kBBytes = 32768;  // room for either

constexpr int a_value(int row, int k) {
  return (row * 3 + k * 5) % 7 - 3;
}
constexpr int b_value(int k, int column) {
  return (k * 2 + column * 3) % 9 - 4;
}
constexpr int d_value(int row, int column) {
  return row - column;
}

struct Shared {
  alignas(1024) uint8_t a[kABytes];
  alignas(1024) uint8_t b[kBBytes];
};

// An operand's strides, and with them where element (mn, k) lies.
struct Layout {
  Major major;
  Swizzle swizzle;
  uint32_t leading, stride;

  uint32_t offset(uint32_t mn, uint32_t k) const {
    const uint32_t span = swizzle == Swizzle::none ? 16 : 16U << static_cast<uint32_t>(swizzle),
                   half = span / 2;
    uint32_t bytes;
    if (major == Major::k) {
      const uint32_t next_k = swizzle == Swizzle::none ? leading : 16;
      bytes = mn / 8 * stride + mn % 8 * span + k / 8 * next_k + k % 8 * 2;
    } else if (swizzle == Swizzle::none) {
      bytes = mn / 8 * stride + mn % 8 * 2 + k % 8 * 16 + k / 8 * leading;
    } else {
      bytes = mn / half * leading + mn % half * 2 + k % 8 * span + k / 8 * stride;
    }
    return bytes ^ (bytes / 128 % 8 & (span / 16 - 1)) << 4;
  }
};

// Dense layouts: groups of eight follow each other, k first without a swizzle.
constexpr Layout layout_of(Major major, Swizzle swizzle, uint32_t count) {
  const uint32_t span = 16U << static_cast<uint32_t>(swizzle);
  if (swizzle == Swizzle::none)
    return major == Major::k ? Layout{major, swizzle, 128, 256} : Layout{major, swizzle, count * 16, 128};
  if (major == Major::k) return {major, swizzle, 16, 8 * span};
  return {major, swizzle, 16 * span, 8 * span};
}

struct Strides {
  uint32_t a_leading, a_stride, b_leading, b_stride;
};

template <int N, Major A, Swizzle SwizzleA, Major B, Swizzle SwizzleB, bool Registers>
ALDER_KERNEL(kThreads)
wgmmas(uint32_t* out, const uint8_t* picture, const uint32_t* a_registers, Strides strides) {
  if constexpr (isa::kHopper) {
    auto& shared = isa::shared<Shared>();
    const uint32_t t = isa::thread();
    for (uint32_t i = t * 16; i < kABytes + kBBytes; i += kThreads * 16) {
      uint8_t* to = i < kABytes ? shared.a + i : shared.b + (i - kABytes);
      isa::store(to, isa::load<isa::U32x4>(picture + i));
    }
    isa::fence_async_proxy();
    isa::sync_block();
    const int row = static_cast<int>(t / 32 * 16 + t % 32 / 4), column = static_cast<int>(t % 4) * 2;
    float d[N / 2];
    for (int i = 0; i < N / 2; ++i) {
      d[i] = static_cast<float>(row + i / 2 % 2 * 8 - (i / 4 * 8 + column + i % 2));
    }
    isa::pin(d);
    isa::wgmma_fence();
    const uint64_t b =
        isa::matrix_descriptor(isa::shared_address(shared.b), SwizzleB, strides.b_leading, strides.b_stride);
    if constexpr (Registers) {
      uint32_t a[4];
      for (int q = 0; q < 4; ++q) a[q] = a_registers[t * 4 + q];
      isa::wgmma_registers<N, B>(d, a, b, true);
    } else {
      const uint64_t a = isa::matrix_descriptor(isa::shared_address(shared.a), SwizzleA, strides.a_leading,
                                                strides.a_stride);
      isa::wgmma<N, A, B>(d, a, b, true);
    }
    isa::wgmma_commit();
    isa::wgmma_wait<0>();
    isa::pin(d);
    for (int i = 0; i < N / 2; ++i) {
      uint32_t bits;
      memcpy(&bits, &d[i], sizeof bits);
      out[t * (N / 2) + static_cast<uint32_t>(i)] = bits;
    }
  }
}

void place(std::vector<uint8_t>& picture, uint32_t offset, int value) {
  const uint16_t bits = bf16_of(value);
  std::memcpy(&picture[offset], &bits, sizeof bits);
}

template <int N, Major A, Swizzle SwizzleA, Major B, Swizzle SwizzleB, bool Registers = false>
Words run_wgmma(const Stream& stream) {
  constexpr Layout a = layout_of(A, SwizzleA, kRows), b = layout_of(B, SwizzleB, N);
  std::vector<uint8_t> picture(kABytes + kBBytes, 0xFF);  // NaN wherever nothing belongs
  for (uint32_t k = 0; k < kDepth; ++k) {
    for (uint32_t row = 0; row < kRows; ++row) {
      place(picture, a.offset(row, k), a_value(static_cast<int>(row), static_cast<int>(k)));
    }
    for (uint32_t column = 0; column < N; ++column) {
      place(picture, kABytes + b.offset(column, k), b_value(static_cast<int>(k), static_cast<int>(column)));
    }
  }
  const Words fragments = generate(std::size_t{kThreads} * 4, [](uint32_t i) {
    const auto lane = static_cast<int>(i / 4 % 32), warp = static_cast<int>(i / 128),
               q = static_cast<int>(i % 4);
    const int row = warp * 16 + lane / 4 + q % 2 * 8, k = lane % 4 * 2 + q / 2 * 8;
    return bf16_of(a_value(row, k)) | uint32_t{bf16_of(a_value(row, k + 1))} << 16;
  });
  const DeviceArray<uint8_t> device_picture = on_device(stream, picture, "picture of shared memory");
  const DeviceArray<uint32_t> device_fragments = on_device(stream, fragments, "fragments");
  return run_kernel(stream, {.name = "wgmma", .threads = kThreads, .shared_bytes = sizeof(Shared)},
                    std::size_t{kThreads} * N / 2, wgmmas<N, A, SwizzleA, B, SwizzleB, Registers>,
                    static_cast<const uint8_t*>(device_picture.data()),
                    static_cast<const uint32_t*>(device_fragments.data()),
                    Strides{a.leading, a.stride, b.leading, b.stride});
}

template <int N>
Words expect_wgmma() {
  return generate(std::size_t{kThreads} * N / 2, [](uint32_t index) {
    const auto t = static_cast<int>(index / (N / 2)), i = static_cast<int>(index % (N / 2));
    const int row = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + t % 4 * 2 + i % 2;
    int sum = d_value(row, column);
    for (int k = 0; k < static_cast<int>(kDepth); ++k) sum += a_value(row, k) * b_value(k, column);
    return bits_of(static_cast<float>(sum));
  });
}

constexpr Swizzle kNone = Swizzle::none, k32 = Swizzle::bytes32, k64 = Swizzle::bytes64,
                  k128 = Swizzle::bytes128;

constexpr Case kCases[] = {
    {"wgmma_n8_k_none", 90, run_wgmma<8, Major::k, kNone, Major::k, kNone>, expect_wgmma<8>},
    {"wgmma_n64_k_128", 90, run_wgmma<64, Major::k, k128, Major::k, k128>, expect_wgmma<64>},
    {"wgmma_n96_k_64", 90, run_wgmma<96, Major::k, k64, Major::k, k32>, expect_wgmma<96>},
    {"wgmma_n160_k_none_128", 90, run_wgmma<160, Major::k, kNone, Major::k, k128>, expect_wgmma<160>},
    {"wgmma_n256_k_128", 90, run_wgmma<256, Major::k, k128, Major::k, k128>, expect_wgmma<256>},
    {"wgmma_n64_mn_none", 90, run_wgmma<64, Major::mn, kNone, Major::mn, kNone>, expect_wgmma<64>},
    {"wgmma_n128_mn_128", 90, run_wgmma<128, Major::mn, k128, Major::mn, k128>, expect_wgmma<128>},
    {"wgmma_n64_mn_64_32", 90, run_wgmma<64, Major::mn, k64, Major::mn, k32>, expect_wgmma<64>},
    {"wgmma_n64_k_mn", 90, run_wgmma<64, Major::k, k128, Major::mn, k128>, expect_wgmma<64>},
    {"wgmma_n80_registers", 90, run_wgmma<80, Major::k, kNone, Major::k, k128, true>, expect_wgmma<80>},
    {"wgmma_n64_registers_mn", 90, run_wgmma<64, Major::k, kNone, Major::mn, k128, true>, expect_wgmma<64>},
};

}  // namespace

std::span<const Case> wgmma_cases() {
  return kCases;
}

}  // namespace alder::ALDER_BACKEND::conformance
