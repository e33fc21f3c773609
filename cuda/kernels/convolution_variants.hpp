// The variants by name, for the registry (convolution_variants.cpp). To add one: a function here, an entry
// there.
#pragma once

#include "cuda/kernels/convolution.hpp"

namespace alder::ALDER_BACKEND::convolution {

const Variant& sm80_variant();
const Variant& gemm_variant();
const Variant& naive_variant();

}  // namespace alder::ALDER_BACKEND::convolution
