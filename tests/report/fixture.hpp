// Run folders as the trainer writes them (docs/metrics.md), made of smooth curves and a little noise.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/philox.hpp"
#include "base/types.hpp"

namespace alder::report::test {

struct Fixture {
  std::string name = "al-dsgd-g8";
  int workers = 8;
  int epochs = 10;
  int epochs_done = -1;  // fewer than `epochs`: no summary is written; -1: all
  std::string algorithm = "al-dsgd";
  bool leaders = true;
  bool cycle = true;      // three relabelled graphs instead of one
  bool completed = true;  // false: the summary tells of an interrupt
  double final_accuracy = 0.9;
  double learning_rate = 0.4;
  int evaluate_every = 1;  // epochs between evaluations
  uint64_t seed = 1;
};

using Edges = std::vector<std::pair<Rank, Rank>>;

// The 8-node graph; for other sizes a ring with some long chords.
inline Edges fixture_graph(int workers) {
  if (workers == 8) {
    return {{0, 4}, {1, 5}, {2, 3}, {6, 7}, {1, 7}, {3, 6}, {0, 1}, {3, 7}, {5, 6}, {0, 7}, {1, 2}, {1, 3}};
  }
  if (workers == 2) return {{0, 1}};
  Edges edges;
  for (Rank i = 0; i < workers; ++i) edges.emplace_back(i, (i + 1) % workers);
  for (Rank i = 0; i + 9 < workers; i += 3) edges.emplace_back(i, i + 9);
  return edges;
}

inline std::vector<Edges> fixture_phases(const Fixture& fixture) {
  const Edges base = fixture_graph(fixture.workers);
  if (!fixture.cycle || fixture.workers == 2) return {base};
  std::vector<std::vector<Rank>> labels(3);
  for (Rank i = 0; i < fixture.workers; ++i) {
    labels[0].push_back(i);
    labels[1].push_back((i * 3 + 3) % fixture.workers);
    labels[2].push_back((i * 5 + 1) % fixture.workers);
  }
  std::vector<Edges> phases;
  for (const auto& label : labels) {
    Edges phase;
    for (const auto& [a, b] : base) {
      phase.emplace_back(std::minmax(label[static_cast<std::size_t>(a)], label[static_cast<std::size_t>(b)]));
    }
    phases.push_back(phase);
  }
  return phases;
}

class FixtureWriter {
 public:
  FixtureWriter(std::filesystem::path folder, Fixture fixture)
      : folder_(std::move(folder)), fixture_(std::move(fixture)), phases_(fixture_phases(fixture_)) {
    if (fixture_.epochs_done < 0) fixture_.epochs_done = fixture_.epochs;
  }

  void write() {
    std::filesystem::create_directories(folder_);
    std::ofstream metrics(folder_ / "metrics.jsonl");
    metrics << head().dump() << '\n';
    for (int epoch = 1; epoch <= fixture_.epochs_done; ++epoch) {
      for (Rank rank = 0; rank < fixture_.workers; ++rank) metrics << worker(epoch, rank).dump() << '\n';
      metrics << mean(epoch).dump() << '\n';
    }
    metrics << Json{{"kind", "event"}, {"step", 12}, {"text", "worker 3: self weight is -0.43"}}.dump()
            << '\n';
    std::ofstream(folder_ / "config.json") << config().dump(1);
    if (fixture_.epochs_done == fixture_.epochs) std::ofstream(folder_ / "summary.json") << summary().dump(1);
  }

  static constexpr int kSteps = 390;
  static constexpr double kModelBytes = 272474 * 4.0;

  // The numbers of the curves, for tests to compare with.
  double progress(int epoch) const { return static_cast<double>(epoch) / fixture_.epochs; }
  double accuracy(int epoch, Rank rank) const {
    const double noise =
        Random(fixture_.seed, Draw::shapes, static_cast<uint64_t>(epoch * 1000 + rank)).uniform() - 0.5;
    const double rise = 1 - std::exp(-4 * progress(epoch));
    return std::min(0.999, fixture_.final_accuracy * rise - 0.01 * (rank % 5) + 0.02 * noise);
  }
  double averaged_accuracy(int epoch) const {
    return fixture_.final_accuracy * (1 - std::exp(-4.4 * progress(epoch)));
  }
  bool evaluated(int epoch) const { return epoch % fixture_.evaluate_every == 0 || epoch == fixture_.epochs; }

 private:
  using Json = nlohmann::ordered_json;

  static std::string key(Rank rank) { return std::to_string(rank); }

  Json head() const {
    Json phases = Json::array();
    for (std::size_t i = 0; i < phases_.size(); ++i) {
      Json edges = Json::array();
      for (const auto& [a, b] : phases_[i]) edges.push_back({a, b});
      phases.push_back({{"name", i == 0 ? "g8" : i == 1 ? "g8-b" : "g8-c"}, {"edges", edges}});
    }
    return {{"kind", "run"},
            {"schema", 1},
            {"name", fixture_.name},
            {"model", "resnet-20"},
            {"data", "cifar10"},
            {"workers", fixture_.workers},
            {"graph", "g8"},
            {"schedule", fixture_.cycle ? "cycle:3" : "static"},
            {"algorithm", fixture_.algorithm},
            {"order", "combine-while-adapt"},
            {"weights", "metropolis"},
            {"batch", 16},
            {"epochs", fixture_.epochs},
            {"steps_per_epoch", kSteps},
            {"learning_rate", fixture_.learning_rate},
            {"seed", fixture_.seed},
            {"parameters", 272474},
            {"phases", phases},
            {"first_step", 0}};
  }

  std::vector<Rank> candidates(const Edges& phase, Rank rank) const {
    std::vector<Rank> list{rank};
    for (const auto& [a, b] : phase) {
      if (a == rank) list.push_back(b);
      if (b == rank) list.push_back(a);
    }
    return list;
  }

  // The steps of one epoch shared out over the phases, then over the candidates of each.
  Json followed(int epoch, Rank rank, bool best) const {
    std::map<Rank, int> counts;
    const int steps = kSteps / static_cast<int>(phases_.size());
    for (const Edges& phase : phases_) {
      const auto list = candidates(phase, rank);
      const auto busiest = std::ranges::max(list, {}, [&](Rank r) { return candidates(phase, r).size(); });
      Random random(fixture_.seed, Draw::shuffle, static_cast<uint64_t>(epoch * 1000 + rank));
      const Rank favourite = list[random.below(static_cast<uint32_t>(list.size()))];
      counts[best ? favourite : busiest] += steps * 7 / 10;
      counts[best ? list[list.size() / 2] : busiest] += steps - steps * 7 / 10;
    }
    Json json = Json::object();
    for (const auto& [leader, times] : counts) json[key(leader)] = times;
    return json;
  }

  Json sent(Rank rank) const {
    std::map<Rank, double> sizes;
    for (const Edges& phase : phases_) {
      for (const Rank to : candidates(phase, rank)) {
        if (to != rank) sizes[to] += kModelBytes * kSteps / static_cast<double>(phases_.size());
      }
    }
    Json json = Json::object();
    for (const auto& [to, size] : sizes) json[key(to)] = static_cast<int64_t>(size);
    return json;
  }

  Json worker(int epoch, Rank rank) const {
    const double rest = std::exp(-3 * progress(epoch));
    Json json{{"kind", "epoch"},
              {"epoch", epoch},
              {"step", epoch * kSteps},
              {"worker", rank},
              {"train_loss", 0.15 + 2.1 * rest + 0.04 * (rank % 7) * rest},
              {"train_accuracy", std::min(0.99, accuracy(epoch, rank) + 0.03)},
              {"learning_rate", fixture_.learning_rate},
              {"distance_to_mean", (1 + 0.13 * (rank % 4)) * 6 * rest}};
    if (evaluated(epoch)) json["test_accuracy"] = accuracy(epoch, rank);
    if (fixture_.leaders) {
      json["leader_best"] = followed(epoch, rank, true);
      json["leader_degree"] = followed(epoch, rank, false);
    }
    json["bytes_sent"] = sent(rank);
    json["seconds"] = {{"data", 1.1},
                       {"compute", 40.2 + 0.6 * (rank % 3)},
                       {"combine", 0.8},
                       {"exchange_wait", 1.9 - 0.6 * (rank % 3)}};
    return json;
  }

  double all_bytes(int epoch) const {
    double total = 0;
    for (Rank rank = 0; rank < fixture_.workers; ++rank) {
      const Json neighbours = sent(rank);
      for (const auto& [to, size] : neighbours.items()) total += size.get<double>();
    }
    return total * epoch;
  }

  Json mean(int epoch) const {
    Json json{{"kind", "mean"},
              {"epoch", epoch},
              {"step", epoch * kSteps},
              {"consensus_distance", 7.2 * std::exp(-3 * progress(epoch))},
              {"variance_inflation", fixture_.leaders ? 1.1 + 0.01 * epoch : 1.0},
              {"images_per_second", 812.0},
              {"seconds", 61.2 * epoch},
              {"bytes_exchanged", all_bytes(epoch)}};
    if (evaluated(epoch)) json["test_accuracy"] = averaged_accuracy(epoch);
    return json;
  }

  Json config() const {
    const auto option = [](Json value, const char* source) {
      return Json{{"value", value}, {"source", source}};
    };
    return {{"model", option("resnet-20", "command line")},
            {"data", option("cifar10:data", "command line")},
            {"workers", option(fixture_.workers, "command line")},
            {"algorithm", option(fixture_.algorithm, "command line")},
            {"schedule", option(fixture_.cycle ? "cycle:3" : "static", "default")},
            {"lr", option(fixture_.learning_rate, "config base.toml")},
            {"batch", option(16, "default")},
            {"out", option(folder_.string(), "command line")},
            {"seed", option(fixture_.seed, "default")}};
  }

  Json summary() const {
    Json accuracies = Json::array();
    double sum = 0, worst = 1, best = 0;
    for (Rank rank = 0; rank < fixture_.workers; ++rank) {
      const double own = accuracy(fixture_.epochs, rank);
      accuracies.push_back(own);
      sum += own;
      worst = std::min(worst, own);
      best = std::max(best, own);
    }
    return {{"test_accuracy_mean", sum / fixture_.workers},
            {"test_accuracy_worst", worst},
            {"test_accuracy_best", best},
            {"test_accuracy_averaged_model", averaged_accuracy(fixture_.epochs)},
            {"test_accuracy_workers", accuracies},
            {"consensus_distance", 7.2 * std::exp(-3.0)},
            {"steps", fixture_.epochs * kSteps},
            {"epochs", fixture_.epochs},
            {"seconds", 61.2 * fixture_.epochs},
            {"images_per_second", 812.0},
            {"bytes_exchanged", all_bytes(fixture_.epochs)},
            {"seed", fixture_.seed},
            {"command", "alder train --model resnet-20 --data cifar10:data --workers 8"},
            {"workers", fixture_.workers},
            {"completed", fixture_.completed}};
  }

  std::filesystem::path folder_;
  Fixture fixture_;
  std::vector<Edges> phases_;
};

}  // namespace alder::report::test
