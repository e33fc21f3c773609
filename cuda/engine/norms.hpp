// All batch norms of a network on the device: where their tensors are, and what their last forward pass used.
#pragma once

#include <cstddef>
#include <vector>

#include "cuda/engine/device_program.hpp"
#include "cuda/kernels/batch_statistics.hpp"
#include "cuda/kernels/norm_statistics.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

// Per channel, of the last forward pass.
struct NormValues {
  float *mean, *variance, *scale, *shift;
};

class Norms {
 public:
  Norms(const Stream& stream, const Network& network);

  static std::size_t bytes(const Network& network, int models);  // of device memory

  NormValues values(int layer) const;
  NormAffine affine(int layer) const { return {values(layer).scale, values(layer).shift}; }

  // For a pass that takes the batch's statistics. `gradients` null: the step of the running statistics is not
  // wanted.
  BatchStatistics statistics(int layer, const float* model, float* gradients) const;

  // Tells where one more model lies; the calls below name it by its index, from 0.
  void add_model(const Stream& stream, const float* model, float* gradients);

  // Scale and shift of all norms from a model's running statistics: what evaluation normalises with.
  void fold_running(const Stream& stream, int model) const;
  // After a forward pass at a model: the running mean is that of convolutions with their biases.
  void count_biases(const Stream& stream, int model) const;
  // Mean and variance of the last forward pass, in the places of the running statistics: the statistics'
  // part of a model array, its beginning being element Network::parameter_elements.
  const float* take_batch_statistics(const Stream& stream, int model) const;
  std::size_t statistics_elements() const { return sums_.size(); }

 private:
  struct One {
    int channels;
    std::size_t gamma, beta, running_mean, running_variance;  // elements of the model array
    std::size_t values;                                       // elements of values_: four times `room`
    std::size_t room;
    std::size_t bias;  // of the convolution in front, where it is left out; kNoBias: none
  };
  static constexpr std::size_t kNoBias = static_cast<std::size_t>(-1);
  static std::size_t room(const Layer& norm);

  const One& one(int layer) const {
    return norms_[static_cast<std::size_t>(index_[static_cast<std::size_t>(layer)])];
  }

  std::vector<int> index_;  // by layer
  std::vector<One> norms_;
  std::size_t parameter_elements_;
  bool any_bias_ = false;
  DeviceArray<float> values_, sums_;
  std::vector<DeviceArray<NormEntry>> tables_;  // by model
};

}  // namespace alder::ALDER_BACKEND
