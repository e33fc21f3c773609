// Kernels that do one thing as fast as the device can: what the rest is measured against.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/isa/backend.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND::ceilings {

// Reads `bytes` of device memory `times` over, each multiprocessor another part each time, so that a level
// above the one that holds the array is of no use. `bytes` is a multiple of 16. Writes to `sink` (a word)
// hardly ever.
void read_over(const Stream& stream, const DeviceProperties& device, const void* data, std::size_t bytes,
               int times, uint32_t* sink);

enum class Tensor : uint8_t {
  mma,              // mma.sync m16n8k16, both operands in registers
  wgmma_shared,     // both operands in shared memory
  wgmma_registers,  // A in registers
};

// Multiplies bf16 tiles that are already where the instruction wants them; columns (of wgmma) 64, 128 or 256.
// Returns the floating-point operations of the launch. `sink`: one float for each thread of the device.
double multiply(const Stream& stream, const DeviceProperties& device, Tensor tensor, int columns, int steps,
                float* sink);
std::size_t multiply_sink(const DeviceProperties& device);  // floats

// A kernel of one block that does nothing; `programmatic`: it may start while its predecessor ends.
void nothing(const Stream& stream, bool programmatic);

}  // namespace alder::ALDER_BACKEND::ceilings
