// Small records as bytes: written field by field, read back with every length checked.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.hpp"

namespace alder {

using Bytes = std::vector<std::byte>;

// All processes of a job run the same binary, so numbers travel as they lie in memory.
static_assert(std::endian::native == std::endian::little, "the control plane's records are little-endian");

class ByteWriter {
 public:
  template <typename Number>
  requires std::is_arithmetic_v<Number>
  void number(Number value) { raw(std::as_bytes(std::span(&value, 1))); }
  // Length and characters.
  void text(std::string_view value) {
    number(static_cast<uint32_t>(value.size()));
    raw(std::as_bytes(std::span(value)));
  }
  void raw(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

// Throws Error naming `what` as soon as a field does not fit in what is left. Views stay in the caller's
// bytes.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string_view what) : left_(bytes), what_(what) {}

  template <typename Number>
  requires std::is_arithmetic_v<Number> Number number() {
    Number value;
    std::memcpy(&value, raw(sizeof value).data(), sizeof value);
    return value;
  }
  std::string text() {
    const auto bytes = raw(number<uint32_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::span<const std::byte> raw(std::size_t bytes) {
    if (bytes > left_.size())
      fail("{} is cut short: {} more bytes expected, {} left", what_, bytes, left_.size());
    const auto field = left_.first(bytes);
    left_ = left_.subspan(bytes);
    return field;
  }
  std::size_t left() const { return left_.size(); }
  bool empty() const { return left_.empty(); }
  void finish() const {
    if (!left_.empty()) fail("{} has {} bytes too many", what_, left_.size());
  }

 private:
  std::span<const std::byte> left_;
  std::string what_;
};

}  // namespace alder
