#include "engine/head.hpp"

#include <algorithm>
#include <cmath>

#include "engine/parallel.hpp"
#include "engine/simd.hpp"

namespace alder {
namespace {

// The dot product in sixteen parallel sums, so that it vectorises and yet has a fixed order.
float dot(const float* a, const float* b, int count) {
  Floats sums{};
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) sums += load(a + i) * load(b + i);
  float total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += sums[lane];
  for (; i < count; ++i) total += a[i] * b[i];
  return total;
}

// y += factor * x
void accumulate(float factor, const float* x, int count, float* y) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, load(y + i) + factor * load(x + i));
  for (; i < count; ++i) y[i] += factor * x[i];
}

}  // namespace

template <typename T>
void average_pool(const BlockedShape& shape, int threads, const T* x, float* features) {
  parallel_for(shape.useful_threads(threads), int64_t{shape.images} * shape.blocks, [&](int64_t i) {
    const T* from = x + i * shape.pixels * kLanes;
    Floats sum{};
    for (int p = 0; p < shape.pixels; ++p) sum += load(from + int64_t{p} * kLanes);
    store(features + i * kLanes, sum * (1.0F / static_cast<float>(shape.pixels)));
  });
}

template <typename T>
void average_pool_gradient(const BlockedShape& shape, int threads, const float* feature_gradient, T* dx) {
  parallel_for(shape.useful_threads(threads), int64_t{shape.images} * shape.blocks, [&](int64_t i) {
    const Floats each = load(feature_gradient + i * kLanes) * (1.0F / static_cast<float>(shape.pixels));
    T* to = dx + i * shape.pixels * kLanes;
    for (int p = 0; p < shape.pixels; ++p) store(to + int64_t{p} * kLanes, each);
  });
}

void linear(const LinearShape& shape, const float* features, const float* weight, const float* bias,
            float* logits) {
  for (int n = 0; n < shape.images; ++n) {
    for (int k = 0; k < shape.classes; ++k) {
      const float product =
          dot(features + int64_t{n} * shape.stride, weight + int64_t{k} * shape.in, shape.in);
      logits[int64_t{n} * shape.classes + k] = product + (bias == nullptr ? 0 : bias[k]);
    }
  }
}

void linear_gradient(const LinearShape& shape, const float* features, const float* weight,
                     const float* logit_gradient, float* weight_gradient, float* bias_gradient,
                     float* feature_gradient) {
  std::fill_n(weight_gradient, int64_t{shape.classes} * shape.in, 0.0F);
  if (bias_gradient != nullptr) std::fill_n(bias_gradient, shape.classes, 0.0F);
  std::fill_n(feature_gradient, int64_t{shape.images} * shape.stride, 0.0F);
  for (int n = 0; n < shape.images; ++n) {
    const int64_t row = int64_t{n} * shape.stride;
    for (int k = 0; k < shape.classes; ++k) {
      const float g = logit_gradient[int64_t{n} * shape.classes + k];
      accumulate(g, features + row, shape.in, weight_gradient + int64_t{k} * shape.in);
      accumulate(g, weight + int64_t{k} * shape.in, shape.in, feature_gradient + row);
      if (bias_gradient != nullptr) bias_gradient[k] += g;
    }
  }
}

BatchResult cross_entropy(int classes, std::span<const int32_t> labels, const float* logits, float smoothing,
                          float* logit_gradient) {
  BatchResult result;
  const float share = 1.0F / static_cast<float>(labels.size());
  const float everywhere = smoothing / static_cast<float>(classes);
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const float* row = logits + n * static_cast<std::size_t>(classes);
    const float* top = std::max_element(row, row + classes);
    double sum = 0, mean_logit = 0;
    for (int k = 0; k < classes; ++k) {
      sum += std::exp(double{row[k]} - *top);
      mean_logit += row[k];
    }
    const double log_sum = *top + std::log(sum);
    result.loss += log_sum - (1.0 - smoothing) * row[labels[n]] - smoothing * mean_logit / classes;
    // A row of NaN has no top: max_element then gives the first, which would count as an answer.
    if (top - row == labels[n] && std::isfinite(log_sum)) ++result.correct;
    if (logit_gradient == nullptr) continue;
    float* gradient = logit_gradient + n * static_cast<std::size_t>(classes);
    for (int k = 0; k < classes; ++k) {
      const float target = everywhere + (k == labels[n] ? 1 - smoothing : 0);
      gradient[k] = (static_cast<float>(std::exp(row[k] - log_sum)) - target) * share;
    }
  }
  result.loss /= static_cast<double>(labels.size());
  return result;
}

template void average_pool(const BlockedShape&, int, const float*, float*);
template void average_pool(const BlockedShape&, int, const BFloat16*, float*);
template void average_pool_gradient(const BlockedShape&, int, const float*, float*);
template void average_pool_gradient(const BlockedShape&, int, const float*, BFloat16*);

}  // namespace alder
