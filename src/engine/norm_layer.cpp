#include "engine/norm_layer.hpp"

#include "engine/lanes.hpp"

namespace alder {
namespace {

std::size_t offset(const std::vector<Tensor>& table, int index) {
  return table[static_cast<std::size_t>(index)].offset;
}

}  // namespace

NormLayer::NormLayer(const Network& network, const Layer& layer)
    : channels_(layer.channels),
      blocks_((layer.channels + kLanes - 1) / kLanes),
      pixels_(layer.height * layer.width),
      gamma_(offset(network.parameters, layer.weight)),
      beta_(offset(network.parameters, layer.bias)),
      running_mean_(offset(network.statistics, layer.running_mean)),
      running_var_(offset(network.statistics, layer.running_var)),
      values_(4 * static_cast<std::size_t>(blocks_) * kLanes * sizeof(float)),
      mean_(values_.as<float>().data()),
      var_(mean_ + blocks_ * kLanes),
      scale_(var_ + blocks_ * kLanes),
      shift_(scale_ + blocks_ * kLanes) {}

template <typename T>
void NormLayer::forward(int batch, int threads, const float* model, Statistics statistics, float* partial,
                        const T* x, const T* residual, bool relu, T* y) {
  // Padded channels read the zeros that lie behind each tensor: their scale and shift are zero.
  const float *mean = model + running_mean_, *var = model + running_var_;
  if (statistics == Statistics::batch) {
    batch_statistics(shape(batch), threads, x, partial, mean_, var_);
    mean = mean_;
    var = var_;
  }
  fold_statistics(blocks_, model + gamma_, model + beta_, mean, var, scale_, shift_);
  normalise(shape(batch), threads, x, residual, relu, scale_, shift_, y);
}

template <typename T>
void NormLayer::backward(int batch, int threads, const NormGradient<T>& in, float* partial, float* gradients,
                         const T* addend, T* dx) const {
  float *gamma = gradients + gamma_, *beta = gradients + beta_;
  norm_gradient_sums(shape(batch), threads, in, mean_, var_, scale_, shift_, partial, gamma, beta);
  norm_gradient_apply(shape(batch), threads, in, mean_, var_, scale_, shift_, gamma, beta, addend, dx);
}

void NormLayer::store_statistics_step(int batch, const float* model, float* gradients) const {
  const double count = static_cast<double>(batch) * pixels_;
  const auto unbiased = static_cast<float>(count > 1 ? count / (count - 1) : 1.0);
  for (int c = 0; c < channels_; ++c) {
    gradients[running_mean_ + c] = model[running_mean_ + c] - mean_[c];
    gradients[running_var_ + c] = model[running_var_ + c] - var_[c] * unbiased;
  }
}

void NormLayer::add_statistics(float* sums) const {
  for (int c = 0; c < channels_; ++c) {
    sums[running_mean_ + c] += mean_[c];
    sums[running_var_ + c] += var_[c];
  }
}

#define ALDER_INSTANTIATE(T)                                                                             \
  template void NormLayer::forward(int, int, const float*, Statistics, float*, const T*, const T*, bool, \
                                   T*);                                                                  \
  template void NormLayer::backward(int, int, const NormGradient<T>&, float*, float*, const T*, T*) const;
ALDER_INSTANTIATE(float)
ALDER_INSTANTIATE(BFloat16)
#undef ALDER_INSTANTIATE

}  // namespace alder
