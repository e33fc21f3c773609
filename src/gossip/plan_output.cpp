// A plan for programs (JSON) and for people (text).
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "gossip/plan.hpp"

namespace alder::gossip {
namespace {

using nlohmann::json;

template <typename Value>
void put(json& object, const char* key, const std::optional<Value>& value) {
  if (value) object[key] = *value;
}

json degree_json(const DegreeRange& degree) {
  return {{"min", degree.min}, {"mean", degree.mean}, {"max", degree.max}};
}

json phase_json(const PhaseFigures& phase) {
  json object{{"name", phase.name},
              {"edges", phase.edges},
              {"degree", degree_json(phase.degree)},
              {"connected", phase.connected}};
  if (!phase.edge_list.empty()) {
    json list = json::array();
    for (const auto& [a, b] : phase.edge_list) list.push_back({a, b});
    object["edge_list"] = std::move(list);
  }
  return object;
}

std::string_view weights_name(WeightRule rule) {
  switch (rule) {
    case WeightRule::laplacian:
      return "laplacian";
    case WeightRule::lazy:
      return "lazy";
    case WeightRule::metropolis:
      break;
  }
  return "metropolis";
}

json mixing_json(const PlanReport& report) {
  json mixing{{"connected", report.mixing.connected}};
  put(mixing, "static_factor", report.mixing.static_factor);
  put(mixing, "mean_square_factor", report.mixing.mean_square_factor);
  put(mixing, "per_cycle_factor", report.mixing.per_cycle_factor);
  put(mixing, "long_run_factor", report.mixing.long_run_factor);
  put(mixing, "factor_per_step", report.factor);
  put(mixing, "spectral_gap", report.spectral_gap);
  put(mixing, "steps_to_a_thousandth", report.steps_to_a_thousandth);
  if (!report.parts.empty()) mixing["parts"] = report.parts;
  return mixing;
}

json traffic_json(const PlanReport& report) {
  json traffic{{"messages_per_step", report.mixing.messages_per_step},
               {"messages_per_worker", report.messages_per_worker},
               {"messages_of_busiest_worker", report.messages_of_busiest}};
  if (report.options.parameters > 0) traffic["parameters"] = report.options.parameters;
  put(traffic, "bytes_per_worker", report.bytes_per_worker);
  put(traffic, "bytes_of_busiest_worker", report.bytes_of_busiest);
  put(traffic, "ring_all_reduce_bytes_per_worker", report.all_reduce_bytes);
  return traffic;
}

// "1.75 MB": decimal units, as wires are sold.
std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  for (; bytes >= 1000 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1000;
  return fmt::format("{:.3g} {}", bytes, kUnits[unit]);
}

template <typename... Args>
void line(std::string& text, const char* label, fmt::format_string<Args...> format, Args&&... args) {
  text += fmt::format("{:<24}", label) + fmt::format(format, std::forward<Args>(args)...) + '\n';
}

void phases_text(const PlanReport& report, std::string& text) {
  if (report.mixing.period == 1) return;
  for (const PhaseFigures& phase : report.phases) {
    line(text, "  phase", "{}: {} edges, degrees {}..{}, {}", phase.name, phase.edges, phase.degree.min,
         phase.degree.max, phase.connected ? "connected" : "not connected by itself");
  }
  if (report.mixing.period > static_cast<int>(report.phases.size())) {
    line(text, "  ...", "{} phases in all", report.mixing.period);
  }
}

void mixing_text(const PlanReport& report, std::string& text) {
  const MixingReport& mixing = report.mixing;
  line(text, "connected over a period", "{}", mixing.connected ? "yes" : "no: " + report.parts);
  if (mixing.static_factor) line(text, "norm(W - J)", "{:.6g}", *mixing.static_factor);
  if (mixing.mean_square_factor) line(text, "norm(E[W'W] - J)", "{:.6g}", *mixing.mean_square_factor);
  if (mixing.per_cycle_factor && mixing.period > 1) {
    line(text, "per-cycle factor", "{:.6g} per step{}", *mixing.per_cycle_factor,
         *mixing.per_cycle_factor == 0 ? " (one period averages exactly)" : "");
  }
  if (mixing.long_run_factor && mixing.period > 1) {
    line(text, "long-run factor", "{:.6g} per step", *mixing.long_run_factor);
  }
  if (report.spectral_gap) line(text, "spectral gap", "{:.6g}", *report.spectral_gap);
  if (!report.factor) line(text, "spectral gap", "not settled: the iteration did not converge at this size");
  if (report.steps_to_a_thousandth) {
    line(text, "disagreement to 1/1000", "{} steps", *report.steps_to_a_thousandth);
  } else if (!mixing.connected) {
    line(text, "disagreement to 1/1000", "never");
  }
}

void traffic_text(const PlanReport& report, std::string& text) {
  line(text, "messages per step", "{:.6g} ({:.3g} per worker, busiest {:.3g})",
       report.mixing.messages_per_step, report.messages_per_worker, report.messages_of_busiest);
  if (!report.bytes_per_worker) return;
  line(text, "sent per worker, step", "{} (busiest {}) for {} parameters",
       bytes_text(*report.bytes_per_worker), bytes_text(*report.bytes_of_busiest), report.options.parameters);
  const std::string share = *report.all_reduce_bytes > 0
                                ? fmt::format(", so this is {:.2f} times as much",
                                              *report.bytes_per_worker / *report.all_reduce_bytes)
                                : "";
  line(text, "ring all-reduce", "{} per worker in {} rounds{}", bytes_text(*report.all_reduce_bytes),
       2 * (report.mixing.workers - 1), share);
}

}  // namespace

json to_json(const PlanReport& report) {
  const ScheduleOptions& options = report.options.schedule;
  json object{{"workers", options.workers},
              {"graph", options.graph},
              {"schedule", options.schedule},
              {"weights", weights_name(options.weights)},
              {"local_steps", options.local_steps},
              {"seed", options.seed},
              {"random", report.random},
              {"period", report.mixing.period},
              {"edges", report.edges},
              {"degree", degree_json(report.degree)},
              {"smallest_self_weight",
               {{"value", report.smallest_self_weight.value},
                {"node", report.smallest_self_weight.node},
                {"phase", report.smallest_self_weight.phase}}},
              {"mixing", mixing_json(report)},
              {"traffic", traffic_json(report)},
              {"warnings", report.warnings},
              // As text: JSON numbers hold 53 bits in many readers.
              {"hash", fmt::format("{:016x}", report.hash)}};
  put(object, "matchings", report.matchings);
  if (report.matcha) {
    object["matcha"] = {{"probabilities", report.matcha->probabilities},
                        {"lambda_2", report.matcha->lambda_2},
                        {"alpha", report.matcha->alpha},
                        {"rho", report.matcha->rho}};
  }
  json phases = json::array();
  for (const PhaseFigures& phase : report.phases) phases.push_back(phase_json(phase));
  object["phases"] = std::move(phases);
  return object;
}

std::string to_text(const PlanReport& report) {
  std::string text;
  line(text, "workers", "{}", report.mixing.workers);
  line(text, "schedule", "{} on {}, period {}{}", report.schedule, report.options.schedule.graph,
       report.mixing.period, report.random ? ", drawn at random" : "");
  line(text, "edges", "{}, degrees min {} mean {:.3g} max {}", report.edges, report.degree.min,
       report.degree.mean, report.degree.max);
  if (report.matchings) line(text, "matchings", "{}", *report.matchings);
  if (report.matcha) {
    line(text, "matcha", "probabilities {:.4f}; lambda_2 {:.5f}, alpha {:.5f}, rho {:.5f}",
         fmt::join(report.matcha->probabilities, " "), report.matcha->lambda_2, report.matcha->alpha,
         report.matcha->rho);
  }
  line(text, "smallest self weight", "{:.4g} (node {})", report.smallest_self_weight.value,
       report.smallest_self_weight.node);
  phases_text(report, text);
  mixing_text(report, text);
  traffic_text(report, text);
  for (const std::string& warning : report.warnings) text += "warning: " + warning + '\n';
  return text;
}

}  // namespace alder::gossip
