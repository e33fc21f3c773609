// From the words of the command line to a schedule.
#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.hpp"
#include "gossip/cycle_search.hpp"
#include "gossip/finite_time.hpp"
#include "gossip/matcha.hpp"
#include "gossip/phases.hpp"
#include "gossip/release_graphs.hpp"
#include "gossip/weights.hpp"

namespace alder::gossip {
namespace {

constexpr int kMostCopies = 64;

// "matcha:0.5+cycle:3" in its parts.
struct Words {
  std::string_view kind;
  std::string_view argument;  // behind the colon; empty without one
  int copies = 1;
};

template <typename Number>
std::optional<Number> parse_number(std::string_view word) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

int parse_copies(std::string_view schedule, std::string_view word) {
  const auto copies = parse_number<int>(word);
  if (!copies || *copies < 1 || *copies > kMostCopies) {
    usage_error("schedule '{}': '{}' copies; write cycle:N with N from 1 to {}", schedule, word, kMostCopies);
  }
  return *copies;
}

Words parse_words(std::string_view schedule) {
  const size_t plus = schedule.find('+');
  const std::string_view first = schedule.substr(0, plus);
  const size_t colon = first.find(':');
  Words words{.kind = first.substr(0, colon),
              .argument = colon == std::string_view::npos ? "" : first.substr(colon + 1)};
  if (words.kind == "cycle") words.copies = parse_copies(schedule, words.argument);
  if (plus != std::string_view::npos) {
    const std::string_view second = schedule.substr(plus + 1);
    if (!second.starts_with("cycle:") || (words.kind != "matcha" && words.kind != "release-alternation")) {
      usage_error("schedule '{}': only matcha:BUDGET and release-alternation take '+cycle:N' behind them",
                  schedule);
    }
    words.copies = parse_copies(schedule, second.substr(6));
  }
  return words;
}

// The copies that take turns: the release's own where it has them, else searched ones.
struct Copies {
  Graph base;
  std::vector<std::vector<Rank>> labels;
  std::vector<std::string> names;
};

Copies make_copies(const ScheduleOptions& options, int count) {
  Copies copies{.base = named_graph(options.graph, options.workers),
                .labels = release_cycle(options.graph, count),
                .names = {}};
  if (copies.labels.empty()) copies.labels = search_cycle(copies.base, count, options.weights, options.seed);
  for (int copy = 0; copy < count; ++copy) {
    copies.names.push_back(count == 1 ? copies.base.name
                                      : fmt::format("{} copy {}", copies.base.name, copy + 1));
  }
  return copies;
}

// Weights do not depend on labels, so the first graph's, which may need an eigenproblem, serve all copies.
std::vector<Arc> rename(std::vector<Arc> arcs, const std::vector<Rank>& labels) {
  for (Arc& arc : arcs) arc = {labels[arc.to], labels[arc.from], arc.weight};
  std::sort(arcs.begin(), arcs.end());
  return arcs;
}

std::unique_ptr<Schedule> make_cycle(const ScheduleOptions& options, int count) {
  const Copies copies = make_copies(options, count);
  const auto arcs = averaging_arcs(copies.base, options.weights);
  std::vector<Phase> phases;
  for (int copy = 0; copy < count; ++copy)
    phases.push_back({copies.names[copy], rename(arcs, copies.labels[copy])});
  return std::make_unique<PhaseSchedule>(options.schedule, options.workers, std::move(phases));
}

std::unique_ptr<Schedule> make_matcha(const ScheduleOptions& options, const Words& words) {
  const auto budget = parse_number<double>(words.argument);
  if (!budget) usage_error("schedule '{}': write matcha:BUDGET, such as matcha:0.5", options.schedule);
  Copies copies = make_copies(options, words.copies);
  const MatchaPlan plan = plan_matcha(copies.base, *budget);
  std::vector<MatchaPlan> plans;
  for (const auto& labels : copies.labels) plans.push_back(relabel(plan, labels));
  return matcha_schedule(options.schedule, options.workers, std::move(plans), std::move(copies.names),
                         options.seed);
}

// What the released code does on its D-PSGD path: matching 1 and matching 0 in turn, with the alpha of the
// whole graph; never any other matching. With a cycle the copies take turns at every step, and the matching
// changes after each round of copies.
std::unique_ptr<Schedule> make_release_alternation(const ScheduleOptions& options, int count) {
  const Copies copies = make_copies(options, count);
  const double alpha = best_alpha(copies.base);
  const auto parts = matchings(copies.base);
  std::vector<Phase> phases;
  for (const size_t j : {size_t{1}, size_t{0}}) {
    const Graph graph = make_graph("", options.workers, j < parts.size() ? parts[j] : Matching{});
    const auto arcs = uniform_arcs(graph, alpha);
    for (int copy = 0; copy < count; ++copy) {
      phases.push_back(
          {fmt::format("{}, matching {}", copies.names[copy], j), rename(arcs, copies.labels[copy])});
    }
  }
  return std::make_unique<PhaseSchedule>(options.schedule, options.workers, std::move(phases));
}

std::unique_ptr<Schedule> make_base(const ScheduleOptions& options, std::string_view argument) {
  const auto k = parse_number<int>(argument);
  if (!k || *k < 1) {
    usage_error("schedule '{}': write base:K with K, the number of neighbours, at least 1", options.schedule);
  }
  return std::make_unique<PhaseSchedule>(options.schedule, options.workers, base_graph(options.workers, *k));
}

std::unique_ptr<Schedule> make_complete(const ScheduleOptions& options) {
  const Graph graph = named_graph("complete", options.workers);
  std::vector<Phase> phases{{graph.name, uniform_arcs(graph, 1.0 / options.workers)}};
  return std::make_unique<PhaseSchedule>(options.schedule, options.workers, std::move(phases));
}

std::unique_ptr<Schedule> make_plain(const ScheduleOptions& options) {
  const Words words = parse_words(options.schedule);
  const bool bare = words.argument.empty() &&
                    words.kind.size() == options.schedule.substr(0, options.schedule.find('+')).size();
  if (words.kind == "cycle") return make_cycle(options, words.copies);
  if (words.kind == "matcha") return make_matcha(options, words);
  if (words.kind == "base") return make_base(options, words.argument);
  if (words.kind == "static" && bare) return make_cycle(options, 1);
  if (words.kind == "release-alternation" && bare) return make_release_alternation(options, words.copies);
  if (words.kind == "complete" && bare) return make_complete(options);
  if (words.kind == "one-peer" && bare) {
    return std::make_unique<PhaseSchedule>(options.schedule, options.workers,
                                           one_peer_exponential(options.workers));
  }
  throw UsageError(unknown_name("schedule", options.schedule, known_schedules()));
}

void check_connected(const Schedule& schedule, const ScheduleOptions& options) {
  const Graph all = schedule.union_graph();
  if (options.allow_disconnected || connected(all)) return;
  usage_error(
      "schedule '{}' on graph '{}' never connects {}: each part would train alone; choose another schedule "
      "or "
      "graph, or pass --allow-disconnected to study this",
      options.schedule, options.graph, describe_components(all));
}

}  // namespace

std::vector<std::string> known_schedules() {
  return {"static", "cycle:N",  "matcha:BUDGET",       "matcha:BUDGET+cycle:N",      "one-peer",
          "base:K", "complete", "release-alternation", "release-alternation+cycle:N"};
}

std::unique_ptr<Schedule> make_schedule(const ScheduleOptions& options) {
  if (options.workers < 1) usage_error("--workers {}: there must be at least 1", options.workers);
  if (options.local_steps < 1) usage_error("--local-steps {}: there must be at least 1", options.local_steps);
  auto schedule = make_plain(options);
  check_connected(*schedule, options);
  if (options.local_steps > 1) schedule = with_local_steps(std::move(schedule), options.local_steps);
  return schedule;
}

}  // namespace alder::gossip
