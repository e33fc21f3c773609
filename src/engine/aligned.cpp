#include "engine/aligned.hpp"

#include <cstdlib>
#include <new>
#include <utility>

namespace alder {

// calloc, not operator new and memset: the system hands out big arrays as zero pages, which cost nothing
// until they are touched. A model buffer that an order of combination never uses stays free that way.
AlignedBuffer::AlignedBuffer(std::size_t bytes) : memory_(std::calloc(1, bytes + kAlignment)), bytes_(bytes) {
  if (!memory_) throw std::bad_alloc();
  void* data = memory_.get();
  std::size_t space = bytes + kAlignment;
  data_ = static_cast<std::byte*>(std::align(kAlignment, bytes, data, space));
}

void AlignedBuffer::Free::operator()(void* memory) const {
  std::free(memory);
}

std::byte* thread_workspace(std::size_t bytes) {
  thread_local AlignedBuffer workspace;
  if (workspace.bytes() < bytes) {
    workspace = {};  // first give back the small one
    workspace = AlignedBuffer(bytes);
  }
  return workspace.data();
}

}  // namespace alder
