// bf16 and float32 arithmetic.
#include "case.hpp"

namespace alder::ALDER_BACKEND::conformance {
namespace {

// ---- float32 to bf16 and back

const Words& float_inputs() {
  static const Words inputs = [] {
    Words words = {
        0x00000000, 0x80000000, 0x3F800000, 0xBF800000,  // 0, -0, 1, -1
        0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF,  // ties and their neighbours
        0xBF808000, 0xBF818000, 0xBF808001, 0xBF807FFF,  // negative
        0x7F7F0000, 0x7F7FFFFF, 0x7F7F7FFF, 0x7F7F8000,  // the largest, and what rounds to infinity
        0x7F800000, 0xFF800000, 0x7F800001, 0x7FC00000,  // infinities, NaN
        0xFFC00000, 0xFFFFFFFF, 0x00000001, 0x00007FFF,  // NaN, subnormal
        0x00008000, 0x00018000, 0x007FFFFF, 0x00808000,  // subnormal ties
    };
    uint32_t state = 12345;
    while (words.size() < 256) {
      state = state * 1664525 + 1013904223;
      words.push_back(state ^ state >> 13);
    }
    return words;
  }();
  return inputs;
}

uint32_t rounded(uint32_t bits) {
  if ((bits & 0x7F800000) == 0x7F800000 && (bits & 0x007FFFFF) != 0) return 0x7FFF;
  const uint32_t below = bits >> 16, rest = bits & 0xFFFF;
  const bool up = rest > 0x8000 || (rest == 0x8000 && below % 2 == 1);
  return below + (up ? 1 : 0);
}

ALDER_KERNEL(256)
conversions(uint32_t* out, const uint32_t* in) {
  const uint32_t t = isa::thread();
  const auto value = [&](uint32_t i) {
    float number;
    memcpy(&number, &in[i], sizeof number);
    return number;
  };
  out[t * 3] = isa::to_bf16(value(t));
  out[t * 3 + 1] = isa::pack_bf16(value(t), value((t + 1) % 256));
  const uint32_t pair = out[t * 3 + 1];
  const float sum[3] = {isa::low_bf16(pair), isa::high_bf16(pair),
                        isa::from_bf16(static_cast<uint16_t>(pair))};
  uint32_t bits[3];
  memcpy(bits, sum, sizeof bits);
  out[t * 3 + 2] = bits[0] ^ bits[1] >> 16 ^ bits[2] << 1;
}
Words run_conversions(const Stream& stream) {
  const DeviceArray<uint32_t> in = on_device(stream, float_inputs(), "numbers");
  return run_kernel(stream, {.name = "conversions", .threads = 256}, std::size_t{3} * 256, conversions,
                    static_cast<const uint32_t*>(in.data()));
}
Words expect_conversions() {
  return generate(std::size_t{3} * 256, [](uint32_t i) {
    const uint32_t low = rounded(float_inputs()[i / 3]), high = rounded(float_inputs()[(i / 3 + 1) % 256]);
    if (i % 3 == 0) return low;
    if (i % 3 == 1) return low | high << 16;
    return low << 16 ^ high ^ low << 17;
  });
}

// ---- fma of pairs. Rows: a, b, c in the low half, the same times -1, 1, 1 with other numbers in the high
// half.

struct Fma {
  uint16_t a, b, c, sum, relu, filled;
};
// Worked out by hand.
constexpr Fma kFma[] = {
    {0x4000, 0x4040, 0x3F80, 0x40E0, 0x40E0, 0x40E0},  // 2 * 3 + 1
    {0xC000, 0x4040, 0x3F80, 0xC0A0, 0x0000, 0x0000},  // -2 * 3 + 1
    {0x3FC0, 0x3F81, 0x0000, 0x3FC2, 0x3FC2, 0x3FC2},  // 1.5 * (1 + 2^-7): a tie, to even
    {0x3FC0, 0x3F81, 0x8D80, 0x3FC1, 0x3FC1, 0x3FC1},  // the same less 2^-100: rounded once, below the tie
    {0x3FC0, 0x3F81, 0x0D80, 0x3FC2, 0x3FC2, 0x3FC2},  // plus 2^-100
    {0x3F81, 0x3F81, 0xBF82, 0x3880, 0x3880,
     0x3880},  // (1 + 2^-7)^2 - (1 + 2^-6) = 2^-14: the product is exact
    {0x7F00, 0x4000, 0x0000, 0x7F80, 0x7F80, 0x7F80},  // overflows
    {0x7F80, 0x0000, 0x3F80, 0x7FFF, 0x7FFF, 0x7FFF},  // infinity * 0
    {0xFF80, 0x3F80, 0x3F80, 0xFF80, 0x0000, 0x0000},  // -infinity
    {0x7FFF, 0x3F80, 0x3F80, 0x7FFF, 0x7FFF, 0x0000},  // the mark of a filled element
    {0x3F80, 0x7FC1, 0x3F80, 0x7FFF, 0x7FFF, 0x7FFF},  // another NaN
    {0x0001, 0x3F80, 0x0001, 0x0002, 0x0002, 0x0002},  // subnormal
    {0x0080, 0x3F00, 0x0000, 0x0040, 0x0040, 0x0040},  // becomes subnormal
    {0x0001, 0x3F00, 0x0000, 0x0000, 0x0000, 0x0000},  // half of the smallest: a tie, to even
    {0x0003, 0x3F00, 0x0000, 0x0002, 0x0002, 0x0002},  // 1.5 of the smallest: a tie, to even
    {0x4348, 0x4348, 0xC348, 0x471B, 0x471B, 0x471B},  // 200 * 200 - 200 = 39800 rounds to 39680
};
constexpr uint32_t kRows = sizeof kFma / sizeof *kFma;

const Fma& high_row(uint32_t i) {
  return kFma[(i + 3) % kRows];
}

ALDER_KERNEL(kRows)
fmas(uint32_t* out, const uint32_t* in) {
  const uint32_t t = isa::thread();
  out[t * 2] = isa::fma_bf16x2(in[t * 3], in[t * 3 + 1], in[t * 3 + 2]);
  out[t * 2 + 1] = isa::fma_relu_bf16x2(in[t * 3], in[t * 3 + 1], in[t * 3 + 2]);
}
ALDER_KERNEL(kRows)
filled_fmas(uint32_t* out, const uint32_t* in) {
  const uint32_t t = isa::thread();
  if constexpr (isa::kHopper) out[t] = isa::fma_relu_filled_bf16x2(in[t * 3], in[t * 3 + 1], in[t * 3 + 2]);
}
Words fma_inputs() {
  return generate(std::size_t{3} * kRows, [](uint32_t i) {
    const Fma &low = kFma[i / 3], &high = high_row(i / 3);
    const uint16_t lows[3] = {low.a, low.b, low.c}, highs[3] = {high.a, high.b, high.c};
    return lows[i % 3] | uint32_t{highs[i % 3]} << 16;
  });
}
Words run_fmas(const Stream& stream) {
  const DeviceArray<uint32_t> in = on_device(stream, fma_inputs(), "numbers");
  return run_kernel(stream, {.name = "fmas", .threads = kRows}, std::size_t{2} * kRows, fmas,
                    static_cast<const uint32_t*>(in.data()));
}
Words expect_fmas() {
  return generate(std::size_t{2} * kRows, [](uint32_t i) {
    const Fma &low = kFma[i / 2], &high = high_row(i / 2);
    return i % 2 == 0 ? low.sum | uint32_t{high.sum} << 16 : low.relu | uint32_t{high.relu} << 16;
  });
}
Words run_filled_fmas(const Stream& stream) {
  const DeviceArray<uint32_t> in = on_device(stream, fma_inputs(), "numbers");
  return run_kernel(stream, {.name = "filled_fmas", .threads = kRows}, kRows, filled_fmas,
                    static_cast<const uint32_t*>(in.data()));
}
Words expect_filled_fmas() {
  return generate(kRows, [](uint32_t i) { return kFma[i].filled | uint32_t{high_row(i).filled} << 16; });
}

// ---- float32: rounded as written. (1 + 2^-12)^2 - (1 + 2^-11) is 0 in two steps and 2^-24 in one.

ALDER_KERNEL(1)
roundings(uint32_t* out, float a, float c) {
  const float results[4] = {isa::multiply(a, a), isa::add(isa::multiply(a, a), c),
                            isa::fused_multiply_add(a, a, c),
                            isa::add(isa::multiply(a, 3.0F), isa::multiply(c, 3.0F))};
  memcpy(out, results, sizeof results);
}
constexpr float kA = 1 + 1.0F / 4096, kC = -(1 + 1.0F / 2048);
Words run_roundings(const Stream& stream) {
  return run_kernel(stream, {.name = "roundings"}, 4, roundings, kA, kC);
}
// 3 a is exact, 3 c as well; their sum is -3 * 2^-12.
Words expect_roundings() {
  return {bits_of(-kC), bits_of(0), bits_of(0x1p-24F), bits_of(-3 * 0x1p-12F)};
}

constexpr Case kCases[] = {
    {"bf16_conversions", 80, run_conversions, expect_conversions},
    {"bf16_fma", 80, run_fmas, expect_fmas},
    {"bf16_fma_filled", 90, run_filled_fmas, expect_filled_fmas},
    {"float_rounding", 80, run_roundings, expect_roundings},
};

}  // namespace

std::span<const Case> number_cases() {
  return kCases;
}

}  // namespace alder::ALDER_BACKEND::conformance
