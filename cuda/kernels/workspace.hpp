// Scratch of kernels that work in several parts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/isa/backend.hpp"

namespace alder::ALDER_BACKEND {

// Nothing in `data` is kept between calls. `counters`: zero before the first call that uses them; every call
// leaves them zero. Calls that can run at once need their own.
struct WorkspaceSize {
  std::size_t bytes = 0;
  std::size_t counters = 0;  // of 32 bits
};
struct Workspace {
  void* data = nullptr;
  uint32_t* counters = nullptr;
};

}  // namespace alder::ALDER_BACKEND
