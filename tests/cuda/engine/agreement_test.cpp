// The whole network, forward and back, against the oracle in double precision: every operator on awkward
// shapes, every way of joining them, every family of models, and every variant of the convolutions in turn.
#include <algorithm>
#include <functional>
#include <ostream>

#include "base/philox.hpp"
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

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name << ", batch " << one.batch << ", variant '" << one.variant << "'";
}

class EngineAgainstOracle : public EngineTest, public ::testing::WithParamInterface<Case> {};

// The exact result, and how far off it results in bf16 may be by rounding alone. A single rounding that turns
// a ReLU over can weigh more than all others, so there are several runs of the oracle: with every stored
// value rounded, and exact ones at weights and pictures that are off by as much as bf16 leaves them (2^-9 of
// the value; where a rounding falls is an engine's own affair).
struct Yardstick {
  static constexpr int kRounded = 3, kShifted = 3;

  Yardstick(const Network& network, const ExampleBatch& batch, ReferenceSettings settings) {
    const std::vector<double> model = doubles(example_model(network, 2));
    exact = reference_run(network, model, batch, settings);
    for (int run = 0; run < kRounded + kShifted; ++run) {
      Random random(static_cast<uint64_t>(run), Draw::shapes, 1);
      const auto shift = [&](auto& values) {
        for (auto& value : values) value *= 1 + 0x1p-8F * (random.uniform() - 0.5F);
      };
      ExampleBatch pictures = batch;
      std::vector<double> weights = model;
      if (run > 0) {
        shift(pictures.images);
        shift(weights);
      }
      settings.rounding = run < kRounded ? Rounding::bf16 : Rounding::none;
      runs.push_back(reference_run(network, weights, pictures, settings));
    }
  }

  // At most twice as far off, over the whole of `part`, with room for one whose exact values are zero.
  void expect_close(const std::string& what, std::span<const double> got,
                    const std::function<std::span<const double>(const ReferenceResult&)>& part) const {
    double most = 0;
    for (const ReferenceResult& one : runs) most = std::max(most, distance(part(one), part(exact)));
    const double bound = 2 * most + 1e-3 * norm(part(exact)) + 1e-5;
    EXPECT_LE(distance(got, part(exact)), bound) << what << ", whose norm is " << norm(part(exact));
  }
  void expect_close(double loss, std::span<const float> logits) const {
    expect_close("loss", std::span(&loss, 1),
                 [](const ReferenceResult& one) { return std::span(&one.loss, 1); });
    expect_close("logits", doubles(logits), [](const ReferenceResult& one) { return std::span(one.logits); });
  }

  ReferenceResult exact;
  std::vector<ReferenceResult> runs;
};

std::span<const double> tensor_of(const std::vector<double>& array, const Tensor& tensor) {
  return std::span(array).subspan(tensor.offset, tensor.elements);
}

TEST_P(EngineAgainstOracle, ForwardAndBackwardAndTheStatisticsOfABatch) {
  const auto& [name, network, variant, size] = GetParam();
  const ExampleBatch batch = example_batch(network, size, 3);
  const auto engine = example_engine(network, 4, {.variant = variant}, 0.1F);
  const BatchResult result = engine->forward_backward(0, batch);

  const Yardstick yardstick(network, batch, {.label_smoothing = 0.1F});
  yardstick.expect_close(result.loss, engine->logits());
  const std::vector<double> gradients = doubles(exported(*engine, engine->gradients()));
  for (const auto* table : {&network.parameters, &network.statistics}) {
    for (const Tensor& tensor : *table) {
      yardstick.expect_close(tensor.name, tensor_of(gradients, tensor),
                             [&](const ReferenceResult& one) { return tensor_of(one.gradients, tensor); });
    }
  }

  std::vector<float> sums(network.elements, 0.0F);
  engine->accumulate_statistics(0, batch, sums);
  const std::vector<double> statistics = doubles(sums);
  for (const Tensor& tensor : network.statistics) {
    yardstick.expect_close(tensor.name, tensor_of(statistics, tensor),
                           [&](const ReferenceResult& one) { return tensor_of(one.statistics, tensor); });
  }
}

TEST_P(EngineAgainstOracle, EvaluationWithRunningStatistics) {
  const auto& [name, network, variant, size] = GetParam();
  const ExampleBatch batch = example_batch(network, size, 8);
  const auto engine = example_engine(network, 4, {.variant = variant}, 0.3F);
  std::vector<float> logits(static_cast<std::size_t>(size * network.classes));
  const BatchResult result = engine->evaluate(0, batch, logits);
  Yardstick(network, batch, {.running_statistics = true}).expect_close(result.loss, logits);
}

// The CPU engine takes larger kernels and pictures of many channels too; and the oracle is slow.
bool belongs_here(const Network& network) {
  return network.channels <= 8 && network.parameter_count < 100'000 &&
         std::ranges::all_of(network.layers, [](const Layer& layer) { return layer.kernel <= 3; });
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const ExampleNetwork& example : example_networks()) {
    if (!belongs_here(example.network)) continue;
    for (const int batch : {1, 3}) all.push_back({example.name, example.network, "", batch});
  }
  // Every family of models, small: a stem, basic blocks, bottlenecks with biases, both forms of WideResNet.
  for (const char* name : {"resnet-20", "wrn-10-1", "wrn-10-1-release", "tiny"}) {
    all.push_back({name, make_network(name, 5, 8, 8), "", 3});
  }
  all.push_back({"resnet-release", make_network("resnet-release", 5, 4, 4), "", 4});
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
