#include "gossip/plan.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "gossip/matcha.hpp"
#include "gossip/phases.hpp"

namespace alder::gossip {
namespace {

// Colouring keeps a table of nodes x max degree; what Misra and Gries do to dense graphs takes long before
// that.
constexpr int64_t kColouredEntries = 1'000'000;

DegreeRange degree_range(const Graph& graph) {
  const std::vector<int> degree = degrees(graph);
  const auto [least, most] = std::minmax_element(degree.begin(), degree.end());
  return {.min = *least, .mean = 2.0 * static_cast<double>(graph.edges.size()) / graph.nodes, .max = *most};
}

PhaseFigures phase_figures(const Graph& graph) {
  PhaseFigures figures{.name = graph.name,
                       .edges = static_cast<int64_t>(graph.edges.size()),
                       .degree = degree_range(graph),
                       .connected = connected(graph),
                       .edge_list = {}};
  if (graph.nodes <= kListedWorkers) figures.edge_list = graph.edges;
  return figures;
}

// The smallest self weight of all nodes in one phase.
SelfWeight smallest_self_weight(const Schedule& schedule, const MatchaPlan* matcha, const Graph& graph,
                                int phase) {
  const auto arcs = schedule.arcs(phase);
  std::vector<double> self(schedule.workers(), 1.0);
  if (matcha) {  // arcs are expectations; the worst draw has every possible edge on
    for (const auto& [a, b] : graph.edges) {
      self[a] -= matcha->alpha;
      self[b] -= matcha->alpha;
    }
  } else {
    self = self_weights(arcs, schedule.workers());
  }
  const auto least = std::min_element(self.begin(), self.end());
  return {.value = *least, .node = static_cast<Rank>(least - self.begin()), .phase = graph.name};
}

double busiest_sender(const Schedule& schedule, const MatchaPlan* matcha) {
  std::vector<double> sent(schedule.workers(), 0.0);
  for (int phase = 0; phase < schedule.period(); ++phase) {
    // An expected weight of MATCHA is alpha times the probability that the edge is on.
    for (const Arc& arc : schedule.arcs(phase)) sent[arc.from] += matcha ? arc.weight / matcha->alpha : 1;
  }
  return *std::max_element(sent.begin(), sent.end()) / schedule.period();
}

std::optional<int> count_matchings(const Graph& graph) {
  const int64_t most = degree_range(graph).max;
  if (most * graph.nodes > kColouredEntries || most > 1000) return std::nullopt;
  return static_cast<int>(matchings(graph).size());
}

void add_mixing(const Schedule& schedule, PlanReport& report) {
  report.mixing = analyse(schedule);
  report.factor = step_factor(report.mixing);
  if (!report.factor) return;
  report.spectral_gap = std::max(0.0, 1 - *report.factor);
  if (*report.factor == 0) {
    report.steps_to_a_thousandth = schedule.period();
  } else if (report.mixing.connected && *report.factor < 1) {
    report.steps_to_a_thousandth = static_cast<int64_t>(std::ceil(std::log(1e-3) / std::log(*report.factor)));
  }
}

void add_traffic(const Schedule& schedule, const MatchaPlan* matcha, PlanReport& report) {
  const double m = schedule.workers();
  report.messages_per_worker = schedule.messages_per_step() / m;
  report.messages_of_busiest = busiest_sender(schedule, matcha);
  if (report.options.parameters <= 0) return;
  const double model_bytes = 4.0 * static_cast<double>(report.options.parameters);
  report.bytes_per_worker = report.messages_per_worker * model_bytes;
  report.bytes_of_busiest = report.messages_of_busiest * model_bytes;
  report.all_reduce_bytes = 2 * (m - 1) / m * model_bytes;
}

}  // namespace

PlanReport make_plan(const PlanOptions& options) {
  if (options.parameters < 0) usage_error("--parameters {}: a model has at least 0", options.parameters);
  const int local_steps = options.schedule.local_steps;
  if (local_steps < 1) usage_error("--local-steps {}: there must be at least 1", local_steps);
  ScheduleOptions without_local_steps = options.schedule;
  without_local_steps.local_steps = 1;
  const std::shared_ptr<const Schedule> exchanging = make_schedule(without_local_steps);
  const MatchaPlan* plan = matcha_plan(*exchanging);
  const std::shared_ptr<const Schedule> schedule =
      local_steps > 1 ? with_local_steps(exchanging, local_steps) : exchanging;

  PlanReport report{.options = options, .random = schedule->random(), .schedule = schedule->name()};
  const Graph all = schedule->union_graph();
  report.edges = static_cast<int64_t>(all.edges.size());
  report.degree = degree_range(all);
  if (!connected(all)) report.parts = describe_components(all);
  const std::vector<Graph> graphs = schedule->phases();
  for (int phase = 0; phase < static_cast<int>(graphs.size()); ++phase) {
    if (phase < kListedPhases) report.phases.push_back(phase_figures(graphs[phase]));
    SelfWeight smallest = smallest_self_weight(*schedule, plan, graphs[phase], phase);
    if (phase == 0 || smallest.value < report.smallest_self_weight.value) {
      report.smallest_self_weight = std::move(smallest);
    }
  }
  report.matchings = plan ? static_cast<int>(plan->matchings.size()) : count_matchings(graphs.back());
  if (plan) {
    report.matcha = {.probabilities = plan->probabilities,
                     .lambda_2 = plan->lambda_2,
                     .alpha = plan->alpha,
                     .rho = plan->rho};
  }
  add_mixing(*schedule, report);
  add_traffic(*schedule, plan, report);
  report.warnings = schedule->warnings();
  report.hash = schedule->hash();
  report.exchanging = exchanging;
  return report;
}

}  // namespace alder::gossip
