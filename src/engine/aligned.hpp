// Memory that engines own or share: zeroed, aligned for whole cache-line pairs, move-only.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace alder {

inline constexpr std::size_t kAlignment = 128;  // bytes; what engine.hpp promises for model arrays

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes);  // zeroed; throws std::bad_alloc

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

  // The whole buffer seen as values of T.
  template <typename T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(data_), bytes_ / sizeof(T)};
  }

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> memory_;
  std::byte* data_ = nullptr;  // the first aligned byte of memory_
  std::size_t bytes_ = 0;
};

// The calling thread's workspace, at least that big: what a step needs only while it runs. The workers that
// take turns on one thread share it, so activations exist once per thread and not once per worker, and stay
// in its cache. Content is undefined. Valid until this thread asks for more.
std::byte* thread_workspace(std::size_t bytes);

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace alder
