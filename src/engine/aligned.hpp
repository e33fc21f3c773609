// Memory that the engine owns: zeroed, aligned for whole cache-line pairs, move-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace alder {

inline constexpr std::size_t kAlignment = 128;  // bytes; what engine.hpp promises for model arrays

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes);  // zeroed; throws std::bad_alloc

  std::byte* data() const { return data_.get(); }
  std::size_t bytes() const { return bytes_; }

  // The whole buffer seen as values of T.
  template <typename T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(data_.get()), bytes_ / sizeof(T)};
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace alder
