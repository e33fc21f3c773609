// Whole small runs: the tiny network on a few hundred shapes.
#include "train/trainer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "run_folder.hpp"

namespace alder::train {
namespace {

using gossip::Order;

struct Result {
  Json summary;
  std::vector<std::vector<float>> models;  // per worker, in the engine's order
};

Result run(const TrainOptions& options) {
  Progress progress(ProgressStyle::none);
  const std::atomic<bool> stop{false};
  Trainer trainer(options, progress, stop);
  Result result{trainer.run(), {}};
  for (const auto& worker : trainer.workers()) {
    result.models.emplace_back(worker->model().begin(), worker->model().end());
  }
  return result;
}

class TrainerRun : public RunFolderTest {};

TEST_F(TrainerRun, GivesTheSameBitsOnAnyNumberOfThreads) {
  TrainOptions options = small_options("one");
  options.threads = 1;
  const Result one = run(options);
  for (const int threads : {2, 3}) {
    options.out = folder() / fmt::format("threads-{}", threads);
    options.threads = threads;
    EXPECT_EQ(run(options).models, one.models) << threads << " threads";
  }
}

TEST_F(TrainerRun, WithLeadersOfNoWeightIsDPsgdBitForBit) {
  TrainOptions options = small_options("d-psgd");
  options.algorithm = Algorithm::d_psgd;
  const Result plain = run(options);
  options.out = folder() / "al-dsgd";
  options.algorithm = Algorithm::al_dsgd;
  options.leaders = {.enabled = true, .weight_best = 0, .weight_degree = 0, .pull_best = 0, .pull_degree = 0};
  EXPECT_EQ(run(options).models, plain.models);
}

TEST_F(TrainerRun, OfOneWorkerIsPlainSgdWhateverTheAlgorithm) {
  TrainOptions options = small_options("reference");
  options.workers = 1;
  options.threads = 1;
  options.graph = "complete";
  options.algorithm = Algorithm::all_reduce;
  const Result reference = run(options);
  for (const Order order : {Order::combine_while_adapt, Order::adapt_then_combine, Order::paper}) {
    options.algorithm = Algorithm::al_dsgd;
    options.leaders = gossip::leader_preset("released");
    options.leaders.enabled = true;
    options.order = order;
    options.out = folder() / std::string(gossip::to_string(order));
    EXPECT_EQ(run(options).models, reference.models) << gossip::to_string(order);
  }
}

TEST_F(TrainerRun, WithAllReduceKeepsAllModelsEqual) {
  TrainOptions options = small_options("all-reduce");
  options.algorithm = Algorithm::all_reduce;
  const Result result = run(options);
  EXPECT_LT(result.summary.at("consensus_distance").get<double>(), 1e-6);
  // 2 (m-1) / m models a worker and step, as a ring all-reduce sends.
  const auto elements = static_cast<int64_t>(make_network("tiny", 10).elements);
  const int64_t expected = result.summary.at("steps").get<int64_t>() * 2 * (4 - 1) * elements * 4;
  EXPECT_NEAR(result.summary.at("bytes_exchanged").get<double>(), static_cast<double>(expected), 100.0);
}

TEST_F(TrainerRun, CountsTheBytesOfEveryDirectedEdge) {
  TrainOptions options = small_options("ring");
  options.algorithm = Algorithm::d_psgd;
  const Result result = run(options);
  const auto elements = static_cast<int64_t>(make_network("tiny", 10).elements);
  EXPECT_EQ(result.summary.at("bytes_exchanged").get<int64_t>(),
            result.summary.at("steps").get<int64_t>() * 8 * elements * 4);  // ring of 4: 8 directed edges
}

TEST_F(TrainerRun, WithoutExchangeSendsNothingAndWorkersPart) {
  TrainOptions options = small_options("none");
  options.algorithm = Algorithm::d_psgd;
  options.exchange = "none";
  const Result result = run(options);
  EXPECT_EQ(result.summary.at("bytes_exchanged").get<int64_t>(), 0);
  EXPECT_GT(result.summary.at("consensus_distance").get<double>(), 1e-3);
}

// Every order, momentum, averaged statistics, random and cyclic schedules: what a checkpoint must carry.
struct ResumeCase {
  const char* name;
  Order order;
  const char* schedule;
  Algorithm algorithm;
};

class ResumedRun : public RunFolderTest, public testing::WithParamInterface<ResumeCase> {};

TEST_P(ResumedRun, EndsWithTheSameBitsAsAnUninterruptedOne) {
  TrainOptions options = small_options("whole");
  options.order = GetParam().order;
  options.schedule = GetParam().schedule;
  options.algorithm = GetParam().algorithm;
  if (options.algorithm == Algorithm::al_dsgd) {
    options.leaders = gossip::leader_preset("annealed");
    options.leaders.enabled = true;
  }
  const Result whole = run(options);

  options.out = folder() / "parts";
  options.stop_after = 3;  // inside the first epoch
  EXPECT_FALSE(run(options).summary.at("completed").get<bool>());
  options.resume = true;
  EXPECT_EQ(run(options).summary.at("steps").get<int>(), 6);
  options.stop_after = 0;
  const Result parts = run(options);
  EXPECT_EQ(parts.models, whole.models);
  for (const char* key :
       {"test_accuracy_mean", "test_accuracy_averaged_model", "consensus_distance", "bytes_exchanged"}) {
    EXPECT_EQ(parts.summary.at(key), whole.summary.at(key)) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Orders, ResumedRun,
    testing::Values(ResumeCase{"combine_while_adapt", Order::combine_while_adapt, "static",
                               Algorithm::al_dsgd},
                    ResumeCase{"adapt_then_combine", Order::adapt_then_combine, "static", Algorithm::al_dsgd},
                    ResumeCase{"paper", Order::paper, "static", Algorithm::al_dsgd},
                    ResumeCase{"matcha", Order::combine_while_adapt, "matcha:0.5", Algorithm::d_psgd},
                    ResumeCase{"cycle", Order::adapt_then_combine, "cycle:2", Algorithm::d_psgd}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST_F(TrainerRun, StopsAtALossThatIsNotFiniteAndSaysWho) {
  TrainOptions options = small_options("diverges");
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

TEST_F(TrainerRun, RefusesAFolderThatHoldsAnotherRun) {
  const TrainOptions options = small_options("twice");
  run(options);
  EXPECT_THROW(run(options), UsageError);
}

TEST_F(TrainerRun, RefusesToResumeWithOtherOptionsAndNamesBothValues) {
  TrainOptions options = small_options("changed");
  options.stop_after = 2;
  run(options);
  options.resume = true;
  options.batch = 16;
  try {
    run(options);
    FAIL() << "it resumed";
  } catch (const UsageError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("batch was 8 there and is 16 now"), std::string::npos) << text;
  }
}

TEST_F(TrainerRun, RefusesACheckpointThatIsCutShort) {
  TrainOptions options = small_options("cut");
  options.stop_after = 2;
  run(options);
  const auto file = newest_checkpoint(options.out) / "worker-1.safetensors";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 100);
  options.resume = true;
  try {
    run(options);
    FAIL() << "it resumed";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(file.string()), std::string::npos) << error.what();
  }
}

TEST_F(TrainerRun, WritesTheRecordsThatAreDocumented) {
  TrainOptions options = small_options("records");
  options.leaders = gossip::leader_preset("released");
  options.leaders.enabled = true;
  options.evaluate = EvaluateWhom::all;
  run(options);
  std::ifstream file(options.out / "metrics.jsonl");
  std::map<std::string, int> kinds;
  for (std::string line; std::getline(file, line);) {
    const Json json = Json::parse(line);
    ++kinds[json.at("kind").get<std::string>()];
    if (json.at("kind") != "epoch") continue;
    for (const char* key :
         {"epoch", "step", "worker", "train_loss", "train_accuracy", "learning_rate", "distance_to_mean",
          "test_accuracy", "test_loss", "leader_best", "leader_degree", "bytes_sent", "seconds"}) {
      EXPECT_TRUE(json.contains(key)) << key;
    }
    int64_t followed = 0;
    for (const auto& [rank, count] : json.at("leader_best").items()) followed += count.get<int64_t>();
    EXPECT_EQ(followed, 4) << "one best leader a step";
  }
  EXPECT_EQ(kinds["run"], 1);
  EXPECT_EQ(kinds["epoch"], 2 * 4);
  EXPECT_EQ(kinds["mean"], 2);
  const Json summary = Json::parse(read_text(options.out / "summary.json"));
  for (const char* key : {"test_accuracy_mean", "test_accuracy_worst", "test_accuracy_best",
                          "test_accuracy_averaged_model", "consensus_distance", "steps", "seconds",
                          "images_per_second", "bytes_exchanged", "seed", "command"}) {
    EXPECT_TRUE(summary.contains(key)) << key;
  }
}

TEST_F(TrainerRun, ResumedAfterACrashInTheMiddleOfALineKeepsTheRecordsReadable) {
  TrainOptions options = small_options("torn");
  options.stop_after = 2;
  run(options);
  std::ofstream(options.out / "metrics.jsonl", std::ios::app) << R"({"kind":"epo)";
  options.stop_after = 0;
  options.resume = true;
  run(options);
  std::ifstream file(options.out / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) EXPECT_TRUE(Json::accept(line)) << line;
}

struct BadOption {
  const char* name;
  void (*change)(TrainOptions&);
  const char* says;
};

class BadOptions : public RunFolderTest, public testing::WithParamInterface<BadOption> {};

TEST_P(BadOptions, AreRefusedInOneLineThatNamesThem) {
  TrainOptions options = small_options("bad");
  GetParam().change(options);
  try {
    run(options);
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(GetParam().says), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadOptions,
    testing::Values(BadOption{"model", [](TrainOptions& o) { o.model = "resnet20"; }, "resnet-20"},
                    BadOption{"graph", [](TrainOptions& o) { o.graph = "rng"; }, "ring"},
                    BadOption{"workers", [](TrainOptions& o) { o.workers = 0; }, "--workers 0"},
                    BadOption{"batch", [](TrainOptions& o) { o.batch = 100; }, "--batch 100"},
                    BadOption{"rate", [](TrainOptions& o) { o.learning_rate.base = 0; }, "--lr 0"},
                    BadOption{"momentum", [](TrainOptions& o) { o.optimizer.momentum = 1; }, "--momentum 1"},
                    BadOption{"device", [](TrainOptions& o) { o.device = "cuda"; }, "--device cuda"},
                    BadOption{"exchange", [](TrainOptions& o) { o.exchange = "locl"; }, "local"},
                    BadOption{"shards", [](TrainOptions& o) { o.shards = "dirichlet:-1"; },
                              "--shards dirichlet:-1"}),
    [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace alder::train
