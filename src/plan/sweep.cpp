#include "plan/sweep.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace alder::plan {
namespace {

using nlohmann::json;

struct Column {
  const char* name;
  const char* pointer;  // into a forecast's JSON
};

// Orders and all-reduces have the same columns, with these in front.
struct Group {
  const char* prefix;
  const char* cost;
  const char* simulation;
};

constexpr std::array<Column, 9> kColumns{{{"factor_per_step", "/mixing/factor_per_step"},
                                          {"steps_to_a_thousandth", "/mixing/steps_to_a_thousandth"},
                                          {"messages_per_worker", "/traffic/messages_per_worker"},
                                          {"cut_edges_max", "/traffic/cut/edges_max"},
                                          {"cut_edges_mean", "/traffic/cut/edges_mean"},
                                          {"cut_bytes_per_nic_max", "/traffic/cut/bytes_per_nic_max"},
                                          {"nic_bytes_busiest", "/traffic/nic/bytes_busiest"},
                                          {"quickest_step", "/verdict/quickest_step"},
                                          {"break_even_steps", "/verdict/break_even_steps"}}};

constexpr std::array<Group, 6> kGroups{
    {{"cwa", "/orders/combine-while-adapt", "/simulation/combine-while-adapt"},
     {"atc", "/orders/adapt-then-combine", "/simulation/adapt-then-combine"},
     {"paper", "/orders/paper", "/simulation/paper"},
     {"ring", "/all_reduce/ring", ""},
     {"tree", "/all_reduce/double_tree", ""},
     {"all_reduce", "", "/simulation/all-reduce"}}};

constexpr std::array<Column, 5> kCost{{{"bytes_per_nic", "/bytes_per_nic"},
                                       {"wire_ms", "/wire_ms"},
                                       {"mixing_ms", "/mixing_ms"},
                                       {"exposed_ms", "/exposed_ms"},
                                       {"step_ms", "/step_ms"}}};
constexpr std::array<Column, 5> kSimulation{{{"simulated_ms", "/mean_ms"},
                                             {"simulated_relative", "/relative"},
                                             {"simulated_p50_ms", "/p50_ms"},
                                             {"simulated_p99_ms", "/p99_ms"},
                                             {"simulated_exposed_ms", "/exposed_ms"}}};

struct Figure {
  std::string name, pointer;
};

std::vector<Figure> figures() {
  std::vector<Figure> all;
  for (const Column& column : kColumns) all.push_back({column.name, column.pointer});
  for (const Group& group : kGroups) {
    const auto add = [&](std::string_view root, const auto& columns) {
      if (root.empty()) return;
      for (const Column& column : columns) {
        all.push_back({fmt::format("{}_{}", group.prefix, column.name), std::string(root) + column.pointer});
      }
    };
    add(group.cost, kCost);
    add(group.simulation, kSimulation);
  }
  return all;
}

std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

std::string value(const json& forecast, const std::string& pointer) {
  const json::json_pointer at(pointer);
  if (!forecast.contains(at)) return "";
  const json& found = forecast.at(at);
  return field(found.is_string() ? found.get<std::string>() : found.dump());
}

}  // namespace

SweepAxis parse_sweep_axis(std::string_view text) {
  const std::size_t equals = text.find('=');
  SweepAxis axis{.key = std::string(text.substr(0, equals)), .values = {}};
  std::string_view rest = equals == std::string_view::npos ? "" : text.substr(equals + 1);
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    axis.values.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  if (axis.key.empty() || axis.values.empty() || std::ranges::count(axis.values, "") > 0 ||
      text.ends_with(',')) {
    usage_error("--sweep '{}': write KEY=VALUE,VALUE,..., such as workers=8,16,32", text);
  }
  return axis;
}

std::vector<std::vector<std::string>> combinations(const std::vector<SweepAxis>& axes) {
  std::size_t count = 1;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (axes[i].key == axes[j].key) usage_error("--sweep {}: comes twice; join its values", axes[i].key);
    }
    count *= axes[i].values.size();
    if (count > kMostCombinations) {
      usage_error("--sweep: more than {} combinations; sweep fewer values", kMostCombinations);
    }
  }
  std::vector<std::vector<std::string>> all(count);
  for (std::size_t index = 0; index < count; ++index) {
    std::size_t rest = index;
    for (std::size_t axis = axes.size(); axis-- > 0; rest /= axes[axis].values.size()) {
      all[index].insert(all[index].begin(), axes[axis].values[rest % axes[axis].values.size()]);
    }
  }
  return all;
}

std::string sweep_csv(const std::vector<SweepAxis>& axes,
                      const std::vector<std::vector<std::string>>& combinations,
                      const std::vector<json>& forecasts) {
  const std::vector<Figure> columns = figures();
  std::string text;
  for (const SweepAxis& axis : axes) text += field(axis.key) + ',';
  for (std::size_t i = 0; i < columns.size(); ++i) text += (i > 0 ? "," : "") + columns[i].name;
  text += '\n';
  for (std::size_t row = 0; row < forecasts.size(); ++row) {
    for (const std::string& one : combinations[row]) text += field(one) + ',';
    for (std::size_t i = 0; i < columns.size(); ++i) {
      text += (i > 0 ? "," : "") + value(forecasts[row], columns[i].pointer);
    }
    text += '\n';
  }
  return text;
}

}  // namespace alder::plan
