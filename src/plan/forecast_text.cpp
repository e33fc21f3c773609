// A forecast for a person.
#include "base/error.hpp"
#include "plan/forecast.hpp"

namespace alder::plan {
namespace {

template <typename... Args>
void line(std::string& text, std::string_view label, fmt::format_string<Args...> format, Args&&... args) {
  text += fmt::format("{:<24}", label) + fmt::format(format, std::forward<Args>(args)...) + '\n';
}

std::string milliseconds_text(const std::optional<double>& ms) {
  return ms ? fmt::format("{:.3f}", *ms) : "";
}

void cluster_text(const Cluster& cluster, std::string& text) {
  const auto plural = [](int count, const char* word) {
    return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
  };
  std::string inside;
  if (cluster.gpus_per_node > 1) {
    inside = fmt::format("; {} inside, {:.3g} GB/s", cluster.nvlink ? "NVLink" : "PCIe", intra_rate(cluster));
  }
  line(text, "machine", "{} of {} and {}, {:.4g} Gb/s ({:.3g} GB/s each way){}",
       plural(nodes(cluster), "node"), plural(cluster.gpus_per_node, "GPU"),
       plural(cluster.nics_per_node, "NIC"), cluster.line_rate, nic_rate(cluster), inside);
  if (cluster.unit == Unit::node) line(text, "worker", "a whole node, each GPU with a shard of the model");
}

void traffic_text(const Forecast& forecast, std::string& text) {
  const Traffic& traffic = forecast.traffic;
  line(text, "model on the wire", "{} ({})", bytes_text(wire_bytes(forecast.options.workload)),
       to_string(forecast.options.workload.wire));
  line(text, "sent per NIC, step", "mean {}, busiest NIC {}", bytes_text(traffic.nic_bytes_mean),
       bytes_text(traffic.nic_bytes_busiest));
  line(text, "cut at the node", "{} directed edges leave node {}, {:.4g} the mean node: {} and {} per NIC",
       traffic.worst_cut, traffic.worst_node, traffic.mean_cut, bytes_text(traffic.cut_bytes_worst),
       bytes_text(traffic.cut_bytes_mean));
  if (workers_per_node(forecast.options.cluster) > 1) {
    line(text, "  placed at random", "{:.4g} would leave the mean node", traffic.random_cut);
  }
  if (forecast.placement) {
    const Placement& placement = *forecast.placement;
    line(text, "placement", "largest cut {:.4g} -> {:.4g}, mean {:.4g} -> {:.4g} directed edges{}",
         placement.before.worst, placement.after.worst, placement.before.mean, placement.after.mean,
         placement.changed() ? "" : " (the order as it is was not bettered)");
  }
}

void cost_row(const StepCost& cost, std::string& text) {
  text += fmt::format("  {:<24}{:>12}{:>10.3f}{:>10.3f}{:>10}{:>10}\n", cost.name, bytes_text(cost.nic_bytes),
                      cost.wire_ms, cost.pass_ms, milliseconds_text(cost.exposed_ms),
                      milliseconds_text(cost.step_ms));
}

void costs_text(const Forecast& forecast, std::string& text) {
  text += fmt::format("{:<26}{:>12}{:>10}{:>10}{:>10}{:>10}\n", "per step, milliseconds", "per NIC", "wire",
                      "mixing", "exposed", "step");
  for (const StepCost& cost : forecast.orders) cost_row(cost, text);
  cost_row(forecast.ring, text);
  cost_row(forecast.tree, text);
  cost_row(forecast.in_network, text);
  if (!forecast.options.workload.step_ms) {
    text += "  (what is exposed depends on the step: give --step-time MS)\n";
  }
}

std::string waits_text(const SimulationResult& result) {
  if (result.waits.empty()) return "";
  const Wait& worst = result.waits.front();
  if (worst.waiter < 0) return fmt::format("worker {}, {:.3f}", worst.neighbour, worst.ms);
  return fmt::format("{} for {}, {:.3f}", worst.waiter, worst.neighbour, worst.ms);
}

void simulation_text(const Forecast& forecast, std::string& text) {
  if (forecast.simulated.empty()) return;
  const SimulationOptions& options = forecast.options.simulation;
  line(text, "simulation", "{} steps, jitter {}{}", options.steps, to_string(options.jitter),
       forecast.options.threads > 0 ? fmt::format(", one process on {} threads", forecast.options.threads)
                                    : "");
  text += fmt::format("{:<26}{:>10}{:>8}{:>10}{:>10}{:>9}{:>9}{:>11}  {}\n", "  milliseconds", "step",
                      "ideal", "p50", "p99", "late", "wire", "steps/s", "longest wait");
  for (const SimulationResult& result : forecast.simulated) {
    text += fmt::format("  {:<24}{:>10.3f}{:>7.3f}x{:>10.3f}{:>10.3f}{:>9.3f}{:>9.3f}{:>11.1f}  {}\n",
                        result.name, result.mean_ms, result.mean_ms / result.ideal_ms, result.p50_ms,
                        result.p99_ms, result.late_ms, result.wire_ms, result.worker_steps_per_second,
                        waits_text(result));
    if (result.lost > 0 || result.failure_ms > 0) {
      text += fmt::format("  {:<24}{} models lost of {}; finding out took {:.3f} ms a step\n", "",
                          result.lost, result.messages + result.lost, result.failure_ms);
    }
  }
  if (forecast.factor_with_failures) {
    line(text, "disagreement a step", "shrinks to {:.4f} of it, with failing links to {:.4f}",
         *forecast.factor_unhurt, *forecast.factor_with_failures);
  }
  if (forecast.slowest_of_all) {
    line(text, "slowest of all GPUs", "{:.4f} of an undisturbed step, by integration",
         *forecast.slowest_of_all);
  }
}

void verdict_text(const Forecast& forecast, std::string& text) {
  if (!forecast.verdict) return;
  const Verdict& verdict = *forecast.verdict;
  line(text, "quickest step", "{}",
       verdict.quickest == "tie" ? "a tie of " + verdict.best_order + " and all-reduce" : verdict.quickest);
  for (const std::string& reason : verdict.reasons) text += "  - " + reason + '\n';
}

}  // namespace

std::string to_text(const Forecast& forecast) {
  std::string text = gossip::to_text(forecast.graph);
  cluster_text(forecast.options.cluster, text);
  traffic_text(forecast, text);
  costs_text(forecast, text);
  simulation_text(forecast, text);
  verdict_text(forecast, text);
  return text;
}

}  // namespace alder::plan
