#include "report/page.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "report/assets.hpp"
#include "report/compare.hpp"
#include "report/format.hpp"
#include "report/markup.hpp"
#include "report/report.hpp"
#include "tests/report/folder.hpp"
#include "tests/report/well_formed.hpp"

namespace alder::report {
namespace {

using test::Fixture;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Page : public test::Folder {
 protected:
  std::string made(const std::vector<std::filesystem::path>& folders, double target = 0) const {
    return read_text(write_report({.runs = folders, .out = root_ / "page.html", .target_accuracy = target}));
  }
};

int occurrences(std::string_view text, std::string_view part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// The data-y values of the `index`-th curve of that name.
std::vector<double> curve(const std::string& page, const std::string& name, int index) {
  std::size_t at = 0;
  for (int i = 0; i <= index; ++i) at = page.find("data-name=\"" + name + "\"", at + 1);
  if (at == std::string::npos) return {};
  const std::size_t begin = page.find("data-y=\"", at) + 8;
  std::istringstream values(page.substr(begin, page.find('"', begin) - begin));
  return {std::istream_iterator<double>(values), {}};
}

TEST_F(Page, IsWellFormedForAnyNumberOfWorkersAndRuns) {
  const auto two = make("two", {.name = "two", .workers = 2, .epochs = 1});
  const auto eight = make("eight", {.name = "eight", .epochs = 3});
  const auto many = make("many", {.name = "many", .workers = 64, .epochs = 70, .evaluate_every = 10});
  const auto plain =
      make("plain", {.name = "plain", .epochs = 6, .epochs_done = 0, .leaders = false, .cycle = false});
  for (const auto& folders : std::vector<std::vector<std::filesystem::path>>{
           {two}, {eight}, {many}, {plain}, {two, eight, many, plain}}) {
    EXPECT_EQ(test::WellFormed::check(made(folders, 0.5)), "")
        << folders.size() << " runs, first " << folders[0];
  }
}

TEST_F(Page, NeedsNothingFromAnywhereElse) {
  const std::string page = made({make("a"), make("b", {.name = "b"})});
  for (const char* outside : {"http:", "https:", "//cdn", "@import", "url(", "<link", "<iframe", " src="}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

TEST_F(Page, ShowsAHostileNameAsText) {
  const std::string page =
      made({make("a", {.name = "<script>alert(1)</script>", .algorithm = "\"><img onerror=x>"})});
  EXPECT_EQ(test::WellFormed::check(page), "");
  EXPECT_EQ(occurrences(page, "<script"), 1) << "only the page's own";
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<img")), HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;")));
}

TEST_F(Page, CurvesCarryTheNumbersOfTheMetrics) {
  const auto folder = make("a");
  const Run run = read_run(folder);
  const std::string page = made({folder});
  for (Rank rank = 0; rank < run.workers; ++rank) {
    const std::string name = "worker " + std::to_string(rank);
    // Charts in order: training loss, training accuracy, test accuracy, distance.
    const auto loss = curve(page, name, 0), accuracy = curve(page, name, 2), distance = curve(page, name, 3);
    ASSERT_EQ(loss.size(), 10U);
    ASSERT_EQ(accuracy.size(), 10U);
    ASSERT_EQ(distance.size(), 10U);
    for (std::size_t e = 0; e < 10; ++e) {
      const WorkerEpoch& epoch = run.history[static_cast<std::size_t>(rank)][e];
      EXPECT_NEAR(loss[e], *epoch.train_loss, 1e-5 * *epoch.train_loss);
      EXPECT_NEAR(accuracy[e], *epoch.test_accuracy, 1e-5);
      EXPECT_NEAR(distance[e], *epoch.distance_to_mean, 1e-5 * *epoch.distance_to_mean);
    }
  }
  EXPECT_NEAR(curve(page, "averaged model", 0).back(), *run.means.back().test_accuracy, 1e-5);
  EXPECT_NEAR(curve(page, "all (RMS)", 0).front(), *run.means.front().consensus_distance, 1e-4);
}

TEST_F(Page, ShowsLeadersAndTrafficOfTheMetrics) {
  const auto folder = make("a");
  const Run run = read_run(folder);
  const std::string page = made({folder});
  const auto& counts = run.history[2][0].leader_degree;
  const auto most = std::ranges::max_element(counts, {}, &std::pair<const Rank, int64_t>::second);
  int64_t all = 0;
  for (const auto& [rank, times] : counts) all += times;
  EXPECT_THAT(page, HasSubstr(fmt::format("Epoch 1: worker 2 followed worker {} {}", most->first,
                                          percent(double(most->second) / double(all), 0))));
  double sent = 0;
  for (const WorkerEpoch& epoch : run.history[0]) sent += static_cast<double>(epoch.bytes_sent.at(4));
  EXPECT_THAT(page, HasSubstr("Worker 0 to worker 4: " + bytes(sent)));
  EXPECT_THAT(page, HasSubstr("Worker 6: data 11.0 s"));
}

TEST_F(Page, DrawsEveryPhaseWithItsEdgesAndAllWorkers) {
  const std::string page = made({make("a")});
  EXPECT_EQ(occurrences(page, "<figure class=\"graph\">"), 3);
  EXPECT_EQ(occurrences(page, "class=\"edge\""), 36);
  EXPECT_EQ(occurrences(page, "class=\"node\""), 24);
  EXPECT_THAT(page, HasSubstr("Phase 2 of 3: g8-b"));
}

TEST_F(Page, OfARunWithoutLeadersSaysNothingAboutLeaders) {
  EXPECT_THAT(made({make("a", {.leaders = false})}), Not(HasSubstr("Who led when")));
  EXPECT_THAT(made({make("b")}), HasSubstr("Who led when"));
}

TEST_F(Page, NamesAnUnfinishedRunInTheComparisonAndAtTheRun) {
  const std::string page = made({make("a"), make("b", {.name = "cut", .epochs_done = 4})});
  EXPECT_THAT(page, HasSubstr("cut (unfinished)"));
  EXPECT_EQ(occurrences(page, "the run is not finished (no summary.json): 4 of 10 epochs are recorded"), 2);
}

TEST_F(Page, ShowsTheCellsOfTheComparisonTable) {
  const std::vector<std::filesystem::path> folders{make("a", {.name = "one"}),
                                                   make("b", {.name = "two", .final_accuracy = 0.8})};
  const std::string page = made(folders, 0.75);
  for (const auto& row : comparison_table({read_run(folders[0]), read_run(folders[1])}, 0.75).rows) {
    for (const Cell& cell : row) EXPECT_THAT(page, HasSubstr(">" + escaped(cell.text) + "<"));
  }
}

TEST_F(Page, GoesIntoTheFirstRunsFolderUnlessToldOtherwise) {
  const auto folder = make("a");
  EXPECT_EQ(write_report({.runs = {folder}}), folder / "report.html");
  EXPECT_TRUE(std::filesystem::exists(folder / "report.html"));
}

TEST_F(Page, IsNotTouchedWhenARunCannotBeRead) {
  put(root_ / "page.html", "earlier");
  EXPECT_THROW(made({make("a"), root_ / "absent"}), Error);
  EXPECT_EQ(read_text(root_ / "page.html"), "earlier");
  EXPECT_THROW(write_report({}), UsageError);
}

TEST_F(Page, StaysSmallForManyWorkersAndEpochs) {
  const std::string page = made({make("a", {.workers = 64, .epochs = 100, .evaluate_every = 10})});
  EXPECT_LT(page.size(), 4'000'000U);
}

TEST(PageAssets, HaveNoMarkupThatWouldEndThem) {
  EXPECT_THAT(std::string(kStyle), AllOf(Not(HasSubstr("</")), HasSubstr("prefers-color-scheme: dark"),
                                         HasSubstr("@media print")));
  EXPECT_THAT(std::string(kScript), Not(HasSubstr("</")));
}

}  // namespace
}  // namespace alder::report
