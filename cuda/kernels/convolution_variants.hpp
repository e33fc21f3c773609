// The variants by name, for the registry (convolution_variants.cpp). To add one: a function here, an entry
// there.
#pragma once

#include "cuda/kernels/convolution.hpp"

namespace alder::ALDER_BACKEND::convolution {

const Variant& sm90_variant();
const Variant& sm80_variant();

}  // namespace alder::ALDER_BACKEND::convolution
