// A forecast for programs.
#include <nlohmann/json.hpp>

#include "plan/forecast.hpp"

namespace alder::plan {
namespace {

using nlohmann::json;

json cluster_json(const Cluster& cluster) {
  json object{{"nodes", nodes(cluster)},
              {"gpus", gpus(cluster)},
              {"gpus_per_node", cluster.gpus_per_node},
              {"nics_per_node", cluster.nics_per_node},
              {"line_rate_gbit", cluster.line_rate},
              {"efficiency", cluster.efficiency},
              {"nic_rate_gbyte", nic_rate(cluster)},
              {"latency_us", cluster.latency_us},
              {"all_reduce_latency_us", all_reduce_latency_ms(cluster) * 1e3},
              {"nvlink", cluster.nvlink},
              {"memory_rate_gbyte", cluster.memory_rate},
              {"worker", to_string(cluster.unit)},
              {"striping", to_string(cluster.striping)}};
  if (cluster.gpus_per_node > 1) {
    object["intra_rate_gbyte"] = intra_rate(cluster);
    object["intra_latency_us"] = cluster.intra_latency_us;
  }
  return object;
}

json work_json(const Workload& workload) {
  json object{
      {"model_bytes", workload.model_bytes},   {"wire", to_string(workload.wire)},
      {"wire_bytes", wire_bytes(workload)},    {"backward_share", workload.backward_share},
      {"bucket_bytes", workload.bucket_bytes}, {"all_reduce_bucket_bytes", workload.all_reduce_bucket_bytes}};
  if (workload.step_ms) object["step_ms"] = *workload.step_ms;
  return object;
}

json nic_json(const Traffic& traffic) {
  return {{"bytes_mean", traffic.nic_bytes_mean},
          {"bytes_busiest", traffic.nic_bytes_busiest},
          {"bytes_worst_step", traffic.nic_bytes_worst_step}};
}

json cut_json(const Traffic& traffic) {
  return {{"edges_max", traffic.worst_cut},
          {"edges_mean", traffic.mean_cut},
          {"node_max", traffic.worst_node},
          {"bytes_per_nic_max", traffic.cut_bytes_worst},
          {"bytes_per_nic_mean", traffic.cut_bytes_mean},
          {"edges_mean_if_placed_at_random", traffic.random_cut}};
}

json cost_json(const StepCost& cost) {
  json object{{"bytes_per_nic", cost.nic_bytes},
              {"wire_ms", cost.wire_ms},
              {"latency_ms", cost.latency_ms},
              {"mixing_ms", cost.pass_ms}};
  if (cost.inside_ms > 0) object["inside_node_ms"] = cost.inside_ms;
  if (cost.exposed_ms) object["exposed_ms"] = *cost.exposed_ms;
  if (cost.step_ms) object["step_ms"] = *cost.step_ms;
  return object;
}

json simulation_json(const SimulationResult& result) {
  json waits = json::array();
  for (const Wait& wait : result.waits) {
    json one{{"for", wait.neighbour}, {"ms", wait.ms}};
    if (wait.waiter >= 0) one["worker"] = wait.waiter;
    waits.push_back(std::move(one));
  }
  return {{"steps", result.steps},           {"ideal_ms", result.ideal_ms},
          {"mean_ms", result.mean_ms},       {"relative", result.mean_ms / result.ideal_ms},
          {"p50_ms", result.p50_ms},         {"p99_ms", result.p99_ms},
          {"compute_ms", result.compute_ms}, {"exposed_ms", result.exposed_ms},
          {"late_ms", result.late_ms},       {"wire_ms", result.wire_ms},
          {"failure_ms", result.failure_ms}, {"worker_steps_per_second", result.worker_steps_per_second},
          {"messages", result.messages},     {"lost_messages", result.lost},
          {"waits", std::move(waits)}};
}

json placement_json(const Placement& placement) {
  const auto figures = [](const CutFigures& cut) {
    return json{{"edges_max", cut.worst}, {"edges_mean", cut.mean}};
  };
  return {{"before", figures(placement.before)},
          {"after", figures(placement.after)},
          {"position", placement.position}};
}

json verdict_json(const Verdict& verdict) {
  return {{"quickest_step", verdict.quickest},
          {"best_order", verdict.best_order},
          {"neighbour_step_ms", verdict.neighbour_ms},
          {"all_reduce_step_ms", verdict.all_reduce_ms},
          {"break_even_steps", verdict.break_even_steps},
          {"reasons", verdict.reasons}};
}

}  // namespace

json to_json(const Forecast& forecast) {
  json object = gossip::to_json(forecast.graph);
  object["cluster"] = cluster_json(forecast.options.cluster);
  object["work"] = work_json(forecast.options.workload);
  object["traffic"]["nic"] = nic_json(forecast.traffic);
  object["traffic"]["cut"] = cut_json(forecast.traffic);
  for (const StepCost& cost : forecast.orders) object["orders"][cost.name] = cost_json(cost);
  object["all_reduce"] = {{"ring", cost_json(forecast.ring)},
                          {"double_tree", cost_json(forecast.tree)},
                          {"in_network", cost_json(forecast.in_network)}};
  if (forecast.placement) object["placement"] = placement_json(*forecast.placement);
  if (!forecast.simulated.empty()) {
    json& simulation = object["simulation"];
    const SimulationOptions& options = forecast.options.simulation;
    simulation["jitter"] = to_string(options.jitter);
    if (forecast.options.threads > 0) simulation["threads"] = forecast.options.threads;
    if (forecast.slowest_of_all) simulation["slowest_of_all_closed_form"] = *forecast.slowest_of_all;
    if (forecast.factor_with_failures) {
      simulation["factor_per_step"] = *forecast.factor_unhurt;
      simulation["factor_per_step_with_failures"] = *forecast.factor_with_failures;
    }
    for (std::size_t i = 0; i < forecast.simulated.size(); ++i) {
      const bool order = i < forecast.orders.size();
      simulation[order ? forecast.simulated[i].name : "all-reduce"] = simulation_json(forecast.simulated[i]);
    }
  }
  if (forecast.verdict) object["verdict"] = verdict_json(*forecast.verdict);
  return object;
}

}  // namespace alder::plan
