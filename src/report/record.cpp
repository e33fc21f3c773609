#include "report/record.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.hpp"

namespace alder::report {
namespace {

using Json = nlohmann::ordered_json;

// A value as it stands in the file, short enough for one line of a message.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// Counts may be written as 120 or 120.0, but never as 120.5.
std::optional<int64_t> whole(const Json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double is no count any more
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) <= kExact && number == std::floor(number)) return static_cast<int64_t>(number);
  }
  return std::nullopt;
}

}  // namespace

Record::Record(std::string place, std::string_view text) : place_(std::move(place)) {
  try {
    json_ = Json::parse(text);
  } catch (const Json::exception&) {
    fail("{}: not valid JSON: '{}'; the file is damaged or was edited, remove or repair this place", place_,
         shown(Json(std::string(text.substr(0, 60)))));
  }
  if (!json_.is_object()) fail("{}: a JSON object was expected, found {}", place_, shown(json_));
}

void Record::reject(std::string_view key, std::string_view wanted, const Json& found) const {
  fail(
      "{}: '{}' must be {}, found {}; the file is damaged or written by another version (see "
      "docs/metrics.md)",
      place_, key, wanted, shown(found));
}

const Json* Record::find(std::string_view key) const {
  const auto found = json_.find(std::string(key));
  return found == json_.end() ? nullptr : &*found;
}

std::string Record::text(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_string()) reject(key, "a text", *value);
  return value->get<std::string>();
}

std::optional<double> Record::number(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!value->is_number()) reject(key, "a number or null", *value);
  return value->get<double>();
}

bool Record::flag(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) reject(key, "true or false", *value);
  return value->get<bool>();
}

int64_t Record::integer(std::string_view key, int64_t least, int64_t most) const {
  const Json* value = find(key);
  const std::optional<int64_t> number = value == nullptr ? std::nullopt : whole(*value);
  if (!number || *number < least || *number > most) {
    const bool open = most == std::numeric_limits<int64_t>::max();
    reject(key,
           open ? fmt::format("a whole number of at least {}", least)
                : fmt::format("a whole number from {} to {}", least, most),
           value == nullptr ? Json("nothing") : *value);
  }
  return *number;
}

std::vector<std::optional<double>> Record::numbers(std::string_view key) const {
  std::vector<std::optional<double>> list;
  const Json* value = find(key);
  if (value == nullptr) return list;
  if (!value->is_array()) reject(key, "a list of numbers", *value);
  for (const Json& entry : *value) {
    if (!entry.is_number() && !entry.is_null()) reject(key, "a list of numbers", entry);
    list.push_back(entry.is_null() ? std::numeric_limits<double>::quiet_NaN() : entry.get<double>());
  }
  return list;
}

std::map<Rank, int64_t> Record::by_rank(std::string_view key, int workers) const {
  std::map<Rank, int64_t> table;
  const Json* value = find(key);
  if (value == nullptr) return table;
  if (!value->is_object()) reject(key, "an object with ranks as keys", *value);
  for (const auto& [name, entry] : value->items()) {
    Rank rank = -1;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), rank);
    const bool complete = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size();
    if (!complete || rank < 0 || rank >= workers) {
      reject(key, fmt::format("an object with ranks 0 to {} as keys", workers - 1), Json(name));
    }
    const std::optional<int64_t> count = whole(entry);
    if (!count || *count < 0) reject(key, "an object of counts", entry);
    table[rank] = *count;
  }
  return table;
}

std::map<std::string, double> Record::by_name(std::string_view key) const {
  std::map<std::string, double> table;
  const Json* value = find(key);
  if (value == nullptr) return table;
  if (!value->is_object()) reject(key, "an object of numbers", *value);
  for (const auto& [name, entry] : value->items()) {
    if (!entry.is_number()) reject(key, "an object of numbers", entry);
    table[name] = entry.get<double>();
  }
  return table;
}

}  // namespace alder::report
