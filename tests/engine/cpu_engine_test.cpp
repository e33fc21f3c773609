// The engine as a whole: determinism, threads, several engines, batch sizes, statistics, memory, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "base/error.hpp"
#include "engine/engine.hpp"
#include "examples.hpp"
#include "reference_network.hpp"

namespace alder {
namespace {

using testing::HasSubstr;

class CpuEngine : public testing::TestWithParam<Precision> {
 protected:
  std::unique_ptr<Engine> make(const Network& network, int batch, int threads = 1) const {
    auto engine = make_cpu_engine(network, {.max_batch = batch, .threads = threads, .precision = GetParam()});
    engine->import_array(example_model(network, 2), engine->model(0));
    return engine;
  }
};

// Three training steps; everything that is left behind.
std::vector<float> train(Engine& engine, int batch) {
  for (int step = 0; step < 3; ++step) {
    engine.forward_backward(0, example_batch(engine.network(), batch, 10 + static_cast<uint64_t>(step)));
    const Term self{1.0F, engine.model(0)};
    engine.combine({.terms = {&self, 1},
                    .self = engine.model(0),
                    .target = engine.model(0),
                    .optimizer = {.learning_rate = 0.05F, .momentum = 0.9F, .weight_decay = 1e-3F}});
  }
  std::vector<float> all(engine.model(0).begin(), engine.model(0).end());
  for (const std::span<const float> part : {std::span<const float>(engine.gradients()),
                                            std::span<const float>(engine.momentum()), engine.logits()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

TEST_P(CpuEngine, RepeatsItselfBitForBit) {
  const Network large = make_network("resnet-20", 10, 16, 16), small = make_network("tiny", 10, 16, 16);
  EXPECT_EQ(train(*make(large, 6), 6), train(*make(large, 6), 6));
  EXPECT_EQ(train(*make(small, 6, 2), 6), train(*make(small, 6, 2), 6));
}

TEST_P(CpuEngine, GivesTheSameBitsInParallelThreads) {
  const Network network = make_network("resnet-20", 10, 8, 8);
  const auto expected = train(*make(network, 4), 4);
  std::vector<std::vector<float>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] { result = train(*make(network, 4), 4); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

// Engines of different networks and batch sizes share one thread's workspace.
TEST_P(CpuEngine, IsNotDisturbedByOthersOnItsThread) {
  const Network small = make_network("tiny", 10, 8, 8), large = make_network("resnet-20", 10, 16, 16);
  const auto expected = train(*make(small, 3), 3);
  const auto engine = make(small, 3), other = make(large, 5);
  std::vector<float> last;
  for (int step = 0; step < 3; ++step) {
    engine->forward_backward(0, example_batch(small, 3, 10 + static_cast<uint64_t>(step)));
    train(*other, 5);
    const Term self{1.0F, engine->model(0)};
    engine->combine({.terms = {&self, 1},
                     .self = engine->model(0),
                     .target = engine->model(0),
                     .optimizer = {.learning_rate = 0.05F, .momentum = 0.9F, .weight_decay = 1e-3F}});
  }
  const std::span<const float> model = engine->model(0);
  EXPECT_THAT(model, testing::ElementsAreArray(expected.begin(),
                                               expected.begin() + static_cast<std::ptrdiff_t>(model.size())));
}

TEST_P(CpuEngine, AgreesBetweenOneAndTwoThreads) {
  const Network network = make_network("tiny", 10, 16, 16);
  const auto one = make(network, 5), two = make(network, 5, 2);
  const ExampleBatch batch = example_batch(network, 5, 1);
  EXPECT_NEAR(one->forward_backward(0, batch).loss, two->forward_backward(0, batch).loss, 1e-5);
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < network.elements; ++i) {
    difference += std::pow(one->gradients()[i] - two->gradients()[i], 2);
    size += std::pow(one->gradients()[i], 2);
  }
  EXPECT_LE(std::sqrt(difference / size), GetParam() == Precision::fp32 ? 1e-5 : 2e-2);
}

// The sizes come in an order that makes the engine add primitives after the first step.
TEST_P(CpuEngine, TakesAnyBatchSizeUpToItsLargest) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = make(network, 9);
  for (const int size : {4, 9, 1, 9, 4}) {
    const ExampleBatch batch = example_batch(network, size, 6);
    const auto exact = make(network, size);
    EXPECT_EQ(engine->forward_backward(0, batch).loss, exact->forward_backward(0, batch).loss);
    EXPECT_EQ(engine->logits().size(), static_cast<std::size_t>(size) * 10);
    EXPECT_THAT(engine->gradients(), testing::ElementsAreArray(exact->gradients()));
  }
}

TEST_P(CpuEngine, LeavesTheModelAloneUntilCombined) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = make(network, 4);
  const std::vector<float> before(engine->model(0).begin(), engine->model(0).end());
  const ExampleBatch batch = example_batch(network, 4, 6);
  engine->forward_backward(0, batch);
  engine->evaluate(0, batch);
  EXPECT_THAT(engine->model(0), testing::ElementsAreArray(before));
}

TEST_P(CpuEngine, AddsUpTheStatisticsOfBatches) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = make(network, 4);
  std::vector<float> sums(network.elements);
  std::vector<double> expected(network.elements);
  const std::vector<float> model = example_model(network, 2);
  const std::vector<double> exact_model(model.begin(), model.end());
  for (const uint64_t seed : {1, 2}) {
    const ExampleBatch batch = example_batch(network, 4, seed);
    engine->accumulate_statistics(0, batch, sums);
    const ReferenceResult reference = reference_run(network, exact_model, batch);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += reference.statistics[i];
  }
  const double tolerance = GetParam() == Precision::fp32 ? 1e-4 : 3e-2;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(sums[i], expected[i], tolerance * (1 + std::fabs(expected[i]))) << i;
  }
}

TEST_P(CpuEngine, KeepsThePaddingBetweenTensorsZero) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = make(network, 4);
  train(*engine, 4);
  for (std::span<float> array : {engine->model(0), engine->gradients(), engine->momentum()}) {
    std::vector<float> rest(array.begin(), array.end());
    for (const auto* table : {&network.parameters, &network.statistics}) {
      for (const Tensor& tensor : *table) {
        std::fill_n(rest.begin() + static_cast<std::ptrdiff_t>(tensor.offset), tensor.elements, 0.0F);
      }
    }
    EXPECT_THAT(rest, testing::Each(0.0F));
  }
}

TEST_P(CpuEngine, LearnsToTellRandomPicturesApart) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = make(network, 16);
  const ExampleBatch batch = example_batch(network, 16, 1);
  const double before = engine->forward_backward(0, batch).loss;
  BatchResult result;
  for (int step = 0; step < 120; ++step) {
    result = engine->forward_backward(0, batch);
    const Term self{1.0F, engine->model(0)};
    engine->combine({.terms = {&self, 1},
                     .self = engine->model(0),
                     .target = engine->model(0),
                     .optimizer = {.learning_rate = 0.05F, .momentum = 0.9F}});
  }
  EXPECT_LT(result.loss, before / 10);
  EXPECT_EQ(result.correct, 16);
}

TEST_P(CpuEngine, AlignsItsArrays) {
  const auto engine = make(make_network("tiny", 10, 8, 8), 2);
  EXPECT_EQ(engine->model_buffers(), 3);
  for (int buffer = 0; buffer < engine->model_buffers(); ++buffer) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(engine->model(buffer).data()) % 128, 0u);
    EXPECT_EQ(engine->model(buffer).size(), engine->network().elements);
  }
}

TEST_P(CpuEngine, SaysWhatItUsesAndWhatItTakes) {
  const Network network = make_network("resnet-20", 10);
  const auto engine = make(network, 16);
  const auto memory = engine->memory();
  EXPECT_EQ(memory.arrays, static_cast<int64_t>(5 * network.elements * sizeof(float)));
  // Two kept values per convolution, 688,128 floats a picture in all, and what little the gradients add.
  const int64_t kept = int64_t{16} * 2 * 688'128 / 2 * (GetParam() == Precision::fp32 ? 4 : 2);
  EXPECT_GE(memory.activations, kept / 2);
  EXPECT_LE(memory.activations, kept * 13 / 10);
  EXPECT_THAT(engine->description(), HasSubstr("oneDNN 2."));
  EXPECT_THAT(engine->description(), HasSubstr("1 thread"));
}

INSTANTIATE_TEST_SUITE_P(Precisions, CpuEngine, testing::ValuesIn(precisions()),
                         [](const auto& param) { return precision_name(param.param); });

TEST(CpuEngineSettings, OfWrongRangeAreRefused) {
  const Network network = make_network("tiny", 10, 8, 8);
  EXPECT_THAT([&] { make_cpu_engine(network, {.max_batch = 0}); },
              testing::ThrowsMessage<UsageError>(HasSubstr("batch size 0")));
  EXPECT_THAT([&] { make_cpu_engine(network, {.threads = 0}); },
              testing::ThrowsMessage<UsageError>(HasSubstr("0 threads")));
  EXPECT_THAT([&] { make_cpu_engine(network, {.label_smoothing = 1.5F}); },
              testing::ThrowsMessage<UsageError>(HasSubstr("label smoothing 1.5")));
}

TEST(CpuEngineSettings, Bf16IsRefusedWhereTheCpuHasNone) {
  if (cpu_has_bf16()) GTEST_SKIP() << "this CPU has bf16";
  EXPECT_THROW(make_cpu_engine(make_network("tiny", 10, 8, 8), {.precision = Precision::bf16}), UsageError);
}

TEST(CpuEngineCalls, NameABatchThatDoesNotFit) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = make_cpu_engine(network, {.max_batch = 2});
  EXPECT_THAT(
      [&] { engine->forward_backward(0, example_batch(network, 3, 1)); },
      testing::ThrowsMessage<Error>(HasSubstr("batch of 3 pictures given to an engine made for 1 to 2")));
  EXPECT_THAT([&] { engine->forward_backward(7, example_batch(network, 2, 1)); },
              testing::ThrowsMessage<Error>(HasSubstr("model buffer 7")));
  ExampleBatch cut = example_batch(network, 2, 1);
  cut.images.pop_back();
  EXPECT_THAT([&] { engine->evaluate(0, cut); }, testing::ThrowsMessage<Error>(HasSubstr("383 values")));
}

}  // namespace
}  // namespace alder
