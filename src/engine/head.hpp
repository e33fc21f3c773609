// The end of every network: global average pool, linear layer, softmax cross-entropy. All of it in
// float32, whatever the precision of the activations: it is small.
#pragma once

#include <cstdint>
#include <span>

#include "engine/batch_norm.hpp"
#include "engine/engine.hpp"

namespace alder {

// features[image][blocks * 16] = mean over the pixels.
template <typename T>
void average_pool(const BlockedShape& shape, int threads, const T* x, float* features);

// dx[...] = feature gradient / pixels at every pixel.
template <typename T>
void average_pool_gradient(const BlockedShape& shape, int threads, const float* feature_gradient, T* dx);

struct LinearShape {
  int images, in, classes;
  int stride;  // floats from one image's features to the next: `in` rounded up to 16
};

// logits[image][class] = features . weight[class] + bias[class]; weight is {classes, in}.
void linear(const LinearShape& shape, const float* features, const float* weight, const float* bias,
            float* logits);

// Overwrites weight_gradient {classes, in}, bias_gradient {classes} and feature_gradient (padding zero).
void linear_gradient(const LinearShape& shape, const float* features, const float* weight,
                     const float* logit_gradient, float* weight_gradient, float* bias_gradient,
                     float* feature_gradient);

// Mean loss and number of correct pictures. Target: 1 - smoothing on the label plus smoothing / classes on
// every class, as PyTorch's. logit_gradient, if not null, receives d loss / d logit.
BatchResult cross_entropy(int classes, std::span<const int32_t> labels, const float* logits, float smoothing,
                          float* logit_gradient);

}  // namespace alder
