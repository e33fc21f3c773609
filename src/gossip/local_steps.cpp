// Local SGD's communication period around any schedule.
#include "gossip/phases.hpp"

namespace alder::gossip {
namespace {

class LocalSteps final : public Schedule {
 public:
  LocalSteps(std::shared_ptr<const Schedule> inner, int k) : inner_(std::move(inner)), k_(k) {}

  std::string name() const override { return inner_->name() + ", every " + std::to_string(k_) + " steps"; }
  int workers() const override { return inner_->workers(); }
  int period() const override { return k_ * inner_->period(); }
  bool random() const override { return inner_->random(); }
  GossipRow row(Step step, Rank rank) const override {
    return talks(step) ? inner_->row(step / k_, rank) : GossipRow{};
  }
  std::vector<Rank> send_to(Step step, Rank rank) const override {
    return talks(step) ? inner_->send_to(step / k_, rank) : std::vector<Rank>{};
  }
  Graph union_graph() const override { return inner_->union_graph(); }
  std::vector<Graph> phases() const override {
    std::vector<Graph> all;
    for (Graph& graph : inner_->phases()) {
      for (int silent = 1; silent < k_; ++silent) all.push_back(make_graph("no exchange", workers(), {}));
      all.push_back(std::move(graph));
    }
    return all;
  }
  std::vector<Arc> arcs(int phase) const override {
    return talks(phase) ? inner_->arcs(phase / k_) : std::vector<Arc>{};
  }
  std::vector<Arc> spread(int phase) const override {
    return talks(phase) ? inner_->spread(phase / k_) : std::vector<Arc>{};
  }
  double messages_per_step() const override { return inner_->messages_per_step() / k_; }
  std::vector<std::string> warnings() const override { return inner_->warnings(); }
  uint64_t hash() const override { return Hash().add(inner_->hash()).add(static_cast<uint64_t>(k_)).value(); }

 private:
  bool talks(Step step) const { return step % k_ == k_ - 1; }

  std::shared_ptr<const Schedule> inner_;
  int k_;
};

}  // namespace

std::unique_ptr<Schedule> with_local_steps(std::shared_ptr<const Schedule> inner, int k) {
  return std::make_unique<LocalSteps>(std::move(inner), k);
}

}  // namespace alder::gossip
