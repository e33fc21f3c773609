// What an epoch's metrics line says of one worker.
#pragma once

#include <cstdint>
#include <map>

#include "base/types.hpp"
#include "train/metrics.hpp"

namespace alder::train {

// Zeroed after each epoch.
struct EpochCounters {
  double loss_sum = 0;
  int64_t steps = 0, correct = 0, pictures = 0;
  std::map<Rank, int64_t> leader_best, leader_degree;
  double seconds_data = 0, seconds_compute = 0, seconds_combine = 0, seconds_wait = 0;
};

Json to_json(const EpochCounters& counters);
// Throws nlohmann's exceptions where something is missing.
EpochCounters counters_from_json(const Json& json);

}  // namespace alder::train
