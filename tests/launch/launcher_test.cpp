#include "launch/launcher.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace alder {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Table = std::map<std::string, std::string>;

Environment of(const Table& table) {
  return [&table](const char* name) -> const char* {
    const auto found = table.find(name);
    return found == table.end() ? nullptr : found->second.c_str();
  };
}

struct Case {
  const char* name;
  Table environment;
  const char* launcher;  // empty: none
  bool pmix;
  int size;  // 0: not told
};

class LauncherIs : public testing::TestWithParam<Case> {};

TEST_P(LauncherIs, ReadFromTheEnvironment) {
  const Case& one = GetParam();
  const auto launcher = find_launcher(of(one.environment));
  ASSERT_EQ(launcher.has_value(), *one.launcher != 0);
  if (!launcher) return;
  EXPECT_EQ(launcher->name, one.launcher);
  EXPECT_EQ(launcher->pmix, one.pmix);
  EXPECT_EQ(launcher->size.value_or(0), one.size);
}

const Table kPmix{{"PMIX_NAMESPACE", "1469579265"}, {"PMIX_RANK", "3"}};
Table with_pmix(Table more) {
  more.insert(kPmix.begin(), kPmix.end());
  return more;
}
const Table kSlurmStep{{"SLURM_PROCID", "1"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}};

INSTANTIATE_TEST_SUITE_P(
    Table, LauncherIs,
    testing::Values(
        Case{"shell", {{"HOME", "/root"}}, "", false, 0},
        Case{"slurm_allocation_without_srun", {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}, "", false, 0},
        Case{"srun_without_pmix", kSlurmStep, "srun (Slurm)", false, 4},
        Case{"srun", with_pmix(kSlurmStep), "srun (Slurm)", true, 4},
        Case{"mpirun", with_pmix({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "8"}}),
             "mpirun (Open MPI)", true, 8},
        Case{"mpirun_inside_a_slurm_step",
             with_pmix({{"OMPI_COMM_WORLD_RANK", "3"},
                        {"OMPI_COMM_WORLD_SIZE", "8"},
                        {"SLURM_PROCID", "0"},
                        {"SLURM_STEP_ID", "1"},
                        {"SLURM_NTASKS", "1"}}),
             "mpirun (Open MPI)", true, 8},
        Case{"prterun", with_pmix({{"PRTE_LAUNCHED", "1"}}), "prterun (PRRTE)", true, 0},
        Case{"another_pmix_launcher", kPmix, "a PMIx launcher", true, 0},
        Case{"hydra", {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}, "mpiexec (PMI)", false, 2},
        Case{"size_that_is_no_number",
             with_pmix({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "8x"}}), "mpirun (Open MPI)",
             true, 0}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(Launcher, TellsTheProcessOfItsNode) {
  EXPECT_EQ(local_rank(of({{"OMPI_COMM_WORLD_LOCAL_RANK", "3"}})), 3);
  EXPECT_EQ(local_rank(of({{"SLURM_LOCALID", "0"}})), 0);
  EXPECT_EQ(local_rank(of({{"SLURM_LOCALID", "many"}, {"LOCAL_RANK", "2"}})), 2);
  EXPECT_EQ(local_rank(of({{"LOCAL_RANK", "-1"}})), std::nullopt);
  EXPECT_EQ(local_rank(of({})), std::nullopt);
}

TEST(Launcher, ItsAbsenceIsExplainedWithTheCommandsToType) {
  const Table shell;
  EXPECT_THAT(explain_missing_launcher(of(shell), "--exchange verbs"),
              AllOf(HasSubstr("--exchange verbs"), HasSubstr("PMIX_NAMESPACE"), HasSubstr("mpirun -n"),
                    HasSubstr("prterun -n"), HasSubstr("srun --mpi=pmix"), Not(HasSubstr("\n"))));
  EXPECT_THAT(explain_missing_launcher(of(kSlurmStep), "--exchange verbs"), HasSubstr("add --mpi=pmix"));
  const Table hydra{{"PMI_RANK", "0"}};
  EXPECT_THAT(explain_missing_launcher(of(hydra), "--exchange verbs"), HasSubstr("mpiexec (PMI) started"));
}

}  // namespace
}  // namespace alder
