// Real processes under a real launcher: mpirun starts rendezvous_probe.
#include "launch/pmix_rendezvous.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "launch/rank_claim.hpp"

namespace alder {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int code = -1;
  std::string text;
  int count(const std::string& word) const {
    int found = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
    return found;
  }
};

Outcome shell(const std::string& command) {
  Outcome outcome;
  std::FILE* pipe = ::popen((command + " 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> block{};
  for (std::size_t read; (read = std::fread(block.data(), 1, block.size(), pipe)) > 0;)
    outcome.text.append(block.data(), read);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) outcome.code = WEXITSTATUS(status);
  return outcome;
}

class UnderMpirun : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v mpirun >/dev/null") != 0)
      GTEST_SKIP() << "mpirun is not installed (Debian: openmpi-bin)";
    std::string pattern = (std::filesystem::temp_directory_path() / "alder-launch-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  static Outcome mpirun(int processes, const std::string& rest) {
    return shell(fmt::format("mpirun --oversubscribe --bind-to none -n {} {}", processes, rest));
  }
  std::string probe(const std::string& task) const {
    return fmt::format("{} {} {}", ALDER_PROBE, task, folder_.string());
  }
  std::filesystem::path folder_;
};

TEST_F(UnderMpirun, ValuesReachEveryProcess) {
  const Outcome outcome = mpirun(4, probe("exchange"));
  EXPECT_EQ(outcome.code, 0) << outcome.text;
  EXPECT_EQ(outcome.count("exchanged"), 4) << outcome.text;
  EXPECT_THAT(outcome.text, AllOf(HasSubstr("rank 3 of 4: 4 ranks here, host " + host_name()),
                                  HasSubstr("under mpirun (Open MPI)")));
}

TEST_F(UnderMpirun, WhoMissesAFenceIsNamed) {
  const Outcome outcome = mpirun(3, probe("miss-a-fence"));
  EXPECT_EQ(outcome.count("for rank 2 on " + host_name() + "\n"), 2) << outcome.text;
  EXPECT_THAT(outcome.text, AllOf(HasSubstr("rank 0 on " + host_name() + " waited 0.5 s at fence 1"),
                                  Not(HasSubstr("for rank 0")), Not(HasSubstr("for rank 1"))));
}

TEST_F(UnderMpirun, AValueThatNobodyPutIsWaitedForUntilTheDeadline) {
  const Outcome outcome = mpirun(2, probe("ask-in-vain"));
  EXPECT_EQ(outcome.count("\"nobody puts this\" of rank 0"), 2) << outcome.text;
}

TEST_F(UnderMpirun, ASecondProcessOfTheSameRankIsRefused) {
  const std::string held = (folder_ / "held").string(), tried = (folder_ / "tried").string();
  const Outcome outcome =
      mpirun(1, fmt::format("sh -c '{} & until test -e {}; do sleep 0.01; done; {}; touch {}; wait'",
                            probe("hold"), held, probe("exchange"), tried));
  EXPECT_THAT(outcome.text, AllOf(HasSubstr("rank 0 of job"), HasSubstr("is taken: process"),
                                  HasSubstr(" on " + host_name())));
  EXPECT_EQ(outcome.count("exchanged"), 0) << outcome.text;
}

TEST_F(UnderMpirun, WithRecoveryTheOthersOutliveAKilledProcess) {
  const Outcome outcome = mpirun(3, "--enable-recovery " + probe("die-after-leaving"));
  EXPECT_EQ(outcome.count("survives"), 2) << outcome.text;
}

TEST(WithoutALauncher, TheMessageSaysWhatWasLookedFor) {
  const Outcome outcome = shell(std::string("env -u PMIX_NAMESPACE -u PMIX_RANK ") + ALDER_PROBE);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.text, AllOf(HasSubstr("PMIX_NAMESPACE"), HasSubstr("mpirun -n 8")));
}

}  // namespace
}  // namespace alder
