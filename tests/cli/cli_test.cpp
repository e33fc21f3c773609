// The command as a person or a script meets it: exit codes, standard output, one line on standard error.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "base/file.hpp"

namespace {

namespace fs = std::filesystem;

struct Outcome {
  int code = -1;
  std::string out, err;
};

class Command : public testing::Test {
 protected:
  Command() {
    std::string pattern = (fs::temp_directory_path() / "alder-cli-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Command() override { fs::remove_all(folder_); }

  Outcome alder(const std::string& arguments) {
    const std::string line = std::string(ALDER_BINARY) + " " + arguments + " >" + (folder_ / "out").string() +
                             " 2>" + (folder_ / "err").string() + " </dev/null";
    const int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, alder::read_text(folder_ / "out"),
            alder::read_text(folder_ / "err")};
  }

  // A run that takes a moment.
  std::string small_run(const std::string& name) const {
    return "train --model tiny --data shapes --limit-train 160 --limit-test 40 --workers 4 --graph ring "
           "--batch 8 "
           "--epochs 2 --threads 2 --progress none --out " +
           (folder_ / name).string() + " ";
  }

  fs::path folder_;
};

int lines(const std::string& text) {
  return static_cast<int>(std::ranges::count(text, '\n'));
}

TEST_F(Command, HelpOfEverySubcommandShowsDefaults) {
  EXPECT_EQ(alder("--help").code, 0);
  for (const char* name : {"train", "eval", "plan", "step", "report", "doctor"}) {
    const Outcome outcome = alder(std::string(name) + " --help");
    EXPECT_EQ(outcome.code, 0) << name;
    EXPECT_NE(outcome.out.find("--config"), std::string::npos) << name;
  }
  const std::string help = alder("train --help").out;
  for (const char* shown : {"=resnet-20", "=g8", "=combine-while-adapt", "=16"}) {
    EXPECT_NE(help.find(shown), std::string::npos) << shown;
  }
}

struct Bad {
  const char* name;
  const char* arguments;
  int code;
  const char* says;
};

class BadUsage : public Command, public testing::WithParamInterface<Bad> {};

TEST_P(BadUsage, IsOneLineOnStandardErrorAndAnExitCode) {
  std::string arguments = GetParam().arguments;
  if (const auto at = arguments.find("@"); at != std::string::npos)
    arguments.replace(at, 1, folder_.string());
  const Outcome outcome = alder(arguments);
  EXPECT_EQ(outcome.code, GetParam().code);
  EXPECT_EQ(lines(outcome.err), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(GetParam().says), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadUsage,
    testing::Values(Bad{"nothing", "", 2, "subcommand"}, Bad{"no_folder", "train", 2, "--out"},
                    Bad{"unknown_option", "train --out @/r --epoch 1", 2, "--epoch"},
                    Bad{"model", "train --out @/r --model resnet-21", 2, "resnet-20"},
                    Bad{"graph", "train --out @/r --graph rign", 2, "ring"},
                    Bad{"algorithm", "train --out @/r --algorithm ad-psgd", 2, "d-psgd"},
                    Bad{"order", "train --out @/r --order adapt", 2, "adapt-then-combine"},
                    Bad{"device", "train --out @/r --device cuda", 2, "--device cuda"},
                    Bad{"exchange", "train --out @/r --exchange verbs", 2, "--exchange verbs"},
                    Bad{"data", "train --out @/r --data cifar11:x", 2, "cifar10"},
                    Bad{"missing_data", "train --out @/r --data cifar10:@nowhere", 1, "cs.toronto.edu"},
                    Bad{"read_only", "train --out /proc/alder --data shapes --model tiny", 1, "/proc/alder"},
                    Bad{"no_checkpoint", "eval --checkpoint @/none", 2, "none"},
                    Bad{"no_run", "report @/none", 1, "none"},
                    Bad{"plan_graph", "plan --workers 8 --graph rin", 2, "ring"},
                    Bad{"doctor_model", "doctor --model resnet-21", 2, "resnet-20"},
                    Bad{"doctor_device", "doctor --device gpu", 2, "cpu or cuda"},
                    Bad{"doctor_gid", "doctor --gid eth2", 2, "10.1.0.0/16"},
                    Bad{"doctor_gid_index", "doctor --gid-index 256", 2, "from -1 to 255"},
                    Bad{"doctor_port", "doctor --rdma-devices mlx5_0:x", 2, "mlx5_0:x"},
                    Bad{"no_config", "plan --config @/none.toml", 1, "none.toml"}),
    [](const auto& instance) { return std::string(instance.param.name); });

// What a machine is like is not known here; what the command says of it has to fit together.
TEST_F(Command, DoctorsExitCodeIsThatOfItsWorstLevelAndJsonIsAllItPrints) {
  const Outcome outcome = alder("doctor --json");
  const auto report = nlohmann::json::parse(outcome.out);
  const std::string worst = report.at("worst");
  EXPECT_EQ(outcome.code, worst == "fail" ? 4 : worst == "warn" ? 3 : 0);
  EXPECT_EQ(outcome.err, "");
  for (const auto& check : report.at("checks")) {
    const bool troubled = check.at("level") == "warn" || check.at("level") == "fail";
    EXPECT_TRUE(!troubled || check.at("remedy") != "") << check;
  }
  const Outcome text = alder("doctor");
  EXPECT_EQ(text.code, outcome.code);
  EXPECT_NE(text.out.find("memlock"), std::string::npos);
}

TEST_F(Command, TrainEvalAndReportWorkTogether) {
  const Outcome trained = alder(small_run("run") + "--json");
  ASSERT_EQ(trained.code, 0) << trained.err;
  const auto summary = nlohmann::json::parse(trained.out);
  EXPECT_EQ(summary.at("steps"), 10);
  EXPECT_EQ(summary, nlohmann::json::parse(alder::read_text(folder_ / "run" / "summary.json")));

  const Outcome all =
      alder("eval --checkpoint " + (folder_ / "run").string() + " --which all --limit-test 40 --json");
  ASSERT_EQ(all.code, 0) << all.err;
  const auto results = nlohmann::json::parse(all.out).at("results");
  ASSERT_EQ(results.size(), 5U);
  for (std::size_t rank = 0; rank < 4; ++rank) {
    EXPECT_DOUBLE_EQ(results[rank].at("test_accuracy"), summary.at("test_accuracy_workers")[rank]);
  }
  const Outcome averaged = alder("eval --checkpoint " + (folder_ / "run" / "averaged.safetensors").string() +
                                 " --limit-test 40 --json");
  ASSERT_EQ(averaged.code, 0) << averaged.err;
  EXPECT_DOUBLE_EQ(nlohmann::json::parse(averaged.out).at("results")[0].at("test_accuracy"),
                   summary.at("test_accuracy_averaged_model"));

  const Outcome page =
      alder("report " + (folder_ / "run").string() + " --out " + (folder_ / "page.html").string());
  EXPECT_EQ(page.code, 0) << page.err;
  EXPECT_GT(fs::file_size(folder_ / "page.html"), 1000U);
}

TEST_F(Command, TheEffectiveConfigurationTellsWhereEachValueCameFrom) {
  std::ofstream(folder_ / "a.toml") << "lr = 0.07\n[train]\nbatch = 4\n[plan]\nseed = 3\n";
  const Outcome outcome = alder(small_run("run") + "--config " + (folder_ / "a.toml").string());
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto config = nlohmann::json::parse(alder::read_text(folder_ / "run" / "config.json"));
  EXPECT_EQ(config.at("lr").at("source"), "config " + (folder_ / "a.toml").string());
  EXPECT_EQ(config.at("lr").at("value"), "0.07");
  EXPECT_EQ(config.at("batch").at("value"), "8") << "the command line wins";
  EXPECT_EQ(config.at("batch").at("source"), "command line");
  EXPECT_EQ(config.at("momentum").at("source"), "default");
}

TEST_F(Command, AConfigurationFileWithAnUnknownKeyIsRefusedWithTheNearOnes) {
  std::ofstream(folder_ / "a.toml") << "momentun = 0.5\n";
  const Outcome outcome = alder(small_run("run") + "--config " + (folder_ / "a.toml").string());
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("a.toml: unknown option 'momentun'; did you mean momentum?"), std::string::npos)
      << outcome.err;
}

TEST_F(Command, PlanPrintsOneJsonObjectAndNothingElse) {
  const Outcome outcome = alder("plan --workers 8 --graph g8 --schedule static --weights metropolis --json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(nlohmann::json::parse(outcome.out).is_object());
}

TEST_F(Command, AnInterruptSavesACheckpointAndEndsCleanly) {
  const fs::path out = folder_ / "run";
  const pid_t child = ::fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stdout);
    std::freopen((folder_ / "err").c_str(), "w", stderr);
    ::execl(ALDER_BINARY, "alder", "train", "--model", "tiny", "--data", "shapes", "--limit-train", "160",
            "--limit-test", "40", "--workers", "4", "--graph", "ring", "--batch", "8", "--epochs", "1000000",
            "--threads", "1", "--progress", "none", "--out", out.c_str(), nullptr);
    ::_exit(127);
  }
  // The first checkpoint shows that it trains; a deadline keeps a broken build from hanging here.
  for (int i = 0; i < 3000 && !fs::exists(out / "latest"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(fs::exists(out / "latest"));
  ::kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << alder::read_text(folder_ / "err");
  const auto summary = nlohmann::json::parse(alder::read_text(out / "summary.json"));
  EXPECT_FALSE(summary.at("completed").get<bool>());
  const std::string newest = alder::read_text(out / "latest");
  EXPECT_EQ(newest, "checkpoint-" + std::to_string(summary.at("steps").get<int64_t>()) + "\n");
}

TEST_F(Command, AFullDiskEndsTheRunAndKeepsTheEarlierCheckpoint) {
  ASSERT_EQ(alder(small_run("run") + "--stop-after 5").code, 0);
  const std::string before = alder::read_text(folder_ / "run" / "latest");
  // A file-size limit stands for the full disk: writes fail with EFBIG, the signal is ignored by the shell.
  const std::string limited = "bash -c \"trap '' XFSZ; ulimit -f 8; exec " + std::string(ALDER_BINARY) + " " +
                              small_run("run") + "--resume\" >/dev/null 2>" + (folder_ / "err").string();
  const int status = std::system(limited.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_NE(alder::read_text(folder_ / "err").find("File too large"), std::string::npos)
      << alder::read_text(folder_ / "err");
  EXPECT_EQ(alder::read_text(folder_ / "run" / "latest"), before);
  EXPECT_EQ(alder(small_run("run") + "--resume").code, 0) << "the earlier checkpoint goes on";
}

}  // namespace
