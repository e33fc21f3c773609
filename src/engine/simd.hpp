// Sixteen channels at a time: the unit of the blocked layout and of every loop of the CPU engine.
//
// GCC and Clang vector extensions, so the same source is one AVX-512 register, two AVX or four SSE /
// NEON ones. Only the bf16 rounding has an AVX-512 BF16 path of its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "engine/lanes.hpp"
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace alder {

using Floats = float __attribute__((vector_size(64)));
using Words = uint32_t __attribute__((vector_size(64)));
using Halves = uint16_t __attribute__((vector_size(32)));

[[gnu::always_inline]] inline Floats splat(float value) {
  return Floats{} + value;
}

[[gnu::always_inline]] inline Floats load(const float* from) {
  Floats value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

[[gnu::always_inline]] inline Floats load(const BFloat16* from) {
  Halves half;
  std::memcpy(&half, from, sizeof half);
  const Words word = __builtin_convertvector(half, Words) << 16;
  Floats value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

[[gnu::always_inline]] inline void store(float* to, Floats value) {
  std::memcpy(to, &value, sizeof value);
}

// Rounds to nearest, ties to even. A NaN may become another NaN or an infinity: the loss shows it either way.
[[gnu::always_inline]] inline void store(BFloat16* to, Floats value) {
#ifdef __AVX512BF16__
  __m512 whole;
  std::memcpy(&whole, &value, sizeof whole);
  const __m256bh half = _mm512_cvtneps_pbh(whole);
#else
  Words word;
  std::memcpy(&word, &value, sizeof word);
  word = (word + 0x7fff + ((word >> 16) & 1)) >> 16;
  const Halves half = __builtin_convertvector(word, Halves);
#endif
  std::memcpy(to, &half, sizeof half);
}

[[gnu::always_inline]] inline Floats positive_part(Floats value) {
  return value > Floats{} ? value : Floats{};
}

// `value` where `gate` is positive, else 0.
[[gnu::always_inline]] inline Floats where_positive(Floats gate, Floats value) {
  return gate > Floats{} ? value : Floats{};
}

}  // namespace alder
