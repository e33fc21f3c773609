#include "plan/forecast.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace alder::plan {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

ForecastOptions options(int workers, const char* graph) {
  return {.schedule = {.workers = workers, .graph = graph},
          .parameters = 25'000'000,
          .workload = {.model_bytes = 100e6}};
}

TEST(Forecast, KeepsTheGraphsFiguresAndAddsTheClusters) {
  const auto json = to_json(make_forecast(options(8, "g8")));
  EXPECT_EQ(json["workers"], 8);
  EXPECT_DOUBLE_EQ(json["traffic"]["bytes_per_worker"], 300e6);
  EXPECT_DOUBLE_EQ(json["traffic"]["nic"]["bytes_mean"], 300e6);
  EXPECT_DOUBLE_EQ(json["traffic"]["nic"]["bytes_busiest"], 500e6);
  EXPECT_EQ(json["traffic"]["cut"]["edges_max"], 5);
  EXPECT_EQ(json["cluster"]["nodes"], 8);
  EXPECT_DOUBLE_EQ(json["orders"]["combine-while-adapt"]["bytes_per_nic"], 300e6);
  EXPECT_DOUBLE_EQ(json["orders"]["paper"]["bytes_per_nic"], 600e6);
  EXPECT_DOUBLE_EQ(json["all_reduce"]["ring"]["bytes_per_nic"], 175e6);
  EXPECT_FALSE(json["orders"]["paper"].contains("exposed_ms"));
  for (const char* absent : {"verdict", "simulation", "placement"}) EXPECT_FALSE(json.contains(absent));
}

TEST(Forecast, WithAStepTimeHasExposedTimesAndAVerdict) {
  ForecastOptions with = options(64, "ring");
  with.workload.step_ms = 40;
  const auto json = to_json(make_forecast(with));
  EXPECT_DOUBLE_EQ(json["orders"]["combine-while-adapt"]["exposed_ms"], 0);
  EXPECT_NEAR(json["orders"]["adapt-then-combine"]["exposed_ms"], 200 / 49.0 + 0.008, 1e-9);
  EXPECT_EQ(json["verdict"]["best_order"], "combine-while-adapt");
  EXPECT_THAT(to_text(make_forecast(with)), AllOf(HasSubstr("quickest step"), HasSubstr("give --jitter")));
}

TEST(Forecast, SimulatesWhenAskedWithTheSameLuckForAllSchemes) {
  ForecastOptions with = options(16, "ring");
  with.workload.step_ms = 40;
  with.simulate = true;
  with.simulation.jitter = {.lognormal = 0.1};
  const Forecast forecast = make_forecast(with);
  ASSERT_EQ(forecast.simulated.size(), 4U);
  for (const SimulationResult& result : forecast.simulated) {
    EXPECT_NEAR(result.compute_ms, forecast.simulated[0].compute_ms, 1e-9) << result.name;
  }
  EXPECT_EQ(forecast.options.simulation.steps, 1000);
  const auto json = to_json(forecast);
  const auto& all_reduce = json["simulation"]["all-reduce"];
  EXPECT_NEAR((all_reduce["compute_ms"].get<double>() + all_reduce["late_ms"].get<double>()) / 40,
              json["simulation"]["slowest_of_all_closed_form"].get<double>(), 0.02);
  EXPECT_EQ(json["verdict"]["neighbour_step_ms"], json["simulation"]["combine-while-adapt"]["mean_ms"]);
  EXPECT_LE(json["simulation"]["combine-while-adapt"]["waits"].size(), static_cast<size_t>(kListedWaits));
  EXPECT_THAT(to_text(forecast), HasSubstr("1000 steps, jitter lognormal:0.1"));
}

TEST(Forecast, PlacesAndCountsTheTrafficOfThePlacedRanks) {
  ForecastOptions with = options(64, "torus");
  with.cluster = {.gpus_per_node = 8, .nics_per_node = 8, .nvlink = true};
  EXPECT_EQ(make_forecast(with).traffic.worst_cut, 16);
  with.place = true;
  const auto json = to_json(make_forecast(with));
  EXPECT_EQ(json["traffic"]["cut"]["edges_max"], 12);
  EXPECT_EQ(json["placement"]["before"]["edges_max"], 16);
  EXPECT_EQ(json["placement"]["after"]["edges_max"], 12);
  EXPECT_EQ(json["placement"]["position"].size(), 64U);
}

TEST(Forecast, TellsWhatFailingLinksDoToMixing) {
  ForecastOptions with = options(8, "ring");
  with.workload.step_ms = 10;
  with.simulate = true;
  with.simulation.failures = {.named = {{{0, 7}, 0, kForEver}}, .detection_ms = 5};
  const Forecast forecast = make_forecast(with);
  EXPECT_GT(forecast.factor_with_failures.value(), forecast.factor_unhurt.value() + 0.05);
  EXPECT_THAT(to_text(forecast), AllOf(HasSubstr("models lost"), HasSubstr("with failing links")));
}

TEST(Forecast, OfOneProcessHasNoWireAndNoVerdict) {
  ForecastOptions with = options(8, "ring");
  with.workload.step_ms = 10;
  with.simulate = true;
  with.threads = 2;
  const Forecast forecast = make_forecast(with);
  EXPECT_EQ(forecast.simulated.size(), 3U);
  EXPECT_FALSE(forecast.verdict.has_value());
  EXPECT_EQ(to_json(forecast)["simulation"]["threads"], 2);
}

TEST(Forecast, OfOneWorkerIsPossible) {
  ForecastOptions alone = options(1, "ring");
  alone.workload.step_ms = 10;
  const auto json = to_json(make_forecast(alone));
  EXPECT_EQ(json["verdict"]["quickest_step"], "tie");
  EXPECT_EQ(json["traffic"]["cut"]["edges_max"], 0);
}

TEST(Forecast, RefusesJitterWithoutAStepTime) {
  ForecastOptions bad = options(8, "ring");
  bad.simulation.jitter = {.lognormal = 0.1};
  EXPECT_THROW(make_forecast(bad), UsageError);
  bad = options(8, "ring");
  bad.orders.clear();
  EXPECT_THROW(make_forecast(bad), UsageError);
  bad = options(8, "ring");
  bad.threads = -1;
  EXPECT_THROW(make_forecast(bad), UsageError);
}

TEST(Forecast, TextLeavesOutWhatWasNotAskedFor) {
  const std::string text = to_text(make_forecast(options(8, "g8")));
  EXPECT_THAT(text,
              AllOf(HasSubstr("machine"), HasSubstr("cut at the node"), HasSubstr("--step-time"),
                    Not(HasSubstr("simulation")), Not(HasSubstr("placement")), Not(HasSubstr("quickest"))));
}

}  // namespace
}  // namespace alder::plan
