// The engine as a whole: what must not change a bit, agreement with the CPU engine over steps, memory,
// errors.
#include <gmock/gmock.h>

#include <thread>

#include "base/error.hpp"
#include "cuda/engine/sample_engine.hpp"
#include "engine_test.hpp"
#include "tests/engine/reference_network.hpp"
#ifndef ALDER_ON_DEVICE
#include "cuda/emulator/options.hpp"
#endif

namespace alder::ALDER_BACKEND {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class DeviceEngine : public EngineTest {};

// One of each kind: post- and pre-activation, biases that count and that do not, narrow and wide enough for
// all variants.
std::vector<Network> networks() {
  return {make_network("tiny", 10, 8, 8), make_network("wrn-10-1", 10, 8, 8),
          make_network("wrn-10-1-release", 10, 8, 8)};
}

TEST_F(DeviceEngine, RepeatsItselfBitForBit) {
  for (const Network& network : networks()) {
    EXPECT_EQ(train(*example_engine(network, 4), 4, 3), train(*example_engine(network, 4), 4, 3))
        << network.name;
  }
}

TEST_F(DeviceEngine, GivesTheSameBitsWithAndWithoutGraphs) {
  for (const Network& network : networks()) {
    const auto with = train(*example_engine(network, 3), 3, 5);
    EXPECT_EQ(train(*example_engine(network, 3, {.graphs = false}), 3, 5), with) << network.name;
  }
}

TEST_F(DeviceEngine, GivesTheSameBitsWhetherActivationsShareMemoryOrNot) {
  for (const Network& network : networks()) {
    const auto shared = train(*example_engine(network, 3), 3, 3);
    EXPECT_EQ(train(*example_engine(network, 3, {.reuse_memory = false}), 3, 3), shared) << network.name;
  }
}

// By a variant that can apply norms to its inputs in every layer, and one that can in the 1x1 layers.
TEST_F(DeviceEngine, GivesTheSameBitsWhetherNormsArePassesOfTheirOwnOrNot) {
  for (const char* variant : {"sm90", "sm80"}) {
    const Network network = make_network("wrn-10-1", 10, 16, 16);
    const auto folded = train(*example_engine(network, 2, {.variant = variant}), 2, 2);
    EXPECT_EQ(train(*example_engine(network, 2, {.variant = variant, .fold_norms = false}), 2, 2), folded)
        << variant;
  }
}

// Two workers of one process, each with its stream and thread.
TEST_F(DeviceEngine, GivesTheSameBitsBesideAnother) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto alone = train(*example_engine(network, 4), 4, 4);
  const auto one = example_engine(network, 4), two = example_engine(network, 4);
  std::vector<float> results[2];
  std::thread other([&] { results[1] = train(*two, 4, 4); });
  results[0] = train(*one, 4, 4);
  other.join();
  EXPECT_EQ(results[0], alone);
  EXPECT_EQ(results[1], alone);
}

TEST_F(DeviceEngine, TakesAnyBatchSizeUpToItsLargest) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = example_engine(network, 9);
  for (const int size : {4, 9, 1, 9, 4, 4}) {
    const ExampleBatch batch = example_batch(network, size, 6);
    const auto exact = example_engine(network, size);
    EXPECT_EQ(engine->forward_backward(0, batch).loss, exact->forward_backward(0, batch).loss);
    EXPECT_EQ(engine->logits().size(), static_cast<std::size_t>(size) * 10);
    EXPECT_EQ(exported(*engine, engine->gradients()), exported(*exact, exact->gradients()));
  }
}

// Pictures that the device keeps and perturbs itself are those that the host makes, and so is what comes of
// them; batches of both kinds in turn, and recorded ones.
TEST_F(DeviceEngine, MakesItsBatchesAsTheHostDoesBitForBit) {
  data::DatasetOptions few;
  few.shapes_train = 40;
  few.shapes_test = 1;
  const data::Dataset dataset = data::load_dataset("shapes", few);
  const data::Augmentation augmentation{.cutout = 6};
  const Network network = make_network("tiny", dataset.classes, 32, 32);
  const auto given = example_engine(network, 4), kept = example_engine(network, 4);
  auto& samples_engine = dynamic_cast<SampleEngine&>(*kept);
  samples_engine.keep_pictures(dataset, &augmentation, 7);
  std::vector<float> images(4 * dataset.train.bytes_per_picture());
  std::vector<int32_t> labels(4);
  for (const int64_t epoch : {0, 1, 2}) {
    const std::vector<int64_t> samples{39, epoch, 17, 0};
    data::make_batch(dataset, dataset.train, samples, &augmentation, 7, epoch, images, labels);
    const BatchResult expected = given->forward_backward(0, {images, labels});
    const BatchResult result = samples_engine.train_on_samples(0, samples, epoch);
    EXPECT_EQ(result.loss, expected.loss) << epoch;
    EXPECT_EQ(exported(*kept, kept->gradients()), exported(*given, given->gradients())) << epoch;
    EXPECT_EQ(kept->forward_backward(0, {images, labels}).loss, expected.loss) << epoch;
  }
  EXPECT_THAT([&] { samples_engine.train_on_samples(0, std::vector<int64_t>{40}, 0); },
              ThrowsMessage<Error>(HasSubstr("sample 40 of a batch does not exist; there are 40")));
  const Network small = make_network("tiny", dataset.classes, 8, 8);
  const auto other = example_engine(small, 4);
  EXPECT_THAT([&] { dynamic_cast<SampleEngine&>(*other).keep_pictures(dataset, nullptr, 7); },
              ThrowsMessage<Error>(HasSubstr("32x32 pixels, for network 'tiny'")));
}

// Evaluation in between, at another model, must not leak into training: neither its parameters nor its
// statistics.
TEST_F(DeviceEngine, TrainsOnAsIfNothingHadBeenTestedInBetween) {
  const Network network = make_network("wrn-10-1-release", 10, 8, 8);
  const auto engine = example_engine(network, 3), undisturbed = example_engine(network, 3);
  const ExampleBatch batch = example_batch(network, 3, 1), other = example_batch(network, 2, 2);
  for (int step = 0; step < 4; ++step) {
    train_step(*undisturbed, step % 2, batch);
    train_step(*engine, step % 2, batch);
    engine->import_array(example_model(network, 99), engine->model(step % 2));
    engine->evaluate(step % 2, other);
    std::vector<float> sums(network.elements);
    engine->accumulate_statistics(2, other, sums);
  }
  EXPECT_EQ(exported(*engine, engine->model(0)), exported(*undisturbed, undisturbed->model(0)));
  EXPECT_EQ(exported(*engine, engine->momentum()), exported(*undisturbed, undisturbed->momentum()));
}

TEST_F(DeviceEngine, SeesAModelThatWasWrittenFromOutside) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = example_engine(network, 3),
             expected = make_engine(network, {.max_batch = 3, .precision = Precision::bf16});
  const ExampleBatch batch = example_batch(network, 3, 1);
  engine->forward_backward(0, batch);
  expected->import_array(example_model(network, 5), expected->model(0));
  std::vector<float> array(network.elements);
  expected->read_array(expected->model(0), array);
  engine->write_array(array, engine->model(0));
  EXPECT_EQ(engine->forward_backward(0, batch).loss, expected->forward_backward(0, batch).loss);
}

TEST_F(DeviceEngine, ExportsWhatWasImported) {
  for (const Network& network : networks()) {
    const auto engine = example_engine(network, 2);
    EXPECT_EQ(exported(*engine, engine->model(0)), example_model(network, 2)) << network.name;
    // Arrays in the engine's order may lie in host memory too.
    std::vector<float> host(network.elements);
    engine->read_array(engine->model(0), host);
    EXPECT_EQ(exported(*engine, host), example_model(network, 2)) << network.name;
  }
}

TEST_F(DeviceEngine, KeepsThePaddingBetweenTensorsZero) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = example_engine(network, 4);
  train(*engine, 4, 3);
  for (const std::span<const float> array :
       {std::span<const float>(engine->model(1)), std::span<const float>(engine->gradients()),
        std::span<const float>(engine->momentum())}) {
    std::vector<float> rest(array.size());
    engine->read_array(array, rest);
    for (const auto* table : {&network.parameters, &network.statistics}) {
      for (const Tensor& tensor : *table) {
        std::fill_n(rest.begin() + static_cast<std::ptrdiff_t>(tensor.offset), tensor.elements, 0.0F);
      }
    }
    EXPECT_THAT(rest, ::testing::Each(0.0F));
  }
}

// Mixing by the kernel has the bits of the CPU's, row by row: with neighbours, over the model itself, without
// an optimizer step, with local statistics, Nesterov.
TEST_F(DeviceEngine, MixesAsTheCpuEngineDoesBitForBit) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = example_engine(network, 2), neighbour = example_engine(network, 2);
  neighbour->import_array(example_model(network, 8), neighbour->model(1));
  const auto cpu = make_cpu_engine(network, {.max_batch = 2});
  const auto cpu_neighbour = make_cpu_engine(network, {.max_batch = 2});
  const std::vector<float> gradients = example_model(network, 6), momentum = example_model(network, 7);
  for (Engine* one : {engine.get(), cpu.get()}) {
    one->import_array(example_model(network, 2), one->model(0));
    one->import_array(example_model(network, 3), one->model(2));
    one->import_array(gradients, one->gradients());
  }
  cpu_neighbour->import_array(example_model(network, 8), cpu_neighbour->model(1));

  struct Way {
    int target;
    bool adapt, nesterov;
    StatisticsMode statistics;
  };
  for (const Way& way :
       {Way{1, true, false, StatisticsMode::average}, Way{0, true, true, StatisticsMode::local},
        Way{2, false, false, StatisticsMode::average}, Way{1, true, false, StatisticsMode::local}}) {
    const auto run = [&](Engine& one, Engine& other) {
      one.import_array(momentum, one.momentum());
      const std::vector<Term> terms{{0.5F, one.model(0)}, {0.3F, other.model(1)}, {0.2F, one.model(2)}};
      one.combine({.terms = terms,
                   .self = one.model(0),
                   .target = one.model(way.target),
                   .adapt = way.adapt,
                   .optimizer = {.learning_rate = 0.1F,
                                 .momentum = 0.9F,
                                 .nesterov = way.nesterov,
                                 .weight_decay = 1e-3F},
                   .statistics = way.statistics});
      std::vector<float> all = exported(one, one.model(way.target));
      const std::vector<float> velocity = exported(one, one.momentum());
      all.insert(all.end(), velocity.begin(), velocity.end());
      return all;
    };
    EXPECT_EQ(run(*engine, *neighbour), run(*cpu, *cpu_neighbour)) << "target " << way.target;
  }
}

// Training in double precision, by the oracle's gradients, in the words of train_step.
struct OracleTraining {
  OracleTraining(const Network& of, Rounding rounding)
      : network(of),
        settings{.rounding = rounding},
        model(doubles(example_model(of, 2))),
        momentum(of.elements) {}

  double step(const Batch& batch) {
    const ReferenceResult result = reference_run(network, model, batch, settings);
    for (std::size_t i = 0; i < network.parameter_elements; ++i) {
      momentum[i] = 0.9 * momentum[i] + result.gradients[i] + 1e-3 * model[i];
      model[i] -= 0.05 * momentum[i];
    }
    for (const Layer& layer : network.layers) {
      if (layer.op != Op::batch_norm) continue;
      for (const int index : {layer.running_mean, layer.running_var}) {
        const Tensor& tensor = network.statistics[static_cast<std::size_t>(index)];
        for (std::size_t i = tensor.offset; i < tensor.offset + tensor.elements; ++i) {
          model[i] -= layer.statistics_momentum * result.gradients[i];
        }
      }
    }
    return result.loss;
  }

  const Network& network;
  ReferenceSettings settings;
  std::vector<double> model, momentum;
};

// Ten steps, beside the CPU engine in float32 and the oracle, exact and rounded to bf16: the CPU engine has
// to be where the exact oracle is, and this one at most twice as far from there as rounding alone leads.
TEST_F(DeviceEngine, TrainsAsTheCpuEngineAndTheOracleForTenSteps) {
  constexpr int kBatch = 4;
  for (const Network& network : networks()) {
    const auto engine = example_engine(network, kBatch);
    const auto cpu = make_cpu_engine(network, {.max_batch = kBatch});
    cpu->import_array(example_model(network, 2), cpu->model(0));
    OracleTraining exact(network, Rounding::none), rounded(network, Rounding::bf16);
    double first = 0, last = 0, off = 0, off_by_rounding = 0;
    for (int step = 0; step < 10; ++step) {
      const ExampleBatch batch = example_batch(network, kBatch, 10);
      const double loss = exact.step(batch);
      off_by_rounding = std::max(off_by_rounding, std::abs(rounded.step(batch) - loss));
      EXPECT_NEAR(train_step(*cpu, step % 2, batch).loss, loss, 1e-4 * (1 + loss)) << network.name;
      last = train_step(*engine, step % 2, batch).loss;
      if (step == 0) first = last;
      off = std::max(off, std::abs(last - loss));
    }
    EXPECT_LT(last, first) << network.name;
    EXPECT_LE(off, 2 * off_by_rounding + 1e-3 * first) << network.name;
    const std::vector<double> begin = doubles(example_model(network, 2));
    const double way = distance(exact.model, begin);
    EXPECT_LE(distance(doubles(exported(*engine, engine->model(0))), exact.model),
              2 * distance(rounded.model, exact.model) + 1e-3 * way)
        << network.name << ", whose model has come a way of " << way;
    EXPECT_LE(distance(doubles(exported(*cpu, cpu->model(0))), exact.model), 1e-3 * way) << network.name;
  }
}

TEST_F(DeviceEngine, SaysWhatItUsesAndWhatItTakes) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = example_engine(network, 16);
  const Engine::Memory memory = engine->memory();
  EXPECT_EQ(memory.arrays, static_cast<int64_t>(22 * network.elements));
  EXPECT_GT(memory.activations, 0);
  EXPECT_THAT(engine->description(),
              AllOf(HasSubstr("compute capability"), HasSubstr("forward by"), HasSubstr("arena")));
  for (int buffer = 0; buffer < engine->model_buffers(); ++buffer) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(engine->model(buffer).data()) % 128, 0u);
  }
}

TEST_F(DeviceEngine, NamesWhatDoesNotFit) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto engine = example_engine(network, 2);
  EXPECT_THAT([&] { engine->forward_backward(0, example_batch(network, 3, 1)); },
              ThrowsMessage<Error>(HasSubstr("batch of 3 pictures given to an engine made for 1 to 2")));
  EXPECT_THAT([&] { engine->forward_backward(7, example_batch(network, 2, 1)); },
              ThrowsMessage<Error>(HasSubstr("model buffer 7")));
  EXPECT_THAT([&] { make_engine(network, {.precision = Precision::fp32}); },
              ThrowsMessage<UsageError>(HasSubstr("--precision bf16")));
  EXPECT_THAT([&] { make_engine(network, {.precision = Precision::bf16}, {.variant = "winograd"}); },
              ThrowsMessage<UsageError>(HasSubstr("unknown convolution variant 'winograd'")));
  EXPECT_THAT([&] { make_engine(network, {.precision = Precision::bf16}, {.device = 99}); },
              ThrowsMessage<UsageError>(HasSubstr("GPU 99 does not exist")));
}

#ifndef ALDER_ON_DEVICE

TEST_F(DeviceEngine, SaysHowLargeABatchWouldFit) {
  const Network network = make_network("resnet-20", 10);
  const auto make = [&](int batch, int sharing) {
    return make_engine(
        network, {.max_batch = batch, .precision = Precision::bf16, .owner = "worker 3", .sharing = sharing});
  };
  const emulator::ScopedOptions options(emulator::parse_options("bytes=60000000"));
  try {
    make(512, 1);
    FAIL() << "512 pictures fit 60 MB";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("resnet-20 of worker 3 with batches of 512"),
                      HasSubstr("of 60000000 are free"), HasSubstr("the largest batch that fits is ")));
    const std::string text = error.what();
    const int fits = std::stoi(text.substr(text.rfind(' ')));
    EXPECT_GT(fits, 0);
    // What it says is so, and one more would be too many.
    EXPECT_NO_THROW(make(fits, 1));
    EXPECT_THROW(make(fits + 1, 1), Error);
    EXPECT_THAT([&] { make(fits, 2); }, ThrowsMessage<Error>(HasSubstr("worker 3 and 1 more like it")));
  }
  EXPECT_THAT([&] { make(4, 1000); }, ThrowsMessage<Error>(HasSubstr("not even a batch of 1 fits")));
}

TEST_F(DeviceEngine, GivesTheSameBitsInEveryOrderOfThreads) {
  const Network network = make_network("tiny", 10, 8, 8);
  const auto forward = train(*example_engine(network, 2), 2, 2);
  for (const char* order : {"order=reverse", "order=random,seed=3,copies=random"}) {
    const emulator::ScopedOptions options(emulator::parse_options(order));
    EXPECT_EQ(train(*example_engine(network, 2), 2, 2), forward) << order;
  }
}

#endif

}  // namespace
}  // namespace alder::ALDER_BACKEND
