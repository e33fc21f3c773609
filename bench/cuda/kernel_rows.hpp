// The kernels of a model's training step, ready to be timed: which, at which shapes, how often, and what they
// must at least move or compute.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cuda/kernels/convolution.hpp"
#include "cuda/kernels/head.hpp"
#include "cuda/kernels/pictures.hpp"
#include "cuda/runtime.hpp"
#include "models/network.hpp"

namespace alder::ALDER_BACKEND {

struct Activation {
  int pixels, channels;
  auto operator<=>(const Activation&) const = default;
};

// The distinct shapes of a model, with how often they occur.
struct ModelShapes {
  ModelShapes(const Network& network, int batch);

  std::map<Activation, int> norms;
  std::map<std::string, std::pair<convolution::Problem, int>> convolutions;
  HeadShape head{};
  std::size_t most_values = 0;  // of bf16 that any operand of these has
  std::size_t elements = 0;     // of the model array
};

// Operands of random values that all rows share, and the results they write.
class Operands {
 public:
  Operands(const Stream& stream, const DeviceProperties& device, const ModelShapes& shapes);

  uint16_t* input(int i) const { return inputs_[i].at<uint16_t>(); }  // 0 .. kInputs - 1
  uint16_t* output() const { return output_.at<uint16_t>(); }
  float* vector(std::size_t i) const {
    return vectors_.at<float>(i * kVectorBytes);
  }                                                    // one float32 a channel
  float* model() const { return model_.at<float>(); }  // a model array
  Head head() const;
  const DevicePictures& pictures() const { return *pictures_; }
  PictureBatch batch() const;
  Workspace workspace() const { return {workspace_.data(), counters_.at<uint32_t>()}; }

  static constexpr int kInputs = 4;

 private:
  static constexpr std::size_t kVectors = 16, kVectorBytes = 1 << 16, kCounterBytes = 1 << 20;
  DeviceMemory inputs_[kInputs];
  DeviceMemory output_, vectors_, model_, workspace_, counters_;
  DeviceMemory logits_, labels_, weight_gradient_;
  std::optional<DevicePictures> pictures_;
  DeviceMemory indices_, draws_;
  int images_;
  MappedMemory result_;
};

struct Row {
  std::string kernel, shape;
  int times;         // in a step of the model
  double bytes = 0;  // that must move
  double flops = 0;  // 0: not worth counting
  std::function<void()> run;
};

// `stream`, `device` and `operands` outlive the rows. Convolutions appear once for each variant of the
// registry.
std::vector<Row> kernel_rows(const Stream& stream, const DeviceProperties& device, const Network& network,
                             const ModelShapes& shapes, const Operands& operands);

}  // namespace alder::ALDER_BACKEND
