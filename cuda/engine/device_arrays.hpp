// The flat arrays of one engine in device memory: models, gradients, momentum, and the bf16 copy that the
// convolutions compute with.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/engine/memory_need.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

class DeviceArrays {
 public:
  DeviceArrays(const Stream& stream, const Network& network);

  std::span<float> model(int buffer) const { return span(models_[static_cast<std::size_t>(buffer)]); }
  std::span<float> gradients() const { return span(gradients_); }
  std::span<float> momentum() const { return span(momentum_); }
  uint16_t* copy() const { return copy_.data(); }

  // The bf16 copy belongs to one buffer at a time. `forget`: this memory is about to be written by somebody
  // who does not write the copy.
  bool copied(int buffer) const { return copied_ == buffer; }
  void set_copied(int buffer) { copied_ = buffer; }
  void forget(const float* array);
  // The buffer that lies at this address; -1: none.
  int buffer_at(const float* array) const;

 private:
  static std::span<float> span(const DeviceArray<float>& array) { return {array.data(), array.size()}; }

  std::array<DeviceArray<float>, kModelBuffers> models_;
  DeviceArray<float> gradients_, momentum_;
  DeviceArray<uint16_t> copy_;
  int copied_ = -1;
};

}  // namespace alder::ALDER_BACKEND
