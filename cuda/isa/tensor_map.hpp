// A tensor map: what the bulk copy engine knows of a tensor in global memory. Opaque; made by
// cuda/tensor_map.hpp, given to kernels by value as an ALDER_PARAMETER. The same type in both worlds, and the
// size that the hardware has.
#pragma once

#include <cstdint>

namespace alder {

struct alignas(128) TensorMap {
  uint64_t opaque[16];
};
static_assert(sizeof(TensorMap) == 128);

// How 16-byte chunks are permuted within spans of shared memory: chunk number XOR line number, where lines
// are 128 bytes and a span is as wide as the name says. Works on address bits (4.. ^= 7..), so a pattern
// repeats every 256, 512 or 1024 bytes.
enum class Swizzle : uint8_t { none, bytes32, bytes64, bytes128 };

}  // namespace alder
