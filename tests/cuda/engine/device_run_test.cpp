// Whole small runs of the trainer on the CUDA engine: AL-DSGD on a ring of three workers of one device, which
// read each other's models in place.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/error.hpp"
#include "cuda/engine/make_engine.hpp"
#include "cuda/isa/backend.hpp"
#include "tests/train/run_folder.hpp"
#include "train/saved_model.hpp"
#include "train/trainer.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using train::Json;
using train::TrainOptions;

struct Result {
  Json summary;
  std::vector<std::vector<float>> models;  // per worker, in PyTorch's order
};

Result run(const TrainOptions& options) {
  train::Progress progress(train::ProgressStyle::none);
  const std::atomic<bool> stop{false};
  train::Trainer trainer(options, progress, stop);
  Result result{trainer.run(), {}};
  for (const auto& worker : trainer.workers()) {
    std::vector<float> model(worker->model().size());
    worker->engine().export_array(worker->model(), model);
    result.models.push_back(std::move(model));
  }
  return result;
}

class DeviceRun : public train::RunFolderTest {
 protected:
  void SetUp() override {
    if (const std::string why = why_unusable(0); !why.empty()) GTEST_SKIP() << why;
  }

  TrainOptions device_options(const std::string& name) const {
    TrainOptions options = small_options(name);
    options.workers = 3;
    options.batch = 2;
    options.epochs = 1;
    options.dataset.shapes_train = 24;  // four steps
    options.dataset.shapes_test = 6;
    options.recalibration_pictures = 6;
    options.leaders = gossip::leader_preset("annealed");
    options.leaders.enabled = true;
    options.precision = Precision::bf16;
    options.device = kOnGpu ? "cuda" : "emulated";
    options.make_engine = [](const Network& network, const EngineSettings& settings) {
      return make_engine(network, settings);
    };
    options.make_pictures = [](const data::Dataset& dataset, const data::Augmentation* augmentation,
                               uint64_t seed) { return make_resident_pictures(dataset, augmentation, seed); };
    return options;
  }
};

TEST_F(DeviceRun, OfThreeWorkersOnARingLearns) {
  TrainOptions options = device_options("learns");
  options.epochs = 4;
  options.augment = false;
  const Result result = run(options);
  std::ifstream lines(options.out / "metrics.jsonl");
  std::vector<double> losses;  // of worker 0, by epoch
  for (std::string text; std::getline(lines, text);) {
    const Json line = Json::parse(text);
    if (line.at("kind") == "epoch" && line.at("worker") == 0)
      losses.push_back(line.at("train_loss").get<double>());
  }
  ASSERT_EQ(losses.size(), 4u);
  EXPECT_LT(losses.back(), losses.front());
  EXPECT_GT(result.summary.at("consensus_distance").get<double>(), 0);
  EXPECT_EQ(result.summary.at("steps").get<int>(), 16);
}

TEST_F(DeviceRun, HasTheSameBitsWhoeverMakesTheBatches) {
  TrainOptions options = device_options("device");
  const Result device = run(options);
  options.out = folder() / "host";
  options.make_pictures = nullptr;
  EXPECT_EQ(run(options).models, device.models);
}

TEST_F(DeviceRun, TracesWhatTheDeviceDidAndWhen) {
  TrainOptions options = device_options("traced");
  options.trace = true;
  run(options);
  std::ifstream lines(options.out / "metrics.jsonl");
  int workers = 0;
  for (std::string text; std::getline(lines, text);) {
    const Json line = Json::parse(text);
    if (line.at("kind") != "overlap") continue;
    ++workers;
    const auto mean = [&](const char* name) { return line.at("seconds").at(name).at("mean").get<double>(); };
    for (const char* name : {"forward", "mixing"}) EXPECT_GT(mean(name), 0) << name;
    // The emulator returns from a pass when all of it is done, so that nothing is left behind the loss.
    if (kOnGpu) {
      EXPECT_GT(mean("backward"), 0);
    } else {
      EXPECT_GE(mean("backward"), 0);
    }
    EXPECT_LE(mean("compute"), mean("step"));
  }
  EXPECT_EQ(workers, 3);
}

// All orders: which buffers are published and read differs between them.
class ResumedDeviceRun : public DeviceRun, public ::testing::WithParamInterface<gossip::Order> {};

TEST_P(ResumedDeviceRun, EndsWithTheSameBitsAsAnUninterruptedOne) {
  TrainOptions options = device_options("whole");
  options.order = GetParam();
  const Result whole = run(options);
  options.out = folder() / "parts";
  options.stop_after = 3;  // with both model buffers used, and graphs recorded
  EXPECT_FALSE(run(options).summary.at("completed").get<bool>());
  options.resume = true;
  options.stop_after = 0;
  options.threads = 1;  // and with all workers on one thread
  const Result parts = run(options);
  EXPECT_EQ(parts.models, whole.models);
  for (const char* key : {"test_accuracy_mean", "test_accuracy_averaged_model", "consensus_distance"}) {
    EXPECT_EQ(parts.summary.at(key), whole.summary.at(key)) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, ResumedDeviceRun,
                         ::testing::Values(gossip::Order::combine_while_adapt,
                                           gossip::Order::adapt_then_combine, gossip::Order::paper),
                         [](const auto& instance) {
                           std::string name(gossip::to_string(instance.param));
                           for (char& letter : name) {
                             if (letter == '-') letter = '_';
                           }
                           return name;
                         });

TEST_F(DeviceRun, StopsAtALossThatIsNotFiniteAndSaysWho) {
  TrainOptions options = device_options("diverges");
  options.learning_rate.base = 1e20;
  try {
    run(options);
    FAIL() << "the run went on";
  } catch (const Error& error) {
    const std::string text = error.what();
    for (const char* word : {"worker ", "step ", "last finite loss", "--lr"}) {
      EXPECT_NE(text.find(word), std::string::npos) << text;
    }
  }
}

// The same run on the CPU in float32: the same pictures in the same order, so that the workers' models end
// near each other. And what one device has saved the other can test.
TEST_F(DeviceRun, EndsNearTheSameRunOnTheCpuWhichCanTestItsCheckpoint) {
  TrainOptions options = device_options("device");
  const Result device = run(options);
  options.out = folder() / "cpu";
  options.device = "cpu";
  options.precision = Precision::fp32;
  options.make_engine = nullptr;
  options.make_pictures = nullptr;
  const Result cpu = run(options);
  for (std::size_t worker = 0; worker < 3; ++worker) {
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < cpu.models[worker].size(); ++i) {
      difference += std::pow(device.models[worker][i] - cpu.models[worker][i], 2);
      size += std::pow(cpu.models[worker][i], 2);
    }
    EXPECT_LT(std::sqrt(difference / size), 0.02) << "worker " << worker;
  }

  train::EvalOptions eval{.checkpoint = folder() / "device", .which = "all", .batch = 2};
  eval.dataset = options.dataset;
  eval.recalibration_pictures = 6;
  const auto by_cpu = train::evaluate_saved(eval);
  eval.precision = Precision::bf16;
  eval.make_engine = device_options("").make_engine;
  const auto by_device = train::evaluate_saved(eval);
  ASSERT_EQ(by_device.size(), 4u);
  for (std::size_t i = 0; i < by_device.size(); ++i) {
    EXPECT_EQ(by_device[i].what, by_cpu[i].what);
    EXPECT_NEAR(by_device[i].loss, by_cpu[i].loss, 0.02 * (1 + by_cpu[i].loss)) << by_device[i].what;
  }
}

}  // namespace
}  // namespace alder::ALDER_BACKEND
