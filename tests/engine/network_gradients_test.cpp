// Every operator on awkward shapes, and every way of joining them, against the oracle.
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "examples.hpp"
#include "reference_network.hpp"

namespace alder {
namespace {

struct Case {
  ExampleNetwork example;
  Precision precision;
  int batch;
};

class EngineAgainstOracle : public testing::TestWithParam<Case> {};

double distance(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

double norm(std::span<const double> a) {
  double sum = 0;
  for (const double value : a) sum += value * value;
  return std::sqrt(sum);
}

std::vector<double> doubles(std::span<const float> values) {
  return {values.begin(), values.end()};
}

// Checks `got` against the exact values. fp32: relative to the tensor, with room for a tensor whose exact
// gradient is zero. bf16: at most twice the error of the naive bf16 run, both over the whole tensor.
void expect_close(const std::string& what, Precision precision, std::span<const double> got,
                  std::span<const double> exact, std::span<const double> naive) {
  const double bound = precision == Precision::fp32 ? 2e-5 * norm(exact) + 2e-6
                                                    : 2 * distance(naive, exact) + 1e-3 * norm(exact) + 1e-5;
  EXPECT_LE(distance(got, exact), bound) << what << ", whose norm is " << norm(exact);
}

// An engine with the given model in its buffer 0.
std::unique_ptr<Engine> engine_with(const Network& network, std::span<const float> model,
                                    const EngineSettings& settings) {
  auto engine = make_cpu_engine(network, settings);
  engine->import_array(model, engine->model(0));
  return engine;
}

TEST_P(EngineAgainstOracle, ForwardAndBackward) {
  const auto& [example, precision, size] = GetParam();
  const Network& network = example.network;
  const ExampleBatch batch = example_batch(network, size, 3);
  const std::vector<float> model = example_model(network, 4);
  const auto engine =
      engine_with(network, model, {.max_batch = 4, .precision = precision, .label_smoothing = 0.1F});
  const BatchResult result = engine->forward_backward(0, batch);

  const ReferenceResult exact = reference_run(network, doubles(model), batch, {.label_smoothing = 0.1F});
  const ReferenceResult naive =
      reference_run(network, doubles(model), batch, {.rounding = Rounding::bf16, .label_smoothing = 0.1F});
  expect_close("loss", precision, std::vector{result.loss}, std::vector{exact.loss}, std::vector{naive.loss});
  expect_close("logits", precision, doubles(engine->logits()), exact.logits, naive.logits);
  std::vector<float> gradients(network.elements);
  engine->export_array(engine->gradients(), gradients);
  const std::vector<double> got = doubles(gradients);
  for (const auto* table : {&network.parameters, &network.statistics}) {
    for (const Tensor& tensor : *table) {
      const auto part = [&](const std::vector<double>& all) {
        return std::span(all).subspan(tensor.offset, tensor.elements);
      };
      expect_close(tensor.name, precision, part(got), part(exact.gradients), part(naive.gradients));
    }
  }
}

TEST_P(EngineAgainstOracle, EvaluationWithRunningStatistics) {
  const auto& [example, precision, size] = GetParam();
  const Network& network = example.network;
  const ExampleBatch batch = example_batch(network, size, 8);
  const std::vector<float> model = example_model(network, 9);
  const auto engine =
      engine_with(network, model, {.max_batch = 4, .precision = precision, .label_smoothing = 0.3F});
  std::vector<float> logits(static_cast<std::size_t>(size * network.classes));
  const BatchResult result = engine->evaluate(0, batch, logits);

  ReferenceSettings settings{.running_statistics = true};
  const ReferenceResult exact = reference_run(network, doubles(model), batch, settings);
  settings.rounding = Rounding::bf16;
  const ReferenceResult naive = reference_run(network, doubles(model), batch, settings);
  expect_close("loss", precision, std::vector{result.loss}, std::vector{exact.loss}, std::vector{naive.loss});
  expect_close("logits", precision, doubles(logits), exact.logits, naive.logits);
  if (precision == Precision::fp32) {
    EXPECT_EQ(result.correct, exact.correct);
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const ExampleNetwork& example : example_networks()) {
    for (const Precision precision : precisions()) {
      // One picture of one pixel has no variance: the derivative of its batch norm is 0 / 0 in the limit.
      for (const int batch : {1, 3}) all.push_back({example, precision, batch});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Networks, EngineAgainstOracle, testing::ValuesIn(cases()), [](const auto& param) {
  const Case& one = param.param;
  return one.example.name + "_" + precision_name(one.precision) + "_Batch" + std::to_string(one.batch);
});

}  // namespace
}  // namespace alder
