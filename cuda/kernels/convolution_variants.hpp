// The variants by name, for the registry (convolution_variants.cpp). To add one: a function here, an entry
// there.
#pragma once

#include <cstddef>
#include <memory>

#include "cuda/kernels/convolution.hpp"

namespace alder::ALDER_BACKEND::convolution {

const Variant& sm80_variant();
const Variant& gemm_variant();
// The same with another limit for the bytes of x laid out as rows (gemm_convolution.cpp).
std::unique_ptr<const Variant> make_gemm_variant(std::size_t row_bytes);
const Variant& naive_variant();

}  // namespace alder::ALDER_BACKEND::convolution
