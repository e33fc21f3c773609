#include "plan/sweep.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace alder::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Sweep, AxesAreAKeyAndItsValues) {
  const SweepAxis axis = parse_sweep_axis("workers=8,16,32");
  EXPECT_EQ(axis.key, "workers");
  EXPECT_THAT(axis.values, ElementsAre("8", "16", "32"));
  for (const char* bad : {"", "workers", "workers=", "=8", "workers=8,", "workers=8,,9"}) {
    EXPECT_THROW(parse_sweep_axis(bad), UsageError) << bad;
  }
}

TEST(Sweep, EveryCombinationComesOnceLastAxisFastest) {
  EXPECT_THAT(combinations({{"a", {"1", "2"}}, {"b", {"x", "y", "z"}}}),
              ElementsAre(ElementsAre("1", "x"), ElementsAre("1", "y"), ElementsAre("1", "z"),
                          ElementsAre("2", "x"), ElementsAre("2", "y"), ElementsAre("2", "z")));
}

TEST(Sweep, RefusesAnAxisTwiceAndTooMany) {
  EXPECT_THROW(combinations({{"a", {"1"}}, {"a", {"2"}}}), UsageError);
  const std::vector<std::string> many(200, "1");
  EXPECT_THROW(combinations({{"a", many}, {"b", many}}), UsageError);
}

TEST(Sweep, TableHasAHeaderAndLeavesOutWhatIsNotKnown) {
  const nlohmann::json forecast = {{"orders", {{"combine-while-adapt", {{"step_ms", 12.5}}}}},
                                   {"verdict", {{"quickest_step", "a, \"b\""}}}};
  const std::string text = sweep_csv({{"graph", {"ring"}}}, {{"ring"}}, {forecast});
  EXPECT_THAT(text, StartsWith("graph,factor_per_step,"));
  EXPECT_THAT(text, HasSubstr("\nring,,,"));
  EXPECT_THAT(text, HasSubstr(",12.5,"));
  EXPECT_THAT(text, HasSubstr(",\"a, \"\"b\"\"\","));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  const std::string header = text.substr(0, text.find('\n'));
  for (const char* column : {"cwa_step_ms", "atc_exposed_ms", "paper_simulated_ms", "ring_wire_ms",
                             "tree_bytes_per_nic", "all_reduce_simulated_p99_ms", "cut_edges_max"}) {
    EXPECT_THAT(header, HasSubstr(column));
  }
}

}  // namespace
}  // namespace alder::plan
