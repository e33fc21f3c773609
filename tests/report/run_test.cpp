#include "report/run.hpp"

#include <cmath>

#include "tests/report/folder.hpp"

namespace alder::report {
namespace {

using test::Fixture;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RunFolder : public test::Folder {};

constexpr const char* kHead =
    R"({"kind":"run","schema":1,"name":"r","workers":2,"epochs":4,"phases":[{"name":"p","edges":[[0,1]]}],"first_step":0})"
    "\n";

TEST_F(RunFolder, IsReadCompletely) {
  const Fixture fixture;
  const Run run = read_run(make("a", fixture));
  const test::FixtureWriter truth(root_ / "a", fixture);
  EXPECT_EQ(run.name, "al-dsgd-g8");
  EXPECT_EQ(run.workers, 8);
  EXPECT_EQ(run.schedule, "cycle:3");
  ASSERT_EQ(run.phases.size(), 3U);
  EXPECT_EQ(run.phases[0].edges.size(), 12U);
  ASSERT_EQ(run.history.size(), 8U);
  ASSERT_EQ(run.history[5].size(), 10U);
  EXPECT_DOUBLE_EQ(*run.history[5][9].test_accuracy, truth.accuracy(10, 5));
  EXPECT_EQ(run.history[5][9].step, 3900);
  EXPECT_FALSE(run.history[5][9].leader_best.empty());
  EXPECT_DOUBLE_EQ(run.history[5][9].seconds.at("data"), 1.1);
  ASSERT_EQ(run.means.size(), 10U);
  EXPECT_DOUBLE_EQ(*run.means[9].test_accuracy, truth.averaged_accuracy(10));
  EXPECT_EQ(run.events.size(), 1U);
  EXPECT_EQ(run.options.size(), 9U);
  EXPECT_EQ(run.options[0].value, "resnet-20");
  EXPECT_EQ(run.options[0].source, "command line");
  EXPECT_TRUE(run.finished());
  EXPECT_TRUE(run.remarks.empty());
}

TEST_F(RunFolder, WithoutSummaryIsUnfinishedAndSaysHowFarItCame) {
  const Run run = read_run(make("a", {.epochs = 10, .epochs_done = 3}));
  EXPECT_FALSE(run.finished());
  EXPECT_THAT(run.remarks, ElementsAre(AllOf(HasSubstr("not finished"), HasSubstr("3 of 10 epochs"))));
}

TEST_F(RunFolder, ThatWasInterruptedSaysSo) {
  const Run run = read_run(make("a", {.completed = false}));
  EXPECT_FALSE(run.finished());
  EXPECT_THAT(run.remarks, ElementsAre(HasSubstr("interrupted")));
}

TEST_F(RunFolder, MayEndInTheMiddleOfALine) {
  const auto folder = make("a");
  std::string text = read_text(folder / "metrics.jsonl");
  const auto lines = std::ranges::count(text, '\n');
  text += R"({"kind":"epoch","epoch":11,"wor)";
  put(folder / "metrics.jsonl", text);
  const Run run = read_run(folder);
  EXPECT_EQ(run.means.size(), 10U);
  EXPECT_THAT(run.remarks, Contains(HasSubstr("middle of line " + std::to_string(lines + 1))));
}

TEST_F(RunFolder, KeepsUnknownAndNotFiniteNumbersApart) {
  put(root_ / "a/metrics.jsonl", std::string(kHead) +
                                     R"({"kind":"epoch","epoch":1,"step":5,"worker":1,"train_loss":null})"
                                     "\n");
  const Run run = read_run(root_ / "a");
  ASSERT_EQ(run.history[1].size(), 1U);
  ASSERT_TRUE(run.history[1][0].train_loss.has_value());
  EXPECT_TRUE(std::isnan(*run.history[1][0].train_loss));
  EXPECT_FALSE(run.history[1][0].test_accuracy.has_value());
}

TEST_F(RunFolder, ResumedTakesBackWhatCameAfterItsCheckpoint) {
  const auto mean = [](int epoch, double accuracy) {
    return fmt::format(R"({{"kind":"mean","epoch":{},"step":{},"test_accuracy":{}}})"
                       "\n",
                       epoch, epoch * 10, accuracy);
  };
  std::string resumed = kHead;
  resumed.replace(resumed.find("\"first_step\":0"), 14, "\"first_step\":10");
  put(root_ / "a/metrics.jsonl",
      kHead + mean(1, 0.1) + mean(2, 0.2) + mean(3, 0.3) + resumed + mean(2, 0.25));
  const Run run = read_run(root_ / "a");
  ASSERT_EQ(run.means.size(), 2U);
  EXPECT_DOUBLE_EQ(*run.means[0].test_accuracy, 0.1);
  EXPECT_DOUBLE_EQ(*run.means[1].test_accuracy, 0.25);
}

TEST_F(RunFolder, WithoutConfigurationIsReadWithARemark) {
  const auto folder = make("a");
  std::filesystem::remove(folder / "config.json");
  EXPECT_THAT(read_run(folder).remarks, ElementsAre(HasSubstr("config.json is missing")));
}

TEST_F(RunFolder, DamageIsNamedWithFileLineAndValue) {
  struct Case {
    std::string line, wanted;
  };
  const std::vector<Case> cases{
      {R"({"kind":"epoch","epoch":1,)", "not valid JSON"},
      {R"([1,2])", "a JSON object was expected, found [1,2]"},
      {R"({"kind":"epoch","epoch":0,"step":1,"worker":0})",
       "'epoch' must be a whole number of at least 1, found 0"},
      {R"({"kind":"epoch","epoch":1,"step":1,"worker":2})",
       "'worker' must be a whole number from 0 to 1, found 2"},
      {R"({"kind":"epoch","epoch":1,"step":1})",
       "'worker' must be a whole number from 0 to 1, found \"nothing\""},
      {R"({"kind":"epoch","epoch":1.5,"step":1,"worker":0})", "found 1.5"},
      {R"({"kind":"epoch","epoch":1,"step":1,"worker":0,"train_loss":"low"})",
       "'train_loss' must be a number or null, found \"low\""},
      {R"({"kind":"epoch","epoch":1,"step":1,"worker":0,"leader_best":{"x":1}})",
       "'leader_best' must be an object with ranks 0 to 1 as keys, found \"x\""},
      {R"({"kind":"epoch","epoch":1,"step":1,"worker":0,"bytes_sent":{"1":-4}})",
       "'bytes_sent' must be an object of counts, found -4"},
      {R"({"kind":"mean","epoch":1,"step":1,"seconds":[]})", "'seconds' must be a number or null, found []"},
      {R"({"kind":"surprise"})", "kind 'surprise' is none of run, epoch, mean, overlap, event"},
      {R"({"kind":"run","schema":2,"workers":2})", "schema 2 is not known"},
      {R"({"kind":"run","schema":1,"workers":3})", "resumed with 3 workers after 2"},
      {R"({"kind":"run","schema":1,"workers":2,"phases":[{"edges":[[0,2]]}]})",
       "pairs of ranks 0 to 1, found [0,2]"},
  };
  const auto path = root_ / "a/metrics.jsonl";
  for (const Case& c : cases) {
    put(path, kHead + c.line + "\n");
    EXPECT_THAT(complaint([&] { read_run(root_ / "a"); }),
                AllOf(HasSubstr(path.string() + " line 2"), HasSubstr(c.wanted)));
  }
}

TEST_F(RunFolder, WithoutItsBeginningIsRefused) {
  put(root_ / "a/metrics.jsonl", R"({"kind":"event","step":1,"text":"x"})"
                                 "\n");
  EXPECT_THAT(complaint([&] { read_run(root_ / "a"); }),
              AllOf(HasSubstr("line 1"), HasSubstr("must be of kind 'run'")));
  put(root_ / "a/metrics.jsonl", "");
  EXPECT_THAT(complaint([&] { read_run(root_ / "a"); }), HasSubstr("no line of kind 'run'"));
  EXPECT_THAT(complaint([&] { read_run(root_ / "absent"); }),
              AllOf(HasSubstr("absent is no run folder"), HasSubstr("--out")));
}

TEST_F(RunFolder, DamageInTheOtherFilesNamesTheFile) {
  const auto folder = make("a");
  put(folder / "summary.json", "{\"completed\":1}");
  EXPECT_THAT(complaint([&] { read_run(folder); }),
              AllOf(HasSubstr("summary.json"), HasSubstr("'completed' must be true or false")));
  put(folder / "config.json", "{\"lr\":0.1}");
  EXPECT_THAT(complaint([&] { read_run(folder); }),
              AllOf(HasSubstr("config.json"), HasSubstr("'lr' must be {value, source}")));
}

TEST_F(RunFolder, NamesThatCoincideAreToldApartByTheFolder) {
  const std::vector<Run> runs{read_run(make("a", {.name = "same"})), read_run(make("b", {.name = "same"})),
                              read_run(make("c", {.name = "other"}))};
  EXPECT_THAT(labels(runs), ElementsAre("same (" + (root_ / "a").string() + ")",
                                        "same (" + (root_ / "b").string() + ")", "other"));
}

}  // namespace
}  // namespace alder::report
