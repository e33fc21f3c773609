#include "cuda/kernels/convolution_variants.hpp"

namespace alder::ALDER_BACKEND::convolution {

std::span<const Variant* const> variants() {
  static const Variant* const all[] = {
      &sm80_variant(),
      &gemm_variant(),
      &naive_variant(),
  };
  return all;
}

}  // namespace alder::ALDER_BACKEND::convolution
