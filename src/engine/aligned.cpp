#include "engine/aligned.hpp"

#include <cstring>
#include <new>

namespace alder {

AlignedBuffer::AlignedBuffer(std::size_t bytes) : bytes_(bytes) {
  const std::size_t allocated = round_up(bytes, kAlignment);
  data_.reset(static_cast<std::byte*>(::operator new (allocated, std::align_val_t{kAlignment})));
  std::memset(data_.get(), 0, allocated);
}

void AlignedBuffer::Free::operator()(std::byte* memory) const {
  ::operator delete (memory, std::align_val_t{kAlignment});
}

}  // namespace alder
