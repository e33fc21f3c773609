// Memory that a transport may have to register before a network card can read or write it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace alder {

enum class MemoryKind : uint8_t {
  host,
  cuda,  // device memory: plain addresses, never dereferenced by the CPU
};

struct Region {
  void* address = nullptr;
  std::size_t bytes = 0;
  MemoryKind kind = MemoryKind::host;
  int device = -1;  // CUDA device ordinal, for MemoryKind::cuda
};

}  // namespace alder
