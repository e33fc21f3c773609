// A place in a ring of stages, and the parity of the round: what mbarriers are waited for with.
#pragma once

#include <cstdint>

#include "cuda/isa/backend.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

struct Ring {
  ALDER_DEVICE explicit Ring(int stages) : size(stages) {}

  ALDER_DEVICE void next() {
    if (++stage == size) {
      stage = 0;
      parity ^= 1;
    }
  }

  int size;
  int stage = 0;
  uint32_t parity = 0;  // a stage is full when its phase of this parity has ended, empty with the other one
};

}  // namespace alder::ALDER_BACKEND::convolution::sm90
