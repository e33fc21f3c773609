// MATCHA at run time: every worker draws the same matchings from the shared seed.
#include <algorithm>

#include "base/philox.hpp"
#include "gossip/matcha.hpp"
#include "gossip/phases.hpp"

namespace alder::gossip {
namespace {

// One draw per matching and step; used by all phases of a cycle alike.
std::vector<bool> draw_active(const std::vector<double>& probabilities, uint64_t seed, Step step) {
  Random random(seed, Draw::schedule, static_cast<uint64_t>(step));
  std::vector<bool> active(probabilities.size());
  for (size_t j = 0; j < active.size(); ++j) active[j] = random.uniform() < probabilities[j];
  return active;
}

class MatchaSchedule final : public Schedule {
 public:
  MatchaSchedule(std::string name, int workers, std::vector<MatchaPlan> plans, std::vector<std::string> names,
                 uint64_t seed)
      : name_(std::move(name)),
        workers_(workers),
        plans_(std::move(plans)),
        names_(std::move(names)),
        seed_(seed) {
    for (const MatchaPlan& plan : plans_) {
      auto& partners = partners_.emplace_back(workers);
      for (int j = 0; j < static_cast<int>(plan.matchings.size()); ++j) {
        for (const auto& [a, b] : plan.matchings[j]) {
          partners[a].push_back({b, j});
          partners[b].push_back({a, j});
        }
      }
      for (auto& list : partners) std::sort(list.begin(), list.end());
    }
  }

  const MatchaPlan& first_plan() const { return plans_.front(); }

  std::string name() const override { return name_; }
  int workers() const override { return workers_; }
  int period() const override { return static_cast<int>(plans_.size()); }
  bool random() const override { return true; }

  GossipRow row(Step step, Rank rank) const override {
    const size_t phase = static_cast<size_t>(step) % plans_.size();
    const std::vector<bool> active = draw_active(plans_[phase].probabilities, seed_, step);
    const float weight = static_cast<float>(plans_[phase].alpha);
    GossipRow row;
    double self = 1;
    for (const auto& [partner, matching] : partners_[phase][rank]) {
      if (!active[matching]) continue;
      row.incoming.push_back({partner, weight});
      self -= weight;
    }
    row.self = static_cast<float>(self);
    row.degree = static_cast<int>(row.incoming.size());
    return row;
  }

  std::vector<Rank> send_to(Step step, Rank rank) const override {
    std::vector<Rank> listeners;
    for (const Incoming& incoming : row(step, rank).incoming) listeners.push_back(incoming.from);
    return listeners;
  }

  Graph union_graph() const override {
    std::vector<Edge> edges;
    for (int phase = 0; phase < period(); ++phase) {
      const Graph graph = possible(phase);
      edges.insert(edges.end(), graph.edges.begin(), graph.edges.end());
    }
    return make_graph(name_, workers_, std::move(edges));
  }

  std::vector<Graph> phases() const override {
    std::vector<Graph> graphs;
    for (int phase = 0; phase < period(); ++phase) graphs.push_back(possible(phase));
    return graphs;
  }

  // W is I - alpha L of a draw, with E[L] = sum p_j L_j and Var = sum p_j (1 - p_j) L_j^2, where L_j^2 = 2
  // L_j.
  std::vector<Arc> arcs(int phase) const override {
    const double alpha = plans_[phase].alpha;
    return weighted(phase, [alpha](double p) { return alpha * p; });
  }
  std::vector<Arc> spread(int phase) const override {
    const double alpha = plans_[phase].alpha;
    return weighted(phase, [alpha](double p) { return 2 * alpha * alpha * p * (1 - p); });
  }

  double messages_per_step() const override {
    double messages = 0;
    for (const MatchaPlan& plan : plans_) {
      for (size_t j = 0; j < plan.matchings.size(); ++j) {
        messages += 2 * plan.probabilities[j] * static_cast<double>(plan.matchings[j].size());
      }
    }
    return messages / period();
  }

  // With every matching on that can be.
  std::vector<std::string> warnings() const override {
    std::vector<std::string> texts;
    for (int phase = 0; phase < period(); ++phase) {
      std::vector<double> self(workers_, 1.0);
      for (const auto& [a, b] : possible(phase).edges) {
        self[a] -= plans_[phase].alpha;
        self[b] -= plans_[phase].alpha;
      }
      const auto found = negative_self_weights(self, names_[phase] + " when all its matchings are on");
      texts.insert(texts.end(), found.begin(), found.end());
    }
    return texts;
  }

  uint64_t hash() const override {
    Hash hash;
    hash.add(static_cast<uint64_t>(workers_)).add(seed_);
    for (int phase = 0; phase < period(); ++phase) hash.add(arcs(phase));
    return hash.value();
  }

 private:
  struct Partner {
    Rank rank = 0;
    int matching = 0;
    friend auto operator<=>(const Partner&, const Partner&) = default;
  };

  Graph possible(int phase) const {
    std::vector<Edge> edges;
    for (size_t j = 0; j < plans_[phase].matchings.size(); ++j) {
      if (plans_[phase].probabilities[j] <= 0) continue;
      edges.insert(edges.end(), plans_[phase].matchings[j].begin(), plans_[phase].matchings[j].end());
    }
    return make_graph(names_[phase], workers_, std::move(edges));
  }

  template <typename WeightOf>
  std::vector<Arc> weighted(int phase, WeightOf weight_of) const {
    std::vector<Arc> arcs;
    for (size_t j = 0; j < plans_[phase].matchings.size(); ++j) {
      const double weight = weight_of(plans_[phase].probabilities[j]);
      if (weight == 0) continue;
      for (const auto& [a, b] : plans_[phase].matchings[j]) {
        arcs.push_back({a, b, weight});
        arcs.push_back({b, a, weight});
      }
    }
    std::sort(arcs.begin(), arcs.end());
    return arcs;
  }

  std::string name_;
  int workers_;
  std::vector<MatchaPlan> plans_;
  std::vector<std::string> names_;
  uint64_t seed_;
  std::vector<std::vector<std::vector<Partner>>> partners_;  // [phase][rank], by rank
};

}  // namespace

const MatchaPlan* matcha_plan(const Schedule& schedule) {
  const auto* matcha = dynamic_cast<const MatchaSchedule*>(&schedule);
  return matcha ? &matcha->first_plan() : nullptr;
}

std::unique_ptr<Schedule> matcha_schedule(std::string name, int workers, std::vector<MatchaPlan> phases,
                                          std::vector<std::string> phase_names, uint64_t seed) {
  return std::make_unique<MatchaSchedule>(std::move(name), workers, std::move(phases), std::move(phase_names),
                                          seed);
}

}  // namespace alder::gossip
