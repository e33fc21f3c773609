// alder plan
#include "gossip/plan.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "commands.hpp"
#include "config_file.hpp"
#include "models/network.hpp"

namespace alder::tools {

void add_plan(CLI::App& app) {
  CLI::App* command = app.add_subcommand("plan", "What a graph and a schedule cost and how fast they mix");
  const auto options = std::make_shared<gossip::PlanOptions>();
  const auto weights = std::make_shared<std::string>("metropolis");
  const auto model = std::make_shared<std::string>("resnet-20");
  const auto json = std::make_shared<bool>(false);
  gossip::ScheduleOptions& schedule = options->schedule;
  add_config_option(*command);
  command->add_option("--workers", schedule.workers, "Number of workers");
  command->add_option("--graph", schedule.graph, "g8, ring, torus, exponential, ... or an edge-list FILE");
  command->add_option("--schedule", schedule.schedule, "static, cycle:N, matcha:BUDGET, one-peer, base:K");
  command->add_option("--weights", *weights, "Averaging weights: metropolis, laplacian, lazy");
  command->add_option("--local-steps", schedule.local_steps, "Exchange at every k-th step only");
  command->add_option("--seed", schedule.seed, "Seed of random schedules");
  command->add_flag("--allow-disconnected", schedule.allow_disconnected,
                    "Accept a schedule that cuts workers off");
  command->add_option("--model", *model, "Model whose size prices the traffic (10 classes, fp32)");
  command->add_flag("--json", *json, "Print one JSON object on standard output and nothing else");
  command->callback([options, weights, model, json] {
    options->schedule.weights = gossip::parse_weight_rule(*weights);
    options->parameters = make_network(*model, 10).parameter_count;
    const gossip::PlanReport report = gossip::make_plan(*options);
    fmt::print("{}", *json ? gossip::to_json(report).dump(2) + "\n" : gossip::to_text(report));
  });
}

}  // namespace alder::tools
