#include <cmath>
#include <limits>

#include "report/heat.hpp"
#include "report/layout.hpp"
#include "report/line_chart.hpp"
#include "report/markup.hpp"
#include "report/scale.hpp"
#include "tests/report/folder.hpp"
#include "tests/report/well_formed.hpp"

namespace alder::report {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(WellFormedness, IsNotClaimedForBrokenMarkup) {
  for (const char* broken :
       {"<a>", "</a>", "<a><b></a></b>", "<a x=1></a>", "<a x=\"1\" x=\"2\"/>", "a & b", "<a x=\"<\"/>"}) {
    EXPECT_NE(test::WellFormed::check(broken), "") << broken;
  }
  EXPECT_EQ(test::WellFormed::check("<a x=\"&lt;\"><b/>t &amp; u</a>"), "");
}

TEST(MarkupWriter, EscapesTextAndAttributes) {
  Markup page;
  page.open("p", {{"title", "\"<&'>"}}).text("<script>").close();
  EXPECT_EQ(page.take(), "<p title=\"&quot;&lt;&amp;&#39;&gt;\">&lt;script&gt;</p>");
}

TEST(MarkupWriter, ReplacesWhatXmlForbids) {
  EXPECT_EQ(escaped(std::string("a\0b", 3)),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(escaped("\x1b"), "\xEF\xBF\xBD");
  EXPECT_EQ(escaped("\xC3"), "\xEF\xBF\xBD") << "cut UTF-8";
  EXPECT_EQ(escaped("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD") << "overlong UTF-8";
  EXPECT_EQ(escaped("größer · 訓練 🙂"), "größer · 訓練 🙂");
}

TEST(MarkupWriter, RefusesUnbalancedElements) {
  Markup open;
  open.open("p");
  EXPECT_THROW(open.take(), std::logic_error);
  EXPECT_THROW(Markup().close(), std::logic_error);
}

TEST(LinearAxis, EndsAtRoundNumbersAroundTheValues) {
  const Scale scale = linear_scale(0.31, 0.88, 5, 100, 0);
  EXPECT_DOUBLE_EQ(scale.low, 0.2);
  EXPECT_DOUBLE_EQ(scale.high, 1.0);
  EXPECT_DOUBLE_EQ(scale.at(0.2), 100);
  EXPECT_DOUBLE_EQ(scale.at(1.0), 0);
  EXPECT_THAT(tick_labels(scale, Quantity::percent), ElementsAre("20 %", "40 %", "60 %", "80 %", "100 %"));
}

TEST(LinearAxis, GivesAFlatLineRoom) {
  const Scale scale = linear_scale(0.5, 0.5, 5, 0, 1);
  EXPECT_LT(scale.low, 0.5);
  EXPECT_GT(scale.high, 0.5);
}

TEST(LogAxis, HasTicksAtOneTwoFive) {
  const Scale scale = log_scale(0.3, 7, 0, 1);
  EXPECT_THAT(tick_labels(scale, Quantity::plain), ElementsAre("0.2", "0.5", "1", "2", "5", "10"));
  EXPECT_NEAR(scale.at(std::sqrt(scale.low * scale.high)), 0.5, 1e-12);
}

TEST(EpochAxis, KeepsItsEndsAndNamesTheFirstEpoch) {
  const Scale scale = count_scale(1, 60, 8, 0, 1);
  EXPECT_DOUBLE_EQ(scale.low, 1);
  EXPECT_THAT(tick_labels(scale, Quantity::plain), ElementsAre("1", "10", "20", "30", "40", "50", "60"));
  EXPECT_FALSE(count_scale(1, 1, 8, 0, 1).ticks.empty()) << "a run of one epoch";
}

TEST(HeatSteps, SpreadOverTheRange) {
  EXPECT_EQ(heat_step(0, 0, 1), 0);
  EXPECT_EQ(heat_step(1, 0, 1), 8);
  EXPECT_EQ(heat_step(0.5, 0.5, 0.5), 4);
}

std::string drawn(const LineChart& chart) {
  Markup page;
  draw(chart, page);
  return page.take();
}

TEST(LineChart, BreaksTheLineAtValuesThatAreNotFinite) {
  const double gap = std::numeric_limits<double>::quiet_NaN();
  const std::string svg = drawn({.title = "t",
                                 .x_label = "epoch",
                                 .y_label = "loss",
                                 .series = {{.name = "a", .points = {{1, 2}, {2, gap}, {3, 1}}}}});
  EXPECT_EQ(test::WellFormed::check(svg), "");
  EXPECT_THAT(svg, HasSubstr("data-y=\"2 nan 1\""));
  EXPECT_THAT(svg, AllOf(HasSubstr("class=\"line\""), Not(HasSubstr("L"))))
      << "two points with a gap join nothing";
}

TEST(LineChart, WithoutAnyValueSaysSo) {
  EXPECT_THAT(drawn({.title = "t", .series = {{.name = "a"}}}),
              AllOf(HasSubstr("Nothing was recorded"), Not(HasSubstr("<svg"))));
}

TEST(LineChart, UsesALogAxisOnlyWhereAllowedAndUseful) {
  LineChart chart{
      .title = "t", .may_be_logarithmic = true, .series = {{.name = "a", .points = {{1, 100}, {2, 1}}}}};
  EXPECT_THAT(drawn(chart), HasSubstr(" log\""));
  chart.series[0].points[1].second = 50;
  EXPECT_THAT(drawn(chart), HasSubstr(" linear\""));
  chart.series[0].points[1].second = 0;
  EXPECT_THAT(drawn(chart), HasSubstr(" linear\"")) << "zero has no logarithm";
}

TEST(GraphLayout, PutsSmallGraphsOnACircleFromTheTop) {
  const auto places = layout(4, {{0, 1}, {1, 2}, {2, 3}});
  EXPECT_NEAR(places[0].x, 0.5, 1e-12);
  EXPECT_NEAR(places[0].y, 0, 1e-12);
  EXPECT_NEAR(places[1].x, 1, 1e-12);
}

TEST(GraphLayout, KeepsNeighboursNearAndEveryNodeApart) {
  std::vector<std::pair<Rank, Rank>> path;
  for (Rank i = 0; i + 1 < 20; ++i) path.emplace_back(i, i + 1);
  const auto places = layout(20, path);
  const auto apart = [&](std::size_t a, std::size_t b) {
    return std::hypot(places[a].x - places[b].x, places[a].y - places[b].y);
  };
  for (std::size_t i = 0; i + 1 < 20; ++i) {
    EXPECT_LT(apart(i, i + 1), apart(0, 19));
    EXPECT_GT(apart(i, i + 1), 0.005);
    EXPECT_GE(places[i].x, 0);
    EXPECT_LE(places[i].x, 1);
  }
}

TEST(GraphLayout, DrawsDisconnectedGraphsWithinTheSquare) {
  for (const auto& place : layout(12, {{0, 1}, {2, 3}})) {
    EXPECT_LE(std::max(std::abs(place.x - 0.5), std::abs(place.y - 0.5)), 0.5 + 1e-9);
  }
}

}  // namespace
}  // namespace alder::report
