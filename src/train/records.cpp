// The lines of metrics.jsonl and the summary: docs/metrics.md is their schema.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/clock.hpp"
#include "train/trainer.hpp"

namespace alder::train {
namespace {

Json shares(const std::map<Rank, int64_t>& counts) {
  Json object = Json::object();
  for (const auto& [rank, count] : counts) object[std::to_string(rank)] = count;
  return object;
}

}  // namespace

void Trainer::write_run_line() {
  Json phases = Json::array();
  for (const gossip::Graph& graph : schedule_->phases()) {
    Json edges = Json::array();
    for (const gossip::Edge& edge : graph.edges) edges.push_back({edge.a, edge.b});
    phases.push_back({{"name", graph.name}, {"edges", edges}});
  }
  const Engine::Memory memory = workers_.front()->engine().memory();
  Json line{{"kind", "run"},
            {"schema", 1},
            {"name", options_.out.filename().string()},
            {"model", options_.model},
            {"data", dataset_.name},
            {"workers", options_.workers},
            {"graph", options_.graph},
            {"schedule", schedule_->name()},
            {"algorithm", train::to_string(options_.algorithm)},
            {"order", gossip::to_string(recipe_->order())},
            {"weights", options_.weights},
            {"batch", options_.batch},
            {"epochs", options_.epochs},
            {"steps_per_epoch", steps_per_epoch_},
            {"learning_rate", options_.learning_rate.base},
            {"seed", options_.seed},
            {"parameters", workers_.front()->engine().network().parameter_count},
            {"memory_bytes",
             {{"arrays", memory.arrays}, {"activations", memory.activations}, {"scratch", memory.scratch}}},
            {"phases", phases},
            {"first_step", first_step_}};
  if (options_.leaders.enabled) {
    line["leaders"] = {{"weight_best", shortest(options_.leaders.weight_best)},
                       {"weight_degree", shortest(options_.leaders.weight_degree)},
                       {"pull_best", shortest(options_.leaders.pull_best)},
                       {"pull_degree", shortest(options_.leaders.pull_degree)},
                       {"annealing", gossip::to_string(options_.leaders.annealing)}};
  }
  log_->write(line);
}

void Trainer::write_worker_line(const Worker& worker, double distance, const TestResult* test) {
  const EpochCounters& counters = worker.counters();
  const auto rank = static_cast<std::size_t>(worker.rank());
  Json sent = Json::object();
  for (std::size_t neighbour = 0; neighbour < workers_.size(); ++neighbour) {
    const int64_t bytes = state_.bytes_sent[rank][neighbour] - state_.bytes_sent_at_epoch[rank][neighbour];
    if (bytes > 0) sent[std::to_string(neighbour)] = bytes;
  }
  const auto steps = static_cast<double>(std::max<int64_t>(1, counters.steps));
  const auto pictures = static_cast<double>(std::max<int64_t>(1, counters.pictures));
  Json line{{"kind", "epoch"},
            {"epoch", (state_.step + steps_per_epoch_ - 1) / steps_per_epoch_},
            {"step", state_.step},
            {"worker", worker.rank()},
            {"train_loss", finite_or_null(counters.loss_sum / steps)},
            {"train_accuracy", static_cast<double>(counters.correct) / pictures},
            {"learning_rate", learning_rate_},
            {"distance_to_mean", finite_or_null(distance)}};
  if (test != nullptr) {
    line["test_accuracy"] = test->accuracy;
    line["test_loss"] = finite_or_null(test->loss);
  }
  if (options_.leaders.enabled) {
    line["leader_best"] = shares(counters.leader_best);
    line["leader_degree"] = shares(counters.leader_degree);
  }
  line["bytes_sent"] = sent;
  line["seconds"] = {{"data", counters.seconds_data},
                     {"compute", counters.seconds_compute},
                     {"combine", counters.seconds_combine},
                     {"exchange_wait", counters.seconds_wait}};
  log_->write(line);
}

void Trainer::write_mean_line(const TestResult* averaged) {
  Json line{{"kind", "mean"},
            {"epoch", (state_.step + steps_per_epoch_ - 1) / steps_per_epoch_},
            {"step", state_.step},
            {"consensus_distance", finite_or_null(consensus_.root_mean_square)}};
  if (averaged != nullptr) {
    line["test_accuracy"] = averaged->accuracy;
    line["test_loss"] = finite_or_null(averaged->loss);
  }
  if (const auto inflation = variance_inflation()) line["variance_inflation"] = *inflation;
  line["images_per_second"] = images_per_second();
  line["seconds"] = elapsed();
  line["bytes_exchanged"] = total_bytes();
  log_->write(line);
}

Json Trainer::summary() {
  collect_bytes();
  Json result = Json::object();
  if (!worker_tests_.empty()) {
    std::vector<double> accuracies;
    for (const TestResult& test : worker_tests_) accuracies.push_back(test.accuracy);
    const double sum = std::accumulate(accuracies.begin(), accuracies.end(), 0.0);
    result["test_accuracy_mean"] = sum / static_cast<double>(accuracies.size());
    result["test_accuracy_worst"] = std::ranges::min(accuracies);
    result["test_accuracy_best"] = std::ranges::max(accuracies);
    result["test_accuracy_averaged_model"] = averaged_test_.accuracy;
    result["test_accuracy_workers"] = accuracies;
    result["consensus_distance"] = finite_or_null(consensus_.root_mean_square);
  }
  if (state_.variance_inflation_count > 0) {
    result["variance_inflation"] =
        state_.variance_inflation_sum / static_cast<double>(state_.variance_inflation_count);
  }
  result.update({{"steps", state_.step},
                 {"epochs", epoch_now()},
                 {"seconds", elapsed()},
                 {"images_per_second", images_per_second()},
                 {"bytes_exchanged", total_bytes()},
                 {"seed", options_.seed},
                 {"command", options_.command},
                 {"model", options_.model},
                 {"data", dataset_.name},
                 {"algorithm", train::to_string(options_.algorithm)},
                 {"order", gossip::to_string(recipe_->order())},
                 {"graph", options_.graph},
                 {"schedule", schedule_->name()},
                 {"workers", options_.workers},
                 {"batch", options_.batch},
                 {"completed", state_.step == total_steps_}});
  return result;
}

// How much the epoch's rows amplified gradient noise in the mean model, from the rows as they were.
std::optional<double> Trainer::variance_inflation() {
  const std::vector<gossip::Rows> rows = std::exchange(epoch_rows_, {});
  constexpr std::size_t kFewest = 50;  // below this the ends of the window dominate
  if (workers_.size() < 2 || rows.size() < kFewest) return std::nullopt;
  const auto figures =
      gossip::simulate_mixing(options_.workers, static_cast<Step>(rows.size()),
                              [&](Step step) { return rows[static_cast<std::size_t>(step)]; });
  state_.variance_inflation_sum += figures.variance_inflation;
  ++state_.variance_inflation_count;
  return figures.variance_inflation;
}

void Trainer::collect_bytes() {
  for (const auto& worker : workers_) {
    const auto rank = static_cast<std::size_t>(worker->rank());
    for (std::size_t neighbour = 0; neighbour < workers_.size(); ++neighbour) {
      if (neighbour == rank) continue;
      const auto sent = static_cast<double>(worker->endpoint().bytes_sent(static_cast<Rank>(neighbour)));
      state_.bytes_sent[rank][neighbour] =
          bytes_before_[rank][neighbour] + std::llround(sent * bytes_factor_);
    }
  }
}

int64_t Trainer::total_bytes() const {
  int64_t total = 0;
  for (const auto& row : state_.bytes_sent) total = std::accumulate(row.begin(), row.end(), total);
  return total;
}

double Trainer::elapsed() const {
  return seconds_before_ + seconds_between(started_ns_, monotonic_ns());
}

double Trainer::images_per_second() const {
  const double pictures = static_cast<double>(state_.step) * options_.workers * options_.batch;
  return state_.training_seconds > 0 ? pictures / state_.training_seconds : 0;
}

double Trainer::epoch_now() const {
  return static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch_);
}

}  // namespace alder::train
