// The oracle of every engine: any Network, in plain loops, without a single optimisation.
//
// Values are doubles. With Rounding::bf16 everything that an engine may store in bf16 is rounded to it
// (pictures, convolution weights, every layer's output, every activation's gradient): the naive run in the
// same precision, whose error tells how large an engine's may be (at most twice, after FlashAttention's
// tests).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/engine.hpp"

namespace alder {

enum class Rounding { none, bf16 };

struct ReferenceSettings {
  Rounding rounding = Rounding::none;
  double label_smoothing = 0;
  bool running_statistics = false;  // normalise as evaluate does
};

struct ReferenceResult {
  double loss = 0;
  int64_t correct = 0;
  std::vector<double> logits;      // batch x classes
  std::vector<double> gradients;   // Network::elements; statistics: running value - batch value (unbiased)
  std::vector<double> statistics;  // Network::elements; the batch's mean and biased variance in their places
};

// `model` in PyTorch's order, Network::elements long. Gradients only with batch statistics.
ReferenceResult reference_run(const Network& network, std::span<const double> model, const Batch& batch,
                              const ReferenceSettings& settings = {});

// To the nearest bf16 value, ties to even.
double round_bf16(double value);

}  // namespace alder
