// The lines of metrics.jsonl and the summary: docs/metrics.md is their schema.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/clock.hpp"
#include "train/trainer.hpp"

namespace alder::train {
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

// What the leader needs of one worker for its line, and forgets afterwards.
Json Trainer::epoch_record(std::size_t local_index) {
  const Worker& worker = *workers_[local_index];
  Json record = bytes_record(worker);
  record["counters"] = to_json(worker.counters());
  record["rows"] = rows_[local_index].take();
  return record;
}

// What the exchange can tell of one worker: bytes since the process began, and what befell its edges since
// the last record.
Json Trainer::bytes_record(const Worker& worker) const {
  Json sent = Json::array();
  for (Rank neighbour = 0; neighbour < options_.workers; ++neighbour) {
    sent.push_back(neighbour == worker.rank() ? 0 : worker.endpoint().bytes_sent(neighbour));
  }
  Json notices = Json::array();
  if (&worker == workers_.front().get()) {  // the exchange is one for all workers of the process
    for (const EdgeNotice& notice : exchange_->take_notices()) {
      notices.push_back({{"worker", notice.worker},
                         {"neighbour", notice.neighbour},
                         {"lost", notice.lost},
                         {"generation", notice.generation.value()},
                         {"seconds", notice.seconds},
                         {"text", notice.text}});
    }
  }
  return {{"sent", sent}, {"notices", notices}, {"ports", port_counters_->changes()}};
}

void Trainer::write_epoch(const Team::Records& records, const TestResult* averaged) {
  report_departures();
  collect_bytes(records);
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    if (!records[rank]) continue;
    write_worker_line(static_cast<Rank>(rank), records[rank]->at("counters"));
  }
  state_.bytes_sent_at_epoch = state_.bytes_sent;
  write_mean_line(averaged, records);
  const std::string test =
      averaged != nullptr ? fmt::format("  averaged model {:.2f} %", 100 * averaged->accuracy) : "";
  progress_.line(fmt::format("epoch {:g}  step {}  loss {:.3f}{}  consensus distance {:.3g}  {:.0f} images/s",
                             epoch_now(), state_.step, team_->smoothed_loss(), test,
                             consensus_.root_mean_square, images_per_second()));
}

void Trainer::write_worker_line(Rank worker, const Json& counted) {
  const EpochCounters counters = counters_from_json(counted);
  const auto rank = static_cast<std::size_t>(worker);
  Json sent = Json::object();
  for (std::size_t neighbour = 0; neighbour < state_.bytes_sent.size(); ++neighbour) {
    const int64_t bytes = state_.bytes_sent[rank][neighbour] - state_.bytes_sent_at_epoch[rank][neighbour];
    if (bytes > 0) sent[std::to_string(neighbour)] = bytes;
  }
  const auto steps = static_cast<double>(std::max<int64_t>(1, counters.steps));
  const auto pictures = static_cast<double>(std::max<int64_t>(1, counters.pictures));
  Json line{{"kind", "epoch"},
            {"epoch", (state_.step + steps_per_epoch_ - 1) / steps_per_epoch_},
            {"step", state_.step},
            {"worker", worker},
            {"train_loss", finite_or_null(counters.loss_sum / steps)},
            {"train_accuracy", static_cast<double>(counters.correct) / pictures},
            {"learning_rate", learning_rate_}};
  if (const auto& distance = consensus_.distance_to_mean[rank])
    line["distance_to_mean"] = finite_or_null(*distance);
  if (tests_each_ && worker_tests_[rank]) {
    line["test_accuracy"] = worker_tests_[rank]->accuracy;
    line["test_loss"] = finite_or_null(worker_tests_[rank]->loss);
  }
  if (options_.leaders.enabled) {
    line["leader_best"] = counted.at("leader_best");
    line["leader_degree"] = counted.at("leader_degree");
  }
  line["bytes_sent"] = sent;
  line["seconds"] = {{"data", counters.seconds_data},
                     {"compute", counters.seconds_compute},
                     {"combine", counters.seconds_combine},
                     {"exchange_wait", counters.seconds_wait}};
  log_->write(line);
}

void Trainer::write_mean_line(const TestResult* averaged, const Team::Records& records) {
  Json line{{"kind", "mean"},
            {"epoch", (state_.step + steps_per_epoch_ - 1) / steps_per_epoch_},
            {"step", state_.step},
            {"consensus_distance", finite_or_null(consensus_.root_mean_square)}};
  if (averaged != nullptr) {
    line["test_accuracy"] = averaged->accuracy;
    line["test_loss"] = finite_or_null(averaged->loss);
  }
  if (const auto inflation = variance_inflation(records)) line["variance_inflation"] = *inflation;
  line["images_per_second"] = images_per_second();
  line["seconds"] = elapsed();
  line["bytes_exchanged"] = total_bytes();
  log_->write(line);
}

Json Trainer::summary() {
  Json result = Json::object();
  if (!team_->leads()) return result;
  if (!worker_tests_.empty()) {
    std::vector<double> accuracies;  // of the workers that are there
    Json by_worker = Json::array();
    for (const auto& test : worker_tests_) {
      by_worker.push_back(test ? Json(test->accuracy) : Json(nullptr));
      if (test) accuracies.push_back(test->accuracy);
    }
    const double sum = std::accumulate(accuracies.begin(), accuracies.end(), 0.0);
    result["test_accuracy_mean"] = sum / static_cast<double>(accuracies.size());
    result["test_accuracy_worst"] = std::ranges::min(accuracies);
    result["test_accuracy_best"] = std::ranges::max(accuracies);
    result["test_accuracy_averaged_model"] = averaged_test_.accuracy;
    result["test_accuracy_workers"] = by_worker;
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
  if (!overlap_.is_null()) result["overlap"] = overlap_;
  if (!port_changes_.empty()) result["port_counters"] = port_changes_;
  if (place_.rendezvous != nullptr) {
    result["exchange"] = {{"description", exchange_->description()}, {"notices", exchange_notices_}};
    result["lost_workers"] = lost_workers_;
  }
  return result;
}

// How much the epoch's rows amplified gradient noise in the mean model, from the rows as they were. Of the
// workers that are there; an epoch in which one was lost is left out.
std::optional<double> Trainer::variance_inflation(const Team::Records& records) {
  std::vector<int> place(records.size(), -1);  // among those that are there
  std::vector<std::vector<std::vector<gossip::WeightedRank>>> rows;
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    if (!records[rank]) continue;
    place[rank] = static_cast<int>(rows.size());
    rows.push_back(unpack_rows(records[rank]->at("rows")));
  }
  constexpr std::size_t kFewest = 50;  // below this the ends of the window dominate
  const std::size_t steps = rows.front().size();
  if (rows.size() < 2 || steps < kFewest) return std::nullopt;
  for (auto& of_worker : rows) {
    if (of_worker.size() != steps) return std::nullopt;
    for (auto& row : of_worker) {
      for (gossip::WeightedRank& entry : row) {
        entry.rank = place.at(static_cast<std::size_t>(entry.rank));
        if (entry.rank < 0) return std::nullopt;
      }
    }
  }
  const auto figures =
      gossip::simulate_mixing(static_cast<int>(rows.size()), static_cast<Step>(steps), [&](Step step) {
        gossip::Rows at;
        for (const auto& of_worker : rows) at.push_back(of_worker[static_cast<std::size_t>(step)]);
        return at;
      });
  state_.variance_inflation_sum += figures.variance_inflation;
  ++state_.variance_inflation_count;
  return figures.variance_inflation;
}

// Leader: what workers have sent and what befell their edges, out of the records that have it.
void Trainer::collect_bytes(const Team::Records& records) {
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    if (!records[rank]) continue;
    if (const Json& ports = records[rank]->at("ports"); !ports.empty())
      port_changes_[std::to_string(rank)] = ports;
    const Json& sent = records[rank]->at("sent");
    for (std::size_t neighbour = 0; neighbour < state_.bytes_sent.size(); ++neighbour) {
      state_.bytes_sent[rank][neighbour] =
          bytes_before_[rank][neighbour] + std::llround(sent.at(neighbour).get<double>() * bytes_factor_);
    }
    for (const Json& notice : records[rank]->at("notices")) {
      say(notice.at("text").get<std::string>());
      exchange_notices_.push_back(notice);
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
