// One batch-norm layer of a network: where its tensors are, and what its last forward pass used.
#pragma once

#include "engine/aligned.hpp"
#include "engine/batch_norm.hpp"
#include "models/network.hpp"

namespace alder {

// What a forward pass normalises with.
enum class Statistics { batch, running };

class NormLayer {
 public:
  NormLayer(const Network& network, const Layer& layer);

  BlockedShape shape(int batch) const { return {batch, blocks_, pixels_}; }
  std::size_t bytes() const { return values_.bytes(); }

  // y = [relu] (norm(x) [+ residual]). Arrays are whole model arrays, partial as for batch_statistics.
  template <typename T>
  void forward(int batch, int threads, const float* model, Statistics statistics, float* partial, const T* x,
               const T* residual, bool relu, T* y);

  // After a forward pass with the batch's statistics: gradients of gamma and beta into the gradient array,
  // and dx as norm_gradient_apply says.
  template <typename T>
  void backward(int batch, int threads, const NormGradient<T>& in, float* partial, float* gradients,
                const T* addend, T* dx) const;

  // The statistics' part of the gradients: running value - batch value, the variance unbiased as in PyTorch.
  void store_statistics_step(int batch, const float* model, float* gradients) const;

  // Adds the batch's mean and biased variance to a model array's statistics.
  void add_statistics(float* sums) const;

 private:
  int channels_, blocks_, pixels_;
  std::size_t gamma_, beta_, running_mean_, running_var_;  // offsets in the model array
  AlignedBuffer values_;                                   // the four below, blocks * 16 floats each
  float *mean_, *var_, *scale_, *shift_;
};

}  // namespace alder
