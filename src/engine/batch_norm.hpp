// Batch normalisation, with the ReLU and the residual addition around it, on blocked activations.
// Source: Ioffe and Szegedy 2015, algorithm 1; gradients as in its section 3.
//
// An activation is [image][block][pixel][16 channels]. All per-channel vectors are float32 of
// blocks * 16 values; padded channels hold zeros and stay zero. T is float or BFloat16.
//
//   y = relu(scale * x + shift + residual)       scale = gamma / sqrt(var + eps), shift = beta - scale * mean
#pragma once

#include "engine/lanes.hpp"

namespace alder {

inline constexpr float kBatchNormEpsilon = 1e-5F;

struct BlockedShape {
  int images, blocks, pixels;
  int64_t values() const { return int64_t{images} * blocks * pixels * kLanes; }
  // Waking other threads takes longer than going through a few thousand values.
  int useful_threads(int threads) const { return values() < 16384 ? 1 : threads; }
};

// Mean and biased variance per channel. One pass over x: sums of x and its square about the
// channel's first value (so that nothing cancels when the mean is far from zero), in float32 within an
// image and in double across images, in the order of the images whatever the number of threads.
// partial: images * blocks * 32 floats of scratch.
template <typename T>
void batch_statistics(const BlockedShape& shape, int threads, const T* x, float* partial, float* mean,
                      float* var);

// scale and shift for given statistics.
void fold_statistics(int blocks, const float* gamma, const float* beta, const float* mean, const float* var,
                     float* scale, float* shift);

// y = scale * x + shift [+ residual] [then relu]. residual may be null.
template <typename T>
void normalise(const BlockedShape& shape, int threads, const T* x, const T* residual, bool relu,
               const float* scale, const float* shift, T* y);

// What the gradient of y meets on its way to the normalisation.
template <typename T>
struct NormGradient {
  const T* x;          // the normalisation's input
  const T* y;          // its output after the ReLU; null where the gate follows from x alone
  const T* gradient;   // of y
  const T* gradient2;  // a second part of it, or null
  T* joined;           // receives relu'(gradient + gradient2); null: not wanted. May alias `gradient`
  bool relu;
};

// Gradients of gamma and beta. partial as above.
template <typename T>
void norm_gradient_sums(const BlockedShape& shape, int threads, const NormGradient<T>& in, const float* mean,
                        const float* var, const float* scale, const float* shift, float* partial,
                        float* gamma_gradient, float* beta_gradient);

// Gradient of x, from `joined` if there is one, plus `addend`: the part of x's gradient that comes from its
// other readers, or null. dx may alias any input.
template <typename T>
void norm_gradient_apply(const BlockedShape& shape, int threads, const NormGradient<T>& in, const float* mean,
                         const float* var, const float* scale, const float* shift,
                         const float* gamma_gradient, const float* beta_gradient, const T* addend, T* dx);

}  // namespace alder
