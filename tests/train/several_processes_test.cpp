// Whole small runs with one worker per process: the processes are threads here, each with a trainer, a
// rendezvous and a control plane of its own. Their exchange is one board that they share, so what is tested
// is the trainer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <regex>

#include "base/error.hpp"
#include "base/file.hpp"
#include "launch/together.hpp"
#include "run_folder.hpp"
#include "train/trainer.hpp"

namespace alder::train {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

namespace fs = std::filesystem;

// A worker whose exchange breaks when it opens a generation.
struct Break {
  Rank worker = 0;
  uint64_t generation = 0;
};

class BreakingEndpoint final : public Endpoint {
 public:
  BreakingEndpoint(Endpoint& whole, uint64_t generation) : whole_(whole), generation_(generation) {}
  Rank rank() const override { return whole_.rank(); }
  void open(Generation generation, const LiveEdges& live) override {
    if (generation.value() == generation_) fail("worker {} breaks at generation {}", rank(), generation_);
    whole_.open(generation, live);
  }
  void publish(Generation generation, Bucket bucket, std::span<const float> source) override {
    whole_.publish(generation, bucket, source);
  }
  void announce(Generation generation, const Header& header) override { whole_.announce(generation, header); }
  std::vector<Arrival> await_headers(Generation generation, Deadline deadline) override {
    return whole_.await_headers(generation, deadline);
  }
  std::vector<Arrival> await_bucket(Generation generation, Bucket bucket, Deadline deadline) override {
    return whole_.await_bucket(generation, bucket, deadline);
  }
  Header header(Rank neighbour, Generation generation) const override {
    return whole_.header(neighbour, generation);
  }
  std::span<const float> slot(Rank neighbour, Generation generation, Bucket bucket) const override {
    return whole_.slot(neighbour, generation, bucket);
  }
  void release(Generation generation) override { whole_.release(generation); }
  std::vector<Arrival> await_released(Generation generation, Deadline deadline) override {
    return whole_.await_released(generation, deadline);
  }
  int64_t bytes_sent(Rank neighbour) const override { return whole_.bytes_sent(neighbour); }

 private:
  Endpoint& whole_;
  uint64_t generation_;
};

// One worker's view of an exchange that has them all.
class OneOfAll final : public Exchange {
 public:
  OneOfAll(std::shared_ptr<Exchange> all, Rank rank, const std::optional<Break>& breaks)
      : all_(std::move(all)), rank_(rank) {
    if (breaks && breaks->worker == rank) breaking_.emplace(all_->endpoint(rank), breaks->generation);
  }
  int workers() const override { return all_->workers(); }
  std::vector<Rank> local() const override { return {rank_}; }
  Endpoint& endpoint(Rank rank) override {
    if (breaking_) return *breaking_;
    return all_->endpoint(rank);
  }
  void mark_failed(Rank rank) override { all_->mark_failed(rank); }
  ~OneOfAll() override { all_->mark_failed(rank_); }
  std::string description() const override { return "a board shared by threads"; }

 private:
  std::shared_ptr<Exchange> all_;
  Rank rank_;
  std::optional<BreakingEndpoint> breaking_;
};

class SeveralProcesses : public RunFolderTest {
 protected:
  struct Outcome {
    Json summary;  // the leader's
    std::vector<std::string> errors;
    std::map<Rank, std::vector<float>> models;
  };
  // `change` may alter the options of one rank; `during` is called by each process when its trainer stands.
  using Change = std::function<void(Rank, TrainOptions&)>;

  static TrainOptions one_thread(TrainOptions options) {
    options.threads = 1;
    return options;
  }

  Outcome run(const TrainOptions& options, const Change& change = {},
              const std::function<void(Rank, std::atomic<bool>&)>& during = {}) {
    std::shared_ptr<Exchange> exchange;
    std::once_flag once;
    std::mutex mutex;
    Outcome outcome;
    outcome.errors = together(options.workers, [&](Rendezvous& meeting) {
      TrainOptions own = one_thread(options);
      if (change) change(meeting.rank(), own);
      std::atomic<bool> stop{false};
      Progress progress(ProgressStyle::none);
      Trainer trainer(own, progress, stop,
                      {.rendezvous = &meeting, .make_exchange = [&](const ExchangeParts& parts) {
                         std::call_once(
                             once, [&] { exchange = make_local_exchange(options.workers, parts.buckets); });
                         return std::make_unique<OneOfAll>(exchange, meeting.rank(), breaks_);
                       }});
      if (during) during(meeting.rank(), stop);
      const Json summary = trainer.run();
      const std::lock_guard lock(mutex);
      if (trainer.leads()) outcome.summary = summary;
      const auto model = trainer.workers().front()->model();
      outcome.models[meeting.rank()].assign(model.begin(), model.end());
    });
    return outcome;
  }

  static Json run_in_one_process(const TrainOptions& options) {
    Progress progress(ProgressStyle::none);
    const std::atomic<bool> stop{false};
    return Trainer(one_thread(options), progress, stop).run();
  }

  std::optional<Break> breaks_;

  // A run's records without what is a matter of time, place or name.
  static std::string records(const fs::path& run) {
    std::string text = read_text(run / "metrics.jsonl");
    text = std::regex_replace(text, std::regex(R"("seconds":(\{[^}]*\}|[0-9.e+-]+),?)"), "");
    text = std::regex_replace(text, std::regex(R"("images_per_second":[0-9.e+-]+,?)"), "");
    text = std::regex_replace(text, std::regex(R"("name":"[^"]*",)"), "");
    // Said by several processes only.
    return std::regex_replace(text, std::regex(R"(\{"kind":"event"[^\n]*processes by[^\n]*\n)"), "");
  }

  static std::map<std::string, std::string> files(const fs::path& run) {
    std::map<std::string, std::string> digests;
    for (const auto& entry : fs::recursive_directory_iterator(run)) {
      if (entry.path().extension() == ".safetensors")
        digests[fs::relative(entry.path(), run).string()] = sha256(read_file(entry.path()));
    }
    return digests;
  }
};

struct Case {
  const char* name;
  gossip::Order order;
  const char* schedule;
  Algorithm algorithm;
  double epochs = 2;
};

class SeveralProcessesTrain : public SeveralProcesses, public testing::WithParamInterface<Case> {};

TEST_P(SeveralProcessesTrain, TheSameBitsAndRecordsAsOne) {
  TrainOptions options = small_options("one");
  options.order = GetParam().order;
  options.schedule = GetParam().schedule;
  options.algorithm = GetParam().algorithm;
  options.evaluate = EvaluateWhom::all;
  options.epochs = GetParam().epochs;
  options.checkpoint_every = 0;
  if (options.epochs == 1) options.dataset.shapes_train = 51 * 32;
  if (options.algorithm == Algorithm::al_dsgd) {
    options.leaders = gossip::leader_preset("annealed");
    options.leaders.enabled = true;
  }
  const Json one = run_in_one_process(options);
  options.out = folder() / "several";
  const Outcome several = run(options);
  ASSERT_THAT(several.errors, Each(""));
  EXPECT_EQ(files(folder() / "several"), files(folder() / "one"));
  EXPECT_EQ(records(folder() / "several"), records(folder() / "one"));
  for (const auto& [key, value] : one.items()) {
    if (key == "seconds" || key == "images_per_second") continue;
    EXPECT_EQ(several.summary.at(key), value) << key;
  }
  EXPECT_TRUE(several.summary.at("lost_workers").empty());
  if (options.epochs == 1) {
    EXPECT_THAT(records(options.out), HasSubstr("variance_inflation"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Orders, SeveralProcessesTrain,
    testing::Values(
        Case{"combine_while_adapt", gossip::Order::combine_while_adapt, "static", Algorithm::al_dsgd},
        // One epoch of more than the 50 steps that the variance inflation wants.
        Case{"long_epoch", gossip::Order::combine_while_adapt, "static", Algorithm::d_psgd, 1},
        Case{"adapt_then_combine", gossip::Order::adapt_then_combine, "static", Algorithm::al_dsgd},
        Case{"paper", gossip::Order::paper, "static", Algorithm::al_dsgd},
        Case{"matcha", gossip::Order::combine_while_adapt, "matcha:0.5", Algorithm::d_psgd},
        Case{"all_reduce", gossip::Order::adapt_then_combine, "static", Algorithm::all_reduce}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST_F(SeveralProcesses, ResumeWhatOneHasBegunAndTheOtherWayRound) {
  TrainOptions options = small_options("whole");
  run_in_one_process(options);
  for (const bool several_first : {true, false}) {
    options.out = folder() / (several_first ? "several-one" : "one-several");
    options.stop_after = 3;
    options.resume = false;
    if (several_first) {
      const Outcome part = run(options);
      ASSERT_THAT(part.errors, Each(""));
      EXPECT_FALSE(part.summary.at("completed").get<bool>());
    } else {
      run_in_one_process(options);
    }
    options.stop_after = 0;
    options.resume = true;
    if (several_first) {
      run_in_one_process(options);
    } else {
      EXPECT_THAT(run(options).errors, Each(""));
    }
    EXPECT_EQ(sha256(read_file(options.out / "averaged.safetensors")),
              sha256(read_file(folder() / "whole" / "averaged.safetensors")));
  }
}

TEST_F(SeveralProcesses, StopTogetherWhenOneIsAskedTo) {
  TrainOptions options = small_options("whole");
  options.epochs = 20;
  options.evaluate_every = options.checkpoint_every = 0;
  run_in_one_process(options);
  options.out = folder() / "parts";
  const Outcome part = run(options, {}, [](Rank rank, std::atomic<bool>& stop) { stop = rank == 2; });
  EXPECT_THAT(part.errors, Each(""));
  EXPECT_FALSE(part.summary.at("completed").get<bool>());
  EXPECT_LT(part.summary.at("steps").get<int>(), 80);
  options.resume = true;
  EXPECT_THAT(run(options).errors, Each(""));
  EXPECT_EQ(sha256(read_file(options.out / "averaged.safetensors")),
            sha256(read_file(folder() / "whole" / "averaged.safetensors")));
}

TEST_F(SeveralProcesses, EndTogetherAtALossThatIsNotFinite) {
  TrainOptions options = small_options("diverges");
  options.learning_rate.base = 1e20;
  const Outcome outcome = run(options);
  for (const std::string& error : outcome.errors) {
    EXPECT_THAT(error, AllOf(HasSubstr("worker "), HasSubstr("at step "), HasSubstr("--lr")));
  }
  EXPECT_THAT(read_text(options.out / "metrics.jsonl"), HasSubstr("last finite loss"));
}

TEST_F(SeveralProcesses, OfOtherOptionsAreRefusedWithBothValues) {
  const TrainOptions options = small_options("mixed");
  const Outcome outcome = run(options, [](Rank rank, TrainOptions& own) {
    if (rank == 3) own.learning_rate.base = 0.25;
  });
  EXPECT_THAT(outcome.errors, Each(AllOf(HasSubstr("learning rate is 0.25 on rank 3"),
                                         HasSubstr("and 0.05 on rank 0"), Not(HasSubstr("\n")))));
}

TEST_F(SeveralProcesses, OfAnotherGraphAreRefused) {
  const TrainOptions options = small_options("graphs");
  const Outcome outcome = run(options, [](Rank rank, TrainOptions& own) {
    if (rank == 1) own.graph = "complete";
  });
  EXPECT_THAT(outcome.errors, Each(HasSubstr("schedule")));
}

TEST_F(SeveralProcesses, WantAWorkerEach) {
  TrainOptions options = small_options("count");
  const Outcome outcome = run(options, [](Rank, TrainOptions& own) { own.workers = 3; });
  EXPECT_THAT(outcome.errors, Each(HasSubstr("--workers 3: the launcher started 4 processes")));
}

// Nodes whose run folder is their own: ranks 0 and 1 live on one, 2 and 3 on another.
class NodesOfTheirOwn : public SeveralProcesses {
 protected:
  NodesOfTheirOwn() : options_(small_options("a")) { options_.keep_checkpoints = 1; }
  Outcome run_on_nodes() {
    return run(options_, [this](Rank rank, TrainOptions& own) {
      if (rank >= 2) own.out = folder() / "b";
    });
  }
  void begin() {
    options_.stop_after = 6;
    EXPECT_THAT(run_on_nodes().errors, Each(""));
    options_.stop_after = 0;
    options_.resume = true;
  }
  TrainOptions options_;
};

TEST_F(NodesOfTheirOwn, KeepTheFilesOfTheirWorkersAndResumeFromThem) {
  TrainOptions whole = small_options("whole");
  run_in_one_process(whole);
  begin();
  const auto has = [&](const char* node, const char* file) { return fs::exists(folder() / node / file); };
  for (const char* file : {"checkpoint-6/worker-0.safetensors", "checkpoint-6/worker-1.optimizer.safetensors",
                           "checkpoint-6/state.json", "latest"}) {
    EXPECT_TRUE(has("a", file)) << file;
    EXPECT_FALSE(has("b", file)) << file;
  }
  EXPECT_TRUE(has("b", "checkpoint-6/worker-2.safetensors"));
  EXPECT_TRUE(has("b", "checkpoint-6/worker-3.optimizer.safetensors"));
  EXPECT_FALSE(has("b", "checkpoint-6/renaming"));
  for (const char* node : {"a", "b"}) {
    EXPECT_FALSE(has(node, "checkpoint-4")) << "superseded, on every node";
    EXPECT_FALSE(has(node, "checkpoint-6.tmp"));
  }
  EXPECT_THAT(run_on_nodes().errors, Each(""));
  EXPECT_EQ(sha256(read_file(folder() / "a" / "averaged.safetensors")),
            sha256(read_file(whole.out / "averaged.safetensors")));
}

TEST_F(NodesOfTheirOwn, RefuseToResumeWhenAFileIsMissingAndSayWhich) {
  begin();
  fs::remove(folder() / "b" / "checkpoint-6" / "worker-3.safetensors");
  EXPECT_THAT(run_on_nodes().errors,
              Each(AllOf(HasSubstr("cannot resume from"), HasSubstr("b/checkpoint-6/worker-3.safetensors"))));
}

TEST_F(NodesOfTheirOwn, RefuseToResumeFromAMixedSet) {
  begin();
  TrainOptions other = small_options("other");
  other.stop_after = 6;
  other.learning_rate.base = 0.07;
  run_in_one_process(other);
  fs::copy_file(other.out / "checkpoint-6" / "worker-2.safetensors",
                folder() / "b" / "checkpoint-6" / "worker-2.safetensors",
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(run_on_nodes().errors, Each(AllOf(HasSubstr("b/checkpoint-6/worker-2.safetensors"),
                                                HasSubstr("is not the file of this checkpoint"))));
}

// Worker 2's own trainer ends in the middle of the second epoch; the others train on.
class LosesAWorker : public SeveralProcesses {
 protected:
  LosesAWorker() : options_(small_options("lossy")) {
    options_.epochs = 5;
    options_.keep_checkpoints = 1;
    options_.evaluate = EvaluateWhom::all;
  }
  Outcome run_and_lose() {
    breaks_ = Break{.worker = 2, .generation = 6};
    return run(options_);
  }
  TrainOptions options_;
};

TEST_F(LosesAWorker, AndTheOthersFinish) {
  const Outcome outcome = run_and_lose();
  EXPECT_THAT(outcome.errors, ElementsAre("", "", HasSubstr("worker 2 breaks at generation 6"), ""));
  EXPECT_TRUE(outcome.summary.at("completed").get<bool>());
  const Json& lost = outcome.summary.at("lost_workers");
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].at("worker"), 2);
  EXPECT_THAT(lost[0].at("reason").get<std::string>(), HasSubstr("breaks at generation 6"));
  EXPECT_GE(lost[0].at("step").get<int>(), 5);
  EXPECT_TRUE(outcome.summary.at("test_accuracy_workers")[2].is_null());
  EXPECT_TRUE(outcome.summary.at("test_accuracy_workers")[3].is_number());

  std::map<int, int> lines;  // epoch lines by worker
  std::ifstream file(options_.out / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    const Json json = Json::parse(line);
    if (json.at("kind") == "epoch") ++lines[json.at("worker").get<int>()];
  }
  EXPECT_THAT(
      lines, ElementsAre(testing::Pair(0, 5), testing::Pair(1, 5), testing::Pair(2, 1), testing::Pair(3, 5)));
  EXPECT_THAT(read_text(options_.out / "metrics.jsonl"), HasSubstr("worker 2 on localhost is lost at step"));
}

TEST_F(LosesAWorker, AndResumesOnlyFromACheckpointThatHasAll) {
  run_and_lose();
  // The newest is without worker 2; the last with all is kept beside it.
  EXPECT_TRUE(fs::exists(options_.out / "checkpoint-20"));
  EXPECT_TRUE(fs::exists(options_.out / "checkpoint-4"));
  EXPECT_FALSE(fs::exists(options_.out / "checkpoint-16"));
  options_.resume = true;
  breaks_.reset();
  EXPECT_THAT(run(options_).errors, Each(AllOf(HasSubstr("it lacks worker 2"), HasSubstr("checkpoint-4:"))));
  write_atomically(options_.out / "latest", "checkpoint-4\n");
  EXPECT_THAT(run(options_).errors, Each(""));
}

}  // namespace
}  // namespace alder::train
