// What the tests of the CUDA engine share. Compiled twice: over the emulator, and, as NAME_gpu, for a device,
// where they skip when there is none.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cuda/engine/make_engine.hpp"
#include "cuda/runtime.hpp"
#include "tests/engine/examples.hpp"

namespace alder::ALDER_BACKEND {

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_unusable(0); !why.empty()) GTEST_SKIP() << why;
  }
};

// An engine with example_model(seed 2) in its buffer 0.
inline std::unique_ptr<Engine> example_engine(const Network& network, int batch,
                                              const DeviceOptions& options = {}, float smoothing = 0) {
  auto engine = make_engine(
      network, {.max_batch = batch, .precision = Precision::bf16, .label_smoothing = smoothing}, options);
  engine->import_array(example_model(network, 2), engine->model(0));
  return engine;
}

inline std::vector<float> exported(const Engine& engine, std::span<const float> array) {
  std::vector<float> values(array.size());
  engine.export_array(array, values);
  return values;
}

// One step of plain SGD with momentum on one worker, from buffer 0 to buffer 1 or back.
inline BatchResult train_step(Engine& engine, int from, const Batch& batch) {
  const BatchResult result = engine.forward_backward(from, batch);
  const Term self{1.0F, engine.model(from)};
  engine.combine({.terms = {&self, 1},
                  .self = engine.model(from),
                  .target = engine.model(1 - from),
                  .optimizer = {.learning_rate = 0.05F, .momentum = 0.9F, .weight_decay = 1e-3F}});
  return result;
}

// Steps on batches of their own, from buffer 0 on; all that is left behind, in PyTorch's order: losses,
// model, gradients, momentum.
inline std::vector<float> train(Engine& engine, int batch, int steps) {
  std::vector<float> all;
  for (int step = 0; step < steps; ++step) {
    const ExampleBatch pictures = example_batch(engine.network(), batch, 10 + static_cast<uint64_t>(step));
    all.push_back(static_cast<float>(train_step(engine, step % 2, pictures).loss));
  }
  for (const std::span<const float> array :
       {std::span<const float>(engine.model(steps % 2)), std::span<const float>(engine.gradients()),
        std::span<const float>(engine.momentum())}) {
    const std::vector<float> values = exported(engine, array);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

inline double distance(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}
inline double norm(std::span<const double> a) {
  double sum = 0;
  for (const double value : a) sum += value * value;
  return std::sqrt(sum);
}
inline std::vector<double> doubles(std::span<const float> values) {
  return {values.begin(), values.end()};
}

}  // namespace alder::ALDER_BACKEND
