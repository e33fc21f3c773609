// Conformance: one tiny kernel per instruction of the seam, writing its whole result, and what it must be in
// closed form. The same sources run in the emulator and, built by nvcc, on a GPU, where the results are
// compared bit for bit. Values are chosen so that rounding cannot differ: small integers wherever tensor
// cores add.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND::conformance {

using Words = std::vector<uint32_t>;

struct Case {
  const char* name;
  int capability;  // the first that has it: 80 or 90
  Words (*run)(const Stream& stream);
  Words (*expected)();
};

// By subject, one file each.
std::span<const Case> thread_cases();   // indices, barriers, shuffles, votes
std::span<const Case> memory_cases();   // atomics, order, vectors, cp.async
std::span<const Case> number_cases();   // bf16 and float32
std::span<const Case> matrix_cases();   // ldmatrix, mma
std::span<const Case> bulk_cases();     // mbarriers, bulk copies, tensor maps
std::span<const Case> cluster_cases();  // clusters, dependent launch, registers
std::span<const Case> wgmma_cases();

// What a kernel writes to its first argument: `words` words, 0xFFFFFFFF where it does not.
template <typename... Parameters, typename... Arguments>
Words run_kernel(const Stream& stream, const LaunchShape& shape, std::size_t words,
                 void (*kernel)(uint32_t*, Parameters...), Arguments... arguments) {
  const DeviceArray<uint32_t> out(words, "conformance results");
  fill(stream, out.data(), 0xFF, words * sizeof(uint32_t));
  launch(stream, shape, kernel, out.data(), arguments...);
  Words result(words);
  out.download(stream, result);
  return result;
}

// Words 0 .. count-1 from a function of the index.
template <typename Function>
Words generate(std::size_t count, const Function& function) {
  Words words(count);
  for (std::size_t i = 0; i < count; ++i) words[i] = function(static_cast<uint32_t>(i));
  return words;
}

// Device memory with these contents.
template <typename T>
DeviceArray<T> on_device(const Stream& stream, const std::vector<T>& values, const char* purpose) {
  DeviceArray<T> array(values.size(), purpose);
  array.upload(stream, values);
  return array;
}

// A small integer as bf16: exact up to 256.
inline uint16_t bf16_of(int value) {
  const auto number = static_cast<float>(value);
  uint32_t bits;
  static_assert(sizeof bits == sizeof number);
  std::memcpy(&bits, &number, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);
}
inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace alder::ALDER_BACKEND::conformance
