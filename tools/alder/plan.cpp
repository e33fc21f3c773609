// alder plan
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "commands.hpp"
#include "config_file.hpp"
#include "models/network.hpp"
#include "plan/forecast.hpp"
#include "plan/sweep.hpp"

namespace alder::tools {
namespace {

// Options as the command line has them: words that the library parses.
struct Words {
  std::string weights = "metropolis", model = "resnet-20", model_bytes, wire = "fp32", worker = "gpu",
              striping = "own", bucket = "0", all_reduce_bucket = "25MB", jitter = "none", failure_rate;
  std::vector<std::string> orders = {"combine-while-adapt", "adapt-then-combine", "paper"};
  std::vector<std::string> stragglers, failures, sweep;
  double all_reduce_latency = -1, intra_rate = 0, step_time = 0;  // -1, 0: not given
  int64_t steps = -1;                                             // -1: when something varies
  std::string graph_file, rank_file, csv;
  bool json = false;
};

void add_topology(CLI::App& command, plan::ForecastOptions& options, Words& words) {
  const char* group = "Who talks to whom";
  gossip::ScheduleOptions& schedule = options.schedule;
  command.add_option("--workers", schedule.workers, "Number of workers")->group(group);
  command.add_option("--graph", schedule.graph, "g8, ring, torus, exponential, ... or an edge-list FILE")
      ->group(group);
  command.add_option("--schedule", schedule.schedule, "static, cycle:N, matcha:BUDGET, one-peer, base:K")
      ->group(group);
  command.add_option("--weights", words.weights, "Averaging weights: metropolis, laplacian, lazy")
      ->group(group);
  command.add_option("--local-steps", schedule.local_steps, "Exchange at every k-th step only")->group(group);
  command.add_option("--seed", schedule.seed, "Seed of random schedules, placement and simulation")
      ->group(group);
  command
      .add_flag("--allow-disconnected", schedule.allow_disconnected,
                "Accept a schedule that cuts workers off")
      ->group(group);
  command.add_option("--order", words.orders, "Which orders: combine-while-adapt, adapt-then-combine, paper")
      ->group(group);
}

void add_cluster(CLI::App& command, plan::Cluster& cluster, Words& words) {
  const char* group = "Machines";
  command.add_option("--gpus-per-node", cluster.gpus_per_node, "GPUs of one node")->group(group);
  command.add_option("--nics-per-node", cluster.nics_per_node, "Network cards of one node")->group(group);
  command.add_option("--line-rate", cluster.line_rate, "Gb/s of one network card")->group(group);
  command.add_option("--efficiency", cluster.efficiency, "Share of the line rate that large messages reach")
      ->group(group);
  command.add_option("--latency", cluster.latency_us, "Microseconds of a message between nodes")
      ->group(group);
  command
      .add_option("--all-reduce-latency", words.all_reduce_latency,
                  "Microseconds of one hop of an all-reduce; -1: as --latency")
      ->group(group);
  command.add_flag("--nvlink", cluster.nvlink, "GPUs of a node are joined by NVLink, not PCIe")->group(group);
  command
      .add_option("--intra-rate", words.intra_rate,
                  "GB/s of one GPU inside its node; 0: 370 with NVLink, else 20")
      ->group(group);
  command.add_option("--intra-latency", cluster.intra_latency_us, "Microseconds of a message inside a node")
      ->group(group);
  command.add_option("--memory-rate", cluster.memory_rate, "GB/s that a pass over GPU memory reaches")
      ->group(group);
  command
      .add_option("--worker", words.worker,
                  "What one worker is: gpu, or node (its GPUs sum gradients over NVLink)")
      ->group(group);
  command
      .add_option("--striping", words.striping,
                  "Which cards carry a worker's messages: own, or node (all of its node)")
      ->group(group);
}

void add_work(CLI::App& command, plan::ForecastOptions& options, Words& words) {
  const char* group = "Work";
  plan::Workload& work = options.workload;
  CLI::Option* model =
      command.add_option("--model", words.model, "Model whose size is priced (10 classes)")->group(group);
  command.add_option("--model-bytes", words.model_bytes, "Its size in fp32 instead, such as 100MB")
      ->group(group)
      ->excludes(model);
  command.add_option("--wire", words.wire, "What is sent: fp32, bf16")->group(group);
  command.add_option("--step-time", words.step_time, "Milliseconds of forward and backward; 0: not known")
      ->group(group);
  command.add_option("--backward-share", work.backward_share, "Share of it that backward takes")
      ->group(group);
  command
      .add_option("--bucket", words.bucket,
                  "Bytes that adapt-then-combine sends at a time; 0: the whole model, as alder train")
      ->group(group);
  command.add_option("--all-reduce-bucket", words.all_reduce_bucket, "Bytes of one all-reduce; 0: all")
      ->group(group);
}

void add_simulation(CLI::App& command, plan::ForecastOptions& options, Words& words) {
  const char* group = "Simulation";
  plan::SimulationOptions& simulation = options.simulation;
  command
      .add_option("--jitter", words.jitter,
                  "How step times vary: lognormal:SIGMA, uniform:HALF_WIDTH, stall:PROBABILITY:STEPS, joined "
                  "by '+'")
      ->group(group);
  command.add_option("--straggler", words.stragglers, "RANK:FACTOR, a worker that always takes longer")
      ->group(group);
  command
      .add_option("--link-failure", words.failures,
                  "A-B:FROM[:STEPS], an edge that fails at a step, for a while or for ever")
      ->group(group);
  command
      .add_option("--link-failures", words.failure_rate,
                  "PROBABILITY[:STEPS], of every edge to fail in a step")
      ->group(group);
  command
      .add_option("--detection", simulation.failures.detection_ms,
                  "Milliseconds that a failed edge is waited for before it is given up")
      ->group(group);
  command
      .add_option("--simulate", words.steps,
                  "Steps to simulate; 0: as many as fit into seconds; -1: only with jitter or failures")
      ->group(group);
  command
      .add_option("--threads", options.threads,
                  "Simulate all workers in one process on so many threads, as alder train on one machine; "
                  "0: a process each")
      ->group(group);
}

void add_output(CLI::App& command, plan::ForecastOptions& options, Words& words) {
  const char* group = "Placement and output";
  command.add_flag("--place", options.place, "Give ranks to GPUs so that few edges leave a node")
      ->group(group);
  command
      .add_option("--write-graph", words.graph_file,
                  "Write the placed graph, an edge list for --graph (implies --place)")
      ->group(group);
  command
      .add_option("--write-ranks", words.rank_file,
                  "Write the placement as a rank file for mpirun (implies --place)")
      ->group(group);
  command.add_option("--sweep", words.sweep, "KEY=VALUE,VALUE,...: every combination, one CSV row each")
      ->group(group);
  command.add_option("--csv", words.csv, "Where --sweep writes its table")->group(group);
  command.add_flag("--json", words.json, "Print one JSON object on standard output and nothing else")
      ->group(group);
}

void fill_work(plan::ForecastOptions& options, const Words& words) {
  plan::Workload& work = options.workload;
  if (words.model_bytes.empty()) {
    const Network network = make_network(words.model, 10);
    options.parameters = network.parameter_count;
    work.model_bytes = 4 * static_cast<double>(network.elements);  // statistics are sent too
  } else {
    work.model_bytes = plan::parse_bytes("--model-bytes", words.model_bytes);
    options.parameters = std::llround(work.model_bytes / 4);
  }
  work.wire = plan::parse_wire(words.wire);
  work.step_ms = words.step_time == 0 ? std::nullopt : std::optional(words.step_time);
  work.bucket_bytes = plan::parse_bytes("--bucket", words.bucket);
  work.all_reduce_bucket_bytes = plan::parse_bytes("--all-reduce-bucket", words.all_reduce_bucket);
}

void fill_simulation(plan::ForecastOptions& options, const Words& words) {
  plan::SimulationOptions& simulation = options.simulation;
  simulation.jitter = plan::parse_jitter(words.jitter);
  simulation.stragglers.clear();
  for (const std::string& text : words.stragglers)
    simulation.stragglers.push_back(plan::parse_straggler(text));
  simulation.failures.named.clear();
  for (const std::string& text : words.failures)
    simulation.failures.named.push_back(plan::parse_link_failure(text));
  if (!words.failure_rate.empty()) plan::parse_failure_rate(words.failure_rate, simulation.failures);
  if (words.steps < -1) usage_error("--simulate {}: a number of steps, or 0 or -1", words.steps);
  const bool varies = simulation.jitter.any() || !simulation.stragglers.empty() || simulation.failures.any();
  options.simulate = words.steps >= 0 || varies || options.threads > 0;
  simulation.steps = std::max<int64_t>(words.steps, 0);
}

plan::ForecastOptions filled(plan::ForecastOptions options, const Words& words) {
  options.schedule.weights = gossip::parse_weight_rule(words.weights);
  options.cluster.unit = plan::parse_unit(words.worker);
  options.cluster.striping = plan::parse_striping(words.striping);
  if (words.all_reduce_latency != -1) options.cluster.all_reduce_latency_us = words.all_reduce_latency;
  if (words.intra_rate != 0) options.cluster.intra_rate = words.intra_rate;
  options.orders.clear();
  for (const std::string& order : words.orders) {
    options.orders.push_back(gossip::parse_order(order));
    if (std::ranges::count(options.orders, options.orders.back()) > 1)
      usage_error("--order {}: comes twice", order);
  }
  fill_work(options, words);
  fill_simulation(options, words);
  options.place = options.place || !words.graph_file.empty() || !words.rank_file.empty();
  return options;
}

void run_one(const plan::ForecastOptions& options, const Words& words) {
  const plan::Forecast forecast = plan::make_forecast(options);
  const std::string& graph = options.schedule.graph;
  if (!words.graph_file.empty()) {
    write_atomically(words.graph_file, plan::edge_list_text(*forecast.graph.exchanging, *forecast.placement,
                                                            graph, forecast.options.cluster));
  }
  if (!words.rank_file.empty()) {
    write_atomically(words.rank_file,
                     plan::rank_file_text(*forecast.placement, graph, forecast.options.cluster));
  }
  fmt::print("{}", words.json ? plan::to_json(forecast).dump(2) + "\n" : plan::to_text(forecast));
}

CLI::Option* swept_option(CLI::App& command, const std::string& key) {
  CLI::Option* option = command.get_option_no_throw("--" + key);
  const std::vector<std::string> not_swept = {"sweep", "csv",         "config",     "help",
                                              "json",  "write-graph", "write-ranks"};
  if (option != nullptr && std::ranges::find(not_swept, key) == not_swept.end()) return option;
  std::vector<std::string> names;
  for (const CLI::Option* one : command.get_options()) {
    for (const std::string& name : one->get_lnames()) {
      if (std::ranges::find(not_swept, name) == not_swept.end()) names.push_back(name);
    }
  }
  throw UsageError("--sweep: " + unknown_name("option", key, names));
}

void set(CLI::Option& option, const std::string& value) {
  option.clear();
  option.add_result(value);
  option.run_callback();
}

// Sets the swept options one combination after another, as if they had been typed.
void run_sweep(CLI::App& command, const plan::ForecastOptions& options, const Words& words) {
  if (words.csv.empty()) usage_error("--sweep: where to? give --csv FILE");
  if (!words.graph_file.empty() || !words.rank_file.empty())
    usage_error("--sweep: many plans do not fit one --write-graph or --write-ranks file");
  std::vector<plan::SweepAxis> axes;
  for (const std::string& text : words.sweep) {
    axes.push_back(plan::parse_sweep_axis(text));
    swept_option(command, axes.back().key);  // for its error
  }
  const auto all = plan::combinations(axes);
  std::vector<nlohmann::json> forecasts;
  for (const std::vector<std::string>& values : all) {
    std::string what;
    for (std::size_t i = 0; i < axes.size(); ++i) what += " " + axes[i].key + "=" + values[i];
    try {
      for (std::size_t i = 0; i < axes.size(); ++i) set(*swept_option(command, axes[i].key), values[i]);
      forecasts.push_back(plan::to_json(plan::make_forecast(filled(options, words))));
    } catch (const CLI::ParseError& error) {
      throw UsageError("--sweep at" + what + ": " + error.what());
    } catch (const UsageError& error) {
      throw UsageError("--sweep at" + what + ": " + error.what());
    }
  }
  write_atomically(words.csv, plan::sweep_csv(axes, all, forecasts));
  if (words.json) {
    fmt::print("{}\n", nlohmann::json{{"csv", words.csv}, {"rows", all.size()}}.dump(2));
  } else {
    fmt::print("{} plans in {}; tools/plot_plan.py draws them\n", all.size(), words.csv);
  }
}

}  // namespace

void add_plan(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("plan", "What a graph, a schedule and a cluster are worth, before any run");
  const auto options = std::make_shared<plan::ForecastOptions>();
  const auto words = std::make_shared<Words>();
  add_config_option(*command);
  add_topology(*command, *options, *words);
  add_cluster(*command, options->cluster, *words);
  add_work(*command, *options, *words);
  add_simulation(*command, *options, *words);
  add_output(*command, *options, *words);
  command->callback([command, options, words] {
    if (words->sweep.empty()) {
      if (!words->csv.empty()) usage_error("--csv {}: is the table of a --sweep; give one", words->csv);
      run_one(filled(*options, *words), *words);
    } else {
      run_sweep(*command, *options, *words);
    }
  });
}

}  // namespace alder::tools
