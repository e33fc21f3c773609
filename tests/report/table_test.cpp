#include "report/table.hpp"

#include <limits>

#include "report/compare.hpp"
#include "report/configuration.hpp"
#include "report/format.hpp"
#include "report/report.hpp"
#include "tests/report/folder.hpp"

namespace alder::report {
namespace {

using test::Fixture;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Comparison : public test::Folder {};

TEST(Numbers, ReadAsAPersonWritesThem) {
  EXPECT_EQ(percent(0.91234), "91.23 %");
  EXPECT_EQ(percent(0.5, 0), "50 %");
  EXPECT_EQ(bytes(0), "0 B");
  EXPECT_EQ(bytes(999), "999 B");
  EXPECT_EQ(bytes(3.408e9), "3.41 GB");
  EXPECT_EQ(bytes(426e6), "426 MB");
  EXPECT_EQ(duration(1.5), "1.50 s");
  EXPECT_EQ(duration(61.2), "1 min 1 s");
  EXPECT_EQ(duration(59.7), "1 min 0 s");
  EXPECT_EQ(duration(7325), "2 h 2 min");
  EXPECT_EQ(count(1234567), "1,234,567");
  EXPECT_EQ(count(-1000), "-1,000");
  EXPECT_EQ(count(12), "12");
  EXPECT_EQ(plain(0.3), "0.300");
  EXPECT_EQ(plain(9.996), "10.0");
  EXPECT_EQ(plain(812), "812");
  EXPECT_EQ(plain(999.9), "1,000");
  EXPECT_EQ(plain(0.00001234), "1.23e-05");
  EXPECT_EQ(plain(0), "0");
  EXPECT_EQ(percent(std::numeric_limits<double>::quiet_NaN()), "not finite");
}

TEST(TextTable, AlignsNumbersRightAndMarksTheBest) {
  const Table table{.columns = {{"run", false}, {"x"}},
                    .rows = {{{"a"}, {"9.1", true}}, {{"größer"}, {"10.25"}}}};
  EXPECT_EQ(to_text(table),
            "run         x\n"
            "--------------\n"
            "a         9.1*\n"
            "größer  10.25\n");
}

TEST(TextTable, LetsNoControlCharacterThrough) {
  EXPECT_THAT(to_text({.columns = {{"run", false}}, .rows = {{{"a\x1b[31m\nb"}}}}), HasSubstr("a?[31m?b\n"));
}

TEST(MarkdownTable, EscapesWhatWouldBreakIt) {
  const Table table{.columns = {{"run", false}, {"x"}}, .rows = {{{"a|b<script>"}, {"1", true}}}};
  EXPECT_EQ(to_markdown(table), "| run | x |\n|---|---:|\n| a\\|b&lt;script> | **1** |\n");
}

TEST_F(Comparison, TakesTheFiguresOfTheSummary) {
  const Fixture fixture;
  const Run run = read_run(make("a", fixture));
  const Figures figures = figures_of(run, 0.8);
  EXPECT_EQ(figures.averaged_model, run.summary->test_accuracy_averaged_model);
  EXPECT_EQ(figures.workers_worst, run.summary->test_accuracy_worst);
  EXPECT_EQ(figures.bytes_exchanged, run.summary->bytes_exchanged);
  // 0.9 (1 - exp(-4.4 e / 10)) passes 0.8 between the epochs 4 and 5.
  EXPECT_EQ(figures.steps_to_target, 5 * 390.0);
  EXPECT_EQ(figures.bytes_to_target, run.means[4].bytes_exchanged);
}

TEST_F(Comparison, TakesTheNewestEvaluationOfAnUnfinishedRun) {
  const Fixture fixture{.epochs = 10, .epochs_done = 5, .evaluate_every = 2};
  const Run run = read_run(make("a", fixture));
  const test::FixtureWriter truth(root_ / "a", fixture);
  const Figures figures = figures_of(run, 0.99);
  EXPECT_DOUBLE_EQ(*figures.averaged_model, truth.averaged_accuracy(4));
  double worst = 1;
  for (Rank rank = 0; rank < 8; ++rank) worst = std::min(worst, truth.accuracy(4, rank));
  EXPECT_DOUBLE_EQ(*figures.workers_worst, worst);
  EXPECT_EQ(figures.seconds, run.means.back().seconds);
  EXPECT_FALSE(figures.steps_to_target.has_value());
}

TEST_F(Comparison, ShowsVarianceInflationWhereAnyRunHasIt) {
  std::vector<Run> runs{read_run(make("a", {.name = "x", .epochs = 3})), read_run(make("b", {.name = "y"}))};
  EXPECT_NEAR(*figures_of(runs[0], 0).variance_inflation, 1.12, 1e-12) << "mean of 1.11, 1.12 and 1.13";
  EXPECT_THAT(comparison_text(runs), HasSubstr("variance inflation"));
  for (Run& run : runs) {
    for (MeanEpoch& mean : run.means) mean.variance_inflation.reset();
  }
  EXPECT_THAT(comparison_text(runs), Not(HasSubstr("variance inflation")));
}

TEST_F(Comparison, WithoutAveragedModelMeasuresTheTargetByTheWorkersMean) {
  const auto folder = make("a");
  Run run = read_run(folder);
  for (MeanEpoch& mean : run.means) mean.test_accuracy.reset();
  const auto curve = mean_over_workers(run, &WorkerEpoch::test_accuracy);
  const double target = curve[6].value;
  EXPECT_EQ(figures_of(run, target).steps_to_target, 7 * 390.0);
}

TEST_F(Comparison, MarksTheBestOfEachColumnAmongFinishedRuns) {
  const std::vector<Run> runs{
      read_run(make("a", {.name = "low", .final_accuracy = 0.8})),
      read_run(make("b", {.name = "high", .final_accuracy = 0.9})),
      read_run(make("c", {.name = "stopped", .epochs_done = 2, .final_accuracy = 0.95}))};
  const Table table = comparison_table(runs, 0);
  EXPECT_FALSE(table.rows[0][1].best);
  EXPECT_TRUE(table.rows[1][1].best);
  EXPECT_EQ(table.columns[7].title, "exchanged");
  for (const auto& row : table.rows)
    EXPECT_FALSE(row[7].best) << "the finished runs sent alike; " << row[0].text;
  EXPECT_EQ(table.rows[2][0].text, "stopped (unfinished)");
}

TEST_F(Comparison, TextHasOneRowARunAndTargetColumnsOnlyWhenAskedFor) {
  const std::vector<Run> runs{read_run(make("a", {.name = "first"})),
                              read_run(make("b", {.name = "second"}))};
  EXPECT_THAT(comparison_text(runs),
              AllOf(HasSubstr("\nfirst"), HasSubstr("\nsecond"), Not(HasSubstr("steps to"))));
  EXPECT_THAT(comparison_text(runs, 0.85), AllOf(HasSubstr("steps to 85 %"), HasSubstr("bytes to 85 %")));
  EXPECT_THAT(comparison_text(runs, 0.855, TableStyle::markdown),
              AllOf(StartsWith("| run |"), HasSubstr("85.5 %")));
}

TEST_F(Comparison, RefusesATargetThatIsNoFraction) {
  EXPECT_THROW(comparison_text({}, -0.1), UsageError);
  EXPECT_THAT(complaint([] { comparison_text({}, 85); }), AllOf(HasSubstr("85"), HasSubstr("such as 0.85")));
}

TEST_F(Comparison, FinalTableHasEachWorkerAllWorkersAndTheAveragedModel) {
  const Run run = read_run(make("a"));
  const Table table = worker_table(run);
  ASSERT_EQ(table.rows.size(), 10U);
  double sent = 0;
  for (const WorkerEpoch& epoch : run.history[3]) {
    for (const auto& [to, size] : epoch.bytes_sent) sent += static_cast<double>(size);
  }
  EXPECT_EQ(table.rows[3][1].text, percent(*run.summary->test_accuracy_workers[3]));
  EXPECT_EQ(table.rows[3][2].text, plain(*run.history[3].back().distance_to_mean));
  EXPECT_EQ(table.rows[3][3].text, bytes(sent));
  EXPECT_EQ(table.rows[8][2].text, plain(*run.summary->consensus_distance));
  EXPECT_EQ(table.rows[9][1].text, percent(*run.summary->test_accuracy_averaged_model));
  EXPECT_THAT(final_table(run),
              AllOf(StartsWith("worker"), HasSubstr("averaged model"), HasSubstr("test accuracy")));
}

TEST_F(Comparison, FinalTableCallsAWorkerThatWasNotThereLost) {
  Run run = read_run(make("a"));
  run.summary->test_accuracy_workers[3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(worker_table(run).rows[3][1].text, "lost");
}

TEST_F(Comparison, OfConfigurationsShowsOnlyWhatDiffersAndNotTheFolder) {
  const std::vector<Run> runs{read_run(make("a", {.name = "x", .learning_rate = 0.4})),
                              read_run(make("b", {.name = "y", .cycle = false, .learning_rate = 0.1}))};
  const Table table = differences(runs);
  ASSERT_EQ(table.columns.size(), 3U);
  EXPECT_EQ(table.columns[1].title, "schedule");
  EXPECT_EQ(table.columns[2].title, "lr");
  EXPECT_EQ(table.rows[1][2].text, "0.1");
  EXPECT_TRUE(differences({runs[0], runs[0]}).columns.empty());
}

}  // namespace
}  // namespace alder::report
