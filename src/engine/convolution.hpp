// One convolution layer on oneDNN: forward, gradient of the input, gradients of weights and bias.
//
// Activations are blocked [image][channel / 16][row][column][16], channels padded with zeros; the pictures
// come as plain NCHW. Weights are float32 in the model array's order (weight_order.hpp).
#pragma once

#include <map>
#include <string>

#include "engine/engine.hpp"
#include "engine/operation.hpp"

namespace alder {

class Convolution {
 public:
  Convolution(const Network& network, const Layer& layer, Precision precision, bool winograd);

  // Makes the primitives for a batch size, for the calling thread's number of OpenMP threads; nothing
  // happens when they exist. Returns the scratch that running them takes.
  std::size_t prepare(const dnnl::engine& engine, int batch);

  // Arrays are whole model arrays; activations as above, in the engine's precision.
  void forward(const Lane& lane, int batch, const float* model, const void* x, void* y);
  void input_gradient(const Lane& lane, int batch, const float* model, const void* dy, void* dx);
  void weight_gradient(const Lane& lane, int batch, const void* x, const void* dy, float* gradients);

  // oneDNN's names of the three implementations in use, e.g. "jit_bf16:avx512_core_bf16".
  std::string implementations() const;

 private:
  struct Batch {
    Operation forward, input_gradient, weight_gradient;
    std::string implementations;
  };

  Batch make(const dnnl::engine& engine, int batch) const;
  std::size_t staging_bytes() const;
  // The weights in the form that the operations take: in the model array or padded in the scratch.
  const float* staged(const Lane& lane, const float* weights) const;

  Layer layer_;
  int in_, height_, width_;  // of the input
  bool from_pictures_;       // input in plain NCHW
  bool in_place_;            // weights need no padded copy
  Precision precision_;
  bool winograd_;
  std::size_t weights_, bias_;    // offsets in the model array
  std::size_t weight_elements_;   // as staged
  std::map<int, Batch> batches_;  // by batch size
};

}  // namespace alder
