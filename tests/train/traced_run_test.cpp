// Traces of whole small runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "run_folder.hpp"
#include "train/trainer.hpp"

namespace alder::train {
namespace {

using testing::Contains;
using testing::Each;
using testing::HasSubstr;

class TracedRun : public RunFolderTest {
 protected:
  Json run(const TrainOptions& options) {
    std::atomic<bool> stop{false};
    Progress progress(ProgressStyle::none);
    Trainer trainer(options, progress, stop);
    return trainer.run();
  }

  std::vector<Json> overlap_lines(const TrainOptions& options) {
    std::vector<Json> lines;
    std::ifstream file(options.out / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      Json json = Json::parse(line);
      if (json.at("kind") == "overlap") lines.push_back(std::move(json));
    }
    return lines;
  }
};

TEST_F(TracedRun, TellsOfEveryWorkerWhereItsStepsWent) {
  TrainOptions options = small_options("traced");
  options.trace = true;
  const Json summary = run(options);
  const std::vector<Json> lines = overlap_lines(options);
  ASSERT_EQ(lines.size(), 4U);
  for (std::size_t rank = 0; rank < 4; ++rank) {
    const Json& line = lines[rank];
    EXPECT_EQ(line.at("worker"), rank);
    EXPECT_EQ(line.at("steps"), 8);
    EXPECT_EQ(line.at("last_step"), 7);
    const auto mean = [&](const char* name) { return line.at("seconds").at(name).at("mean").get<double>(); };
    for (const char* name : {"data", "forward", "backward", "mixing"}) EXPECT_GT(mean(name), 0) << name;
    EXPECT_NEAR(mean("compute"), mean("data") + mean("forward") + mean("backward") + mean("mixing"), 1e-6);
    EXPECT_LT(mean("compute"), mean("step"));
    EXPECT_EQ(mean("communication"), 0) << "in one process neighbours' models are read in place";
    EXPECT_FALSE(line.contains("overlap_fraction")) << "of no communication there is no fraction";
    const Json& step = line.at("seconds").at("step");
    EXPECT_LE(step.at("p50").get<double>(), step.at("p99").get<double>());
  }
  const Json& overlap = summary.at("overlap");
  EXPECT_EQ(overlap.at("workers"), 4);
  EXPECT_EQ(overlap.at("steps"), 32);
  EXPECT_TRUE(overlap.at("remarks").empty()) << overlap;
}

TEST_F(TracedRun, RecordsTheStepsOfItsWindowOnly) {
  TrainOptions options = small_options("window");
  options.trace = true;
  options.trace_begin = 3;
  options.trace_end = 6;
  run(options);
  const std::vector<Json> lines = overlap_lines(options);
  ASSERT_EQ(lines.size(), 4U);
  // The first step of a window may have begun with transfers that were not recorded.
  EXPECT_EQ(lines[0].at("first_step"), 4);
  EXPECT_EQ(lines[0].at("last_step"), 5);
  const auto trace = trace::load({&options.out, 1});
  for (const trace::Record& one : trace.files.at(0).records) {
    if (one.kind != trace::Kind::step) continue;
    EXPECT_GE(one.generation, 3U);
    EXPECT_LT(one.generation, 6U);
  }
}

TEST_F(TracedRun, HoldsTheWholeStoryOfAModel) {
  TrainOptions options = small_options("story");
  options.trace = true;
  run(options);
  const auto trace = trace::load({&options.out, 1});
  ASSERT_EQ(trace.files.size(), 1U);
  const trace::Description& about = trace.description();
  EXPECT_EQ(about.workers, 4);
  EXPECT_EQ(about.exchange, "local");
  ASSERT_EQ(about.bucket_bytes.size(), 1U);
  EXPECT_EQ(about.bucket_bytes[0], make_network("tiny", 10).elements * sizeof(float));
  std::map<trace::Kind, int> counts;
  for (const trace::Record& one : trace.files[0].records) ++counts[one.kind];
  // 8 steps of 4 workers on a ring: two neighbours each.
  EXPECT_EQ(counts[trace::Kind::step], 32);
  EXPECT_EQ(counts[trace::Kind::forward], 32);
  EXPECT_EQ(counts[trace::Kind::backward], 32);
  EXPECT_EQ(counts[trace::Kind::publish], 32);
  EXPECT_EQ(counts[trace::Kind::post], 64);
  EXPECT_EQ(counts[trace::Kind::arrival], 64);
  EXPECT_EQ(counts[trace::Kind::header_arrival], 64);
  EXPECT_EQ(counts[trace::Kind::expects], 64);
  EXPECT_EQ(counts[trace::Kind::wait_bucket], 32);
  EXPECT_EQ(counts[trace::Kind::released], 64);
  EXPECT_EQ(counts[trace::Kind::evaluation], 2 * 4);
  const auto transfers = transfers_of(trace);
  EXPECT_EQ(transfers.size(), 64U);
  for (const trace::Transfer& one : transfers) EXPECT_TRUE(one.posted && one.arrived);
}

TEST_F(TracedRun, DoesNotChangeWhatIsLearnt) {
  TrainOptions options = small_options("plain");
  const Json plain = run(options);
  options.out = folder() / "traced";
  options.trace = true;
  const Json traced = run(options);
  EXPECT_EQ(plain.at("test_accuracy_workers"), traced.at("test_accuracy_workers"));
  EXPECT_EQ(plain.at("consensus_distance"), traced.at("consensus_distance"));
  EXPECT_FALSE(plain.contains("overlap"));
}

TEST_F(TracedRun, AResumedRunKeepsTheTraceOfItsFirstPart) {
  TrainOptions options = small_options("parts");
  options.trace = true;
  options.stop_after = 3;
  run(options);
  options.stop_after = 0;
  options.resume = true;
  run(options);
  EXPECT_TRUE(std::filesystem::exists(trace::part_folder(options.out, 0)));
  EXPECT_EQ(trace::newest_part(options.out), trace::part_folder(options.out, 3));
  EXPECT_EQ(overlap_lines(options).back().at("steps"), 5);
  options.resume = false;
  std::filesystem::remove(options.out / "latest");
  run(options);
  EXPECT_EQ(trace::newest_part(options.out), trace::part_folder(options.out, 0))
      << "a fresh run clears the old";
}

TEST_F(TracedRun, RefusesAWindowThatCannotBe) {
  TrainOptions options = small_options("bad");
  options.trace = true;
  options.trace_begin = 5;
  options.trace_end = 5;
  EXPECT_THROW(run(options), UsageError);
}

}  // namespace
}  // namespace alder::train
