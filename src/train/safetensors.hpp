// The safetensors format (https://github.com/huggingface/safetensors): 8 bytes little-endian header length,
// a JSON header {name: {dtype, shape, data_offsets}, "__metadata__": {string: string}}, then the bytes.
// PyTorch opens it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alder {

enum class DType { f32, f64, i32, i64, u8, bf16, u64 };
std::size_t size_of(DType type);
std::string_view name_of(DType type);  // as the format writes it: "F32"

struct TensorView {
  DType type = DType::f32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

// A whole file in memory. Errors name the origin, the tensor and what is wrong. Stricter than the format
// where that finds damage: every byte after the header belongs to exactly one tensor, no key appears twice.
class SafeTensors {
 public:
  static SafeTensors read(const std::filesystem::path& path);
  // `origin` is what errors call it. Never reads outside `bytes`, whatever they hold.
  static SafeTensors parse(std::vector<std::byte> bytes, std::string origin);

  // The views point into bytes_, so this moves but is not copied.
  SafeTensors(SafeTensors&&) = default;
  SafeTensors& operator=(SafeTensors&&) = default;

  // Each view begins at a multiple of its element's size, so that it may be read as an array.
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  // Throws Error when the tensor is absent (names the near ones) or has another type or shape (says both).
  std::span<const float> floats(const std::string& name, std::span<const int64_t> shape) const;
  const TensorView& at(const std::string& name) const;
  // SHA-256 of the whole file.
  std::string digest() const;

 private:
  SafeTensors() = default;

  std::string origin_;
  std::vector<std::byte> bytes_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Writes atomically (base/file.hpp). Tensors with larger elements come first, then by name, and the header is
// padded to 8 bytes: so each begins at a multiple of its element's size, as readers that map the file want.
// Returns the file's SHA-256. Throws Error when a tensor's bytes do not fit its shape, or the file cannot be
// written.
std::string write_safetensors(const std::filesystem::path& path,
                              const std::map<std::string, TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata);

}  // namespace alder
