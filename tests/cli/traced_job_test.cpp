// A traced run of several processes under a real launcher: every bucket travels, by the memory of the node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/file.hpp"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class TracedJob : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v mpirun >/dev/null") != 0)
      GTEST_SKIP() << "mpirun is not installed (Debian: openmpi-bin)";
    std::string pattern = (fs::temp_directory_path() / "alder-job-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  int run(const std::string& command) const {
    return std::system((command + " >>" + (folder_ / "log").string() + " 2>&1 </dev/null").c_str());
  }
  std::string log() const { return alder::read_text(folder_ / "log"); }

  fs::path folder_;
};

TEST_F(TracedJob, SeesEveryBucketsWayFromOneProcessToTheOther) {
  const std::string out = (folder_ / "run").string();
  const int code = run(
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe --bind-to none -n "
      "3 " +
      std::string(ALDER_BINARY) +
      " train --exchange verbs --same-node shm --model tiny --data shapes --limit-train 240 --limit-test 40 "
      "--graph ring --batch 8 --epochs 1 --threads 1 --bucket-mib 0.01 --grace 60 --progress none --trace "
      "--out " +
      out);
  if (code != 0 && log().find("this build") != std::string::npos) GTEST_SKIP() << log();
  ASSERT_EQ(code, 0) << log();
  const json overlap = json::parse(alder::read_text(folder_ / "run" / "summary.json")).at("overlap");
  EXPECT_EQ(overlap.at("workers"), 3);
  EXPECT_EQ(overlap.at("steps"), 30);
  EXPECT_EQ(overlap.at("remarks"), json::array()) << "nothing is missing";
  EXPECT_GT(overlap.at("overlap_fraction").get<double>(), 0);
  EXPECT_LE(overlap.at("overlap_fraction").get<double>(), 1);
  EXPECT_FALSE(overlap.at("stall_by_cause").contains("unknown")) << "all clocks were compared: " << overlap;

  ASSERT_EQ(run(std::string(ALDER_BINARY) + " trace merge " + out), 0) << log();
  const json events = json::parse(alder::read_text(folder_ / "run" / "trace.json")).at("traceEvents");
  std::set<int> workers;
  std::set<uint64_t> begun, ended;
  for (const json& event : events) {
    workers.insert(event.at("pid").get<int>());
    if (event.at("ph") == "s") begun.insert(event.at("id").get<uint64_t>());
    if (event.at("ph") == "f") ended.insert(event.at("id").get<uint64_t>());
  }
  EXPECT_THAT(workers, testing::ElementsAre(0, 1, 2));
  // 10 steps, each worker sends each of its buckets to two neighbours; the model has three buckets or more.
  EXPECT_GE(begun.size(), 10U * 3 * 2 * 3);
  EXPECT_EQ(begun, ended) << "every model that was sent is mixed";
}

}  // namespace
