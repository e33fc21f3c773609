// Matrix products by a library, on the device by cuBLASLt; in the emulator by a plain kernel of our own.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

// c = a b, or c += a b, of dense matrices in row-major order: a is rows x inner, b inner x columns, both
// bf16, sums in float32.
struct Product {
  int64_t rows, columns, inner;
  bool a_transposed = false;  // a lies as inner x rows
  bool b_transposed = false;  // b lies as columns x inner
  bool bf16_result = false;   // else float32
  bool accumulate = false;    // +=

  friend auto operator<=>(const Product&, const Product&) = default;
};

// Scratch that multiply may use; nothing is kept in it.
std::size_t blas_workspace_bytes();

// Puts the product on the stream. All addresses are multiples of 16, and so are the lengths in bytes of all
// rows. `workspace`: blas_workspace_bytes(). How a product is computed is chosen the first time that it
// comes up on a device and kept, so that it gives the same bits ever after in this process. Throws Error with
// the library's words. Threads: any, with different workspaces for calls that may run at once.
void multiply(const Stream& stream, const Product& product, const uint16_t* a, const uint16_t* b, void* c,
              void* workspace);

}  // namespace alder::ALDER_BACKEND
