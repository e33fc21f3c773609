// One JSON object of a run folder with its place in the file, so that each complaint can name it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.hpp"

namespace alder::report {

// Reads typed values out of one object. All readers throw Error: "PLACE: 'key' must be ..., found ...".
class Record {
 public:
  // `place` is how messages begin, e.g. "runs/a/metrics.jsonl line 12". `text` must be one object.
  Record(std::string place, std::string_view text);

  const std::string& place() const { return place_; }
  const nlohmann::ordered_json& json() const { return json_; }

  std::string text(std::string_view key) const;                              // "" when the key is absent
  std::optional<double> number(std::string_view key) const;                  // absent: nullopt, null: NaN
  bool flag(std::string_view key) const;                                     // false when the key is absent
  int64_t integer(std::string_view key, int64_t least, int64_t most) const;  // required

  std::vector<std::optional<double>> numbers(std::string_view key) const;
  std::map<Rank, int64_t> by_rank(std::string_view key, int workers) const;  // {"3": 120, ...}
  std::map<std::string, double> by_name(std::string_view key) const;         // {"compute": 1.5, ...}

  // Throws the complaint about `key`.
  [[noreturn]] void reject(std::string_view key, std::string_view wanted,
                           const nlohmann::ordered_json& found) const;

 private:
  const nlohmann::ordered_json* find(std::string_view key) const;

  std::string place_;
  nlohmann::ordered_json json_;
};

}  // namespace alder::report
