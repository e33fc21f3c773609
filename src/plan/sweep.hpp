// Many forecasts at once: every combination of some options' values, one row each.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace alder::plan {

struct SweepAxis {
  std::string key;  // an option without its dashes
  std::vector<std::string> values;
};
// "workers=8,16,32". UsageError without a key or values.
SweepAxis parse_sweep_axis(std::string_view text);

// Values of each axis, in the axes' order; the last axis changes fastest. UsageError for an axis that comes
// twice or more than kMostCombinations.
inline constexpr std::size_t kMostCombinations = 10'000;
std::vector<std::vector<std::string>> combinations(const std::vector<SweepAxis>& axes);

// A table with a header: the axes, then the figures of a forecast (plan::to_json) by name; what a forecast
// has not stays empty. RFC 4180.
std::string sweep_csv(const std::vector<SweepAxis>& axes,
                      const std::vector<std::vector<std::string>>& combinations,
                      const std::vector<nlohmann::json>& forecasts);

}  // namespace alder::plan
