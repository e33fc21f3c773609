#include "train/counters.hpp"

#include <string>
#include <vector>

namespace alder::train {
namespace {

Json shares(const std::map<Rank, int64_t>& counts) {
  Json object = Json::object();
  for (const auto& [rank, count] : counts) object[std::to_string(rank)] = count;
  return object;
}

std::map<Rank, int64_t> counts(const Json& shares) {
  std::map<Rank, int64_t> map;
  for (const auto& [rank, count] : shares.items()) map[std::stoi(rank)] = count;
  return map;
}

}  // namespace

Json to_json(const EpochCounters& counters) {
  return {
      {"loss_sum", counters.loss_sum},
      {"steps", counters.steps},
      {"correct", counters.correct},
      {"pictures", counters.pictures},
      {"leader_best", shares(counters.leader_best)},
      {"leader_degree", shares(counters.leader_degree)},
      {"seconds",
       {counters.seconds_data, counters.seconds_compute, counters.seconds_combine, counters.seconds_wait}}};
}

EpochCounters counters_from_json(const Json& json) {
  EpochCounters counters;
  json.at("loss_sum").get_to(counters.loss_sum);
  json.at("steps").get_to(counters.steps);
  json.at("correct").get_to(counters.correct);
  json.at("pictures").get_to(counters.pictures);
  counters.leader_best = counts(json.at("leader_best"));
  counters.leader_degree = counts(json.at("leader_degree"));
  const auto seconds = json.at("seconds").get<std::vector<double>>();
  counters.seconds_data = seconds.at(0);
  counters.seconds_compute = seconds.at(1);
  counters.seconds_combine = seconds.at(2);
  counters.seconds_wait = seconds.at(3);
  return counters;
}

}  // namespace alder::train
