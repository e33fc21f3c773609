// The body of blas.hpp for the emulator: a thread for each element of the result.
#include "cuda/blas.hpp"
#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"

namespace alder::emulated {
namespace {

constexpr uint32_t kThreads = 128;

void product_kernel(Product p, const uint16_t* a, const uint16_t* b, void* c) {
  const auto i = int64_t{isa::block_x()} * kThreads + isa::thread();
  if (i >= p.rows * p.columns) return;
  const int64_t row = i / p.columns, column = i % p.columns;
  const int64_t a_step = p.a_transposed ? p.rows : 1, b_step = p.b_transposed ? 1 : p.columns;
  const uint16_t* from_a = a + (p.a_transposed ? row : row * p.inner);
  const uint16_t* from_b = b + (p.b_transposed ? column * p.inner : column);
  float sum = 0;
  for (int64_t k = 0; k < p.inner; ++k) {
    sum += isa::from_bf16(from_a[k * a_step]) * isa::from_bf16(from_b[k * b_step]);
  }
  if (p.bf16_result) {
    auto* to = static_cast<uint16_t*>(c) + i;
    *to = isa::to_bf16(p.accumulate ? isa::from_bf16(*to) + sum : sum);
  } else {
    auto* to = static_cast<float*>(c) + i;
    *to = p.accumulate ? *to + sum : sum;
  }
}

}  // namespace

std::size_t blas_workspace_bytes() {
  return 0;
}

void multiply(const Stream& stream, const Product& product, const uint16_t* a, const uint16_t* b, void* c,
              void*) {
  const auto blocks = static_cast<uint32_t>((product.rows * product.columns + kThreads - 1) / kThreads);
  launch(stream, {.name = "product", .grid = {blocks}, .threads = kThreads}, product_kernel, product, a, b,
         c);
}

}  // namespace alder::emulated
