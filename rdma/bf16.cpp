#include "rdma/bf16.hpp"

namespace alder::rdma {

void encode_bf16(std::span<const float> source, std::span<uint16_t> target) {
  for (std::size_t k = 0; k < source.size(); ++k) target[k] = to_bf16(source[k]);
}

void decode_bf16(std::span<const uint16_t> wire, std::span<const float> own, std::span<float> target) {
  if (own.empty()) {
    for (std::size_t k = 0; k < wire.size(); ++k) target[k] = from_bf16(wire[k]);
    return;
  }
  for (std::size_t k = 0; k < wire.size(); ++k) {
    target[k] = from_bf16(wire[k]) + (own[k] - from_bf16(to_bf16(own[k])));
  }
}

}  // namespace alder::rdma
