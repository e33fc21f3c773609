// Small networks, models and batches that the engine tests share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.hpp"

namespace alder {

// A network that brings one operator, or one way of joining them, to its edges.
struct ExampleNetwork {
  std::string name;
  Network network;
};

// Odd channel counts, kernels 1 and 3, strides 1 and 2 on odd sizes, with and without bias, fused and unfused
// batch norm, ReLU and addition, values read by up to three layers, channels enough for Winograd's algorithm.
std::vector<ExampleNetwork> example_networks();

// Those of them that the oracle can afford to run many times.
std::vector<ExampleNetwork> small_networks();

// Parameters around PyTorch's initial ones, but no batch norm at its neutral values. PyTorch's order; the
// padding between tensors is zero.
std::vector<float> example_model(const Network& network, uint64_t seed);

struct ExampleBatch {
  std::vector<float> images;
  std::vector<int32_t> labels;
  operator Batch() const { return {images, labels}; }
};
ExampleBatch example_batch(const Network& network, int size, uint64_t seed);

// The name of a bf16 or fp32 test case.
inline std::string precision_name(Precision precision) {
  return precision == Precision::bf16 ? "bf16" : "fp32";
}

// The precisions that this machine has.
std::vector<Precision> precisions();

}  // namespace alder
