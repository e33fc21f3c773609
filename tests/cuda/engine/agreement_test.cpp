// The whole network, forward and back, against the oracle in double precision: every operator on awkward shapes,
// every way of joining them, every family of models, and every variant of the convolutions in turn.
#include "engine_test.hpp"
#include "tests/engine/reference_network.hpp"

namespace alder::ALDER_BACKEND {
namespace {

struct Case {
  std::string name;
  Network network;
  std::string variant;  // empty: the registry's choice
  int batch;
};

class EngineAgainstOracle : public EngineTest, public ::testing::WithParamInterface<Case> {};

// At most twice the error of the oracle with every stored value rounded to bf16, over the whole tensor; with room
// for a tensor whose exact gradient is zero.
void expect_close(const std::string& what, std::span<const double> got, std::span<const double> exact,
                  std::span<const double> naive) {
  const double bound = 2 * distance(naive, exact) + 1e-3 * norm(exact) + 1e-5;
  EXPECT_LE(distance(got, exact), bound) << what << ", whose norm is " << norm(exact);
}

TEST_P(EngineAgainstOracle, ForwardAndBackward) {
  const auto& [name, network, variant, size] = GetParam();
  const ExampleBatch batch = example_batch(network, size, 3);
  const std::vector<double> model = doubles(example_model(network, 2));
  const auto engine = example_engine(network, 4, {.variant = variant}, 0.1F);
  const BatchResult result = engine->forward_backward(0, batch);

  const ReferenceResult exact = reference_run(network, model, batch, {.label_smoothing = 0.1F});
  const ReferenceResult naive =
      reference_run(network, model, batch, {.rounding = Rounding::bf16, .label_smoothing = 0.1F});
  expect_close("loss", std::vector{result.loss}, std::vector{exact.loss}, std::vector{naive.loss});
  expect_close("logits", doubles(engine->logits()), exact.logits, naive.logits);
  const std::vector<double> gradients = doubles(exported(*engine, engine->gradients()));
  for (const auto* table : {&network.parameters, &network.statistics}) {
    for (const Tensor& tensor : *table) {
      const auto part = [&](const std::vector<double>& all) {
        return std::span(all).subspan(tensor.offset, tensor.elements);
      };
      expect_close(tensor.name, part(gradients), part(exact.gradients), part(naive.gradients));
    }
  }
}

TEST_P(EngineAgainstOracle, EvaluationWithRunningStatistics) {
  const auto& [name, network, variant, size] = GetParam();
  const ExampleBatch batch = example_batch(network, size, 8);
  const std::vector<double> model = doubles(example_model(network, 2));
  const auto engine = example_engine(network, 4, {.variant = variant}, 0.3F);
  std::vector<float> logits(static_cast<std::size_t>(size * network.classes));
  const BatchResult result = engine->evaluate(0, batch, logits);

  ReferenceSettings settings{.running_statistics = true};
  const ReferenceResult exact = reference_run(network, model, batch, settings);
  settings.rounding = Rounding::bf16;
  const ReferenceResult naive = reference_run(network, model, batch, settings);
  expect_close("loss", std::vector{result.loss}, std::vector{exact.loss}, std::vector{naive.loss});
  expect_close("logits", doubles(logits), exact.logits, naive.logits);
}

TEST_P(EngineAgainstOracle, StatisticsOfABatch) {
  const auto& [name, network, variant, size] = GetParam();
  const ExampleBatch batch = example_batch(network, size, 5);
  const std::vector<double> model = doubles(example_model(network, 2));
  const auto engine = example_engine(network, 4, {.variant = variant});
  std::vector<float> sums(network.elements, 0.0F);
  engine->accumulate_statistics(0, batch, sums);

  const ReferenceResult exact = reference_run(network, model, batch);
  const ReferenceResult naive = reference_run(network, model, batch, {.rounding = Rounding::bf16});
  for (const Tensor& tensor : network.statistics) {
    const auto part = [&](const std::vector<double>& all) {
      return std::span(all).subspan(tensor.offset, tensor.elements);
    };
    expect_close(tensor.name, part(doubles(sums)), part(exact.statistics), part(naive.statistics));
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const ExampleNetwork& example : example_networks()) {
    for (const int batch : {1, 3}) all.push_back({example.name, example.network, "", batch});
  }
  // Every family of models, small: a stem, basic blocks, bottlenecks with biases, both forms of WideResNet.
  for (const char* name : {"resnet-20", "resnet-release", "wrn-10-1", "wrn-10-1-release", "tiny"}) {
    all.push_back({name, make_network(name, 5, 8, 8), "", 3});
  }
  for (const char* variant : {"sm90", "sm80", "gemm", "naive"}) {
    for (const char* name : {"tiny", "wrn-10-1-release"}) {
      all.push_back({name, make_network(name, 5, 8, 8), variant, 2});
    }
  }
  return all;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  const Case& one = info.param;
  std::string name = one.name + "_Batch" + std::to_string(one.batch);
  if (!one.variant.empty()) name += "_by_" + one.variant;
  for (char& letter : name) {
    if (letter == '-') letter = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Networks, EngineAgainstOracle, ::testing::ValuesIn(cases()), case_name);

}  // namespace
}  // namespace alder::ALDER_BACKEND
