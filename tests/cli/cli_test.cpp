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
  for (const char* name :
       {"train", "eval", "plan", "step", "report", "doctor", "trace merge", "bench overlap"}) {
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
                    Bad{"device", "train --out @/r --device cuda:99", 2, "--device cuda: "},
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

INSTANTIATE_TEST_SUITE_P(
    Plan, BadUsage,
    testing::Values(
        Bad{"plan_no_nic", "plan --nics-per-node 0", 2, "--nics-per-node 0: without a NIC"},
        Bad{"plan_half_a_node", "plan --gpus-per-node 3", 2, "use 6 or 9 workers"},
        Bad{"plan_node_larger_than_job", "plan --gpus-per-node 16", 2, "use --gpus-per-node 8"},
        Bad{"plan_graph_larger_than_workers", "plan --graph g8 --workers 6", 2, "has 8 nodes, not 6"},
        Bad{"plan_node_without_nvlink", "plan --worker node --gpus-per-node 2", 2, "add --nvlink"},
        Bad{"plan_jitter", "plan --step-time 5 --jitter normal:0.1", 2, "lognormal:SIGMA"},
        Bad{"plan_jitter_without_step", "plan --jitter 0.1", 2, "give --step-time"},
        Bad{"plan_straggler", "plan --step-time 5 --straggler 8:2", 2, "ranks are 0..7"},
        Bad{"plan_failure", "plan --graph ring --step-time 5 --link-failure 0-2:3", 2, "has no such edge"},
        Bad{"plan_model", "plan --model tiny --model-bytes 3", 2, "--model-bytes"},
        Bad{"plan_bytes", "plan --model-bytes 10XB", 2, "such as 100000000, 100MB"},
        Bad{"plan_edge_list_of_a_cycle", "plan --schedule cycle:2 --write-graph @/g", 2, "--write-ranks"},
        Bad{"plan_sweep_key", "plan --sweep wrokers=8 --csv @/t", 2, "did you mean workers"},
        Bad{"plan_sweep_value", "plan --sweep workers=8,9 --csv @/t", 2, "--sweep at workers=9: graph 'g8'"},
        Bad{"plan_sweep_nowhere", "plan --sweep seed=1,2", 2, "--csv FILE"},
        Bad{"plan_table_of_nothing", "plan --csv @/t", 2, "give one"},
        Bad{"plan_processes_have_no_links", "plan --threads 2 --step-time 5 --link-failures 0.1", 2,
            "no links that fail"}),
    [](const auto& instance) { return std::string(instance.param.name); });

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

TEST_F(Command, PlanWithEverythingStillPrintsOneJsonObject) {
  const Outcome outcome = alder(
      "plan --workers 16 --graph torus --gpus-per-node 4 --nics-per-node 2 --nvlink --model-bytes 100MB "
      "--wire "
      "bf16 --step-time 10 --jitter lognormal:0.05+stall:0.01:1 --straggler 3:1.2 --link-failures 1e-3:20 "
      "--place --order combine-while-adapt --simulate 100 --json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const auto plan = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(plan.at("work").at("wire_bytes"), 50e6);
  EXPECT_EQ(plan.at("cluster").at("nodes"), 4);
  EXPECT_EQ(plan.at("simulation").at("combine-while-adapt").at("steps"), 100);
  EXPECT_FALSE(plan.at("orders").contains("paper"));
  EXPECT_EQ(plan.at("placement").at("position").size(), 16U);
  EXPECT_FALSE(plan.at("verdict").at("reasons").empty());
}

TEST_F(Command, APlacedGraphReadsBackWithThePlacedCut) {
  const std::string machine =
      "plan --workers 16 --gpus-per-node 4 --nics-per-node 4 --nvlink --json --graph ";
  const std::string graph = (folder_ / "placed").string(), ranks = (folder_ / "ranks").string();
  const Outcome placed = alder(machine + "torus --write-graph " + graph + " --write-ranks " + ranks);
  ASSERT_EQ(placed.code, 0) << placed.err;
  const Outcome again = alder(machine + graph);
  ASSERT_EQ(again.code, 0) << again.err;
  const auto cut = [](const Outcome& outcome) {
    return nlohmann::json::parse(outcome.out).at("traffic").at("cut").at("edges_max").get<int>();
  };
  EXPECT_EQ(cut(again), cut(placed));
  EXPECT_LE(cut(placed),
            nlohmann::json::parse(placed.out).at("placement").at("before").at("edges_max").get<int>());
  EXPECT_EQ(lines(alder::read_text(ranks)), 2 + 16);
}

TEST_F(Command, ASweepWritesOneRowForEveryCombination) {
  const fs::path table = folder_ / "sweep.csv";
  const Outcome outcome = alder(
      "plan --graph ring --step-time 5 --sweep workers=4,8,16 --sweep "
      "schedule=static,one-peer --csv " +
      table.string());
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string text = alder::read_text(table);
  EXPECT_EQ(lines(text), 1 + 6);
  EXPECT_EQ(text.find("workers,schedule,factor_per_step,"), 0U);
  EXPECT_NE(text.find("\n16,one-peer,0.0,"), std::string::npos) << text;
  const Outcome failed = alder("plan --sweep workers=8,9 --csv " + (folder_ / "none.csv").string());
  EXPECT_EQ(failed.code, 2);
  EXPECT_FALSE(fs::exists(folder_ / "none.csv")) << "nothing is written before all combinations are known";
}

TEST_F(Command, ATracedRunIsMergedReportedAndComparedWithARunWithoutExchange) {
  const Outcome trained = alder(small_run("run") + "--trace");
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.out.find("step p50 ms"), std::string::npos) << trained.out;
  const Outcome merged = alder("trace merge " + (folder_ / "run").string());
  ASSERT_EQ(merged.code, 0) << merged.err;
  EXPECT_EQ(merged.err, "");
  const auto events =
      nlohmann::json::parse(alder::read_text(folder_ / "run" / "trace.json")).at("traceEvents");
  EXPECT_GT(events.size(), 100U);
  ASSERT_EQ(alder("report " + (folder_ / "run").string()).code, 0);
  EXPECT_NE(alder::read_text(folder_ / "run" / "report.html").find("Where a step"), std::string::npos);

  ASSERT_EQ(alder(small_run("none") + "--exchange none --trace").code, 0);
  const Outcome compared = alder("bench overlap --with " + (folder_ / "run").string() + " --without " +
                                 (folder_ / "none").string());
  ASSERT_EQ(compared.code, 0) << compared.err;
  EXPECT_NE(compared.out.find("compute slowdown"), std::string::npos);
}

TEST_F(Command, BenchOverlapTrainsWithAndWithoutTheExchangeInTurn) {
  const std::string run = small_run("bench");
  const Outcome outcome = alder("bench overlap --rounds 2 --steps 4 " + run.substr(run.find("--model")));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("hiding efficiency"), std::string::npos) << outcome.out;
  for (const char* name : {"local-1", "local-2", "none-1", "none-2"})
    EXPECT_TRUE(fs::exists(folder_ / "bench" / name / "summary.json")) << name;
}

TEST_F(Command, AFolderWithoutATraceIsRefusedInOneLine) {
  ASSERT_EQ(alder(small_run("run")).code, 0);
  const Outcome outcome = alder("trace merge " + (folder_ / "run").string());
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(lines(outcome.err), 1) << outcome.err;
  EXPECT_NE(outcome.err.find("no trace in this folder"), std::string::npos) << outcome.err;
}

TEST_F(Command, AQuestionBySignalIsAnsweredAndTheRunGoesOn) {
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
  const auto until = [](const auto& done) {  // a deadline keeps a broken build from hanging here
    for (int i = 0; i < 3000 && !done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return done();
  };
  EXPECT_TRUE(until([&] { return fs::exists(out / "latest"); }));
  ::kill(child, SIGUSR1);
  const fs::path answer = out / "waits-00000.log";
  EXPECT_TRUE(until([&] { return fs::exists(answer) && fs::file_size(answer) > 0; }));
  ::kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << alder::read_text(folder_ / "err");
  const std::string text = alder::read_text(answer);
  EXPECT_NE(text.find("state on request"), std::string::npos) << text;
  EXPECT_NE(text.find("worker 0 of worker 1: its last generation for it is"), std::string::npos) << text;
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
