#include <numeric>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "train/loss_mean.hpp"
#include "train/team.hpp"

namespace alder::train {
namespace {

class SoloTeam final : public Team {
 public:
  SoloTeam(int workers, const std::atomic<bool>& stop)
      : local_(static_cast<std::size_t>(workers)), stop_(stop), losses_(workers) {
    std::iota(local_.begin(), local_.end(), 0);
  }

  int workers() const override { return static_cast<int>(local_.size()); }
  const std::vector<Rank>& local() const override { return local_; }
  bool leads() const override { return true; }

  Records gather(std::vector<Json> mine) override {
    return {std::make_move_iterator(mine.begin()), std::make_move_iterator(mine.end())};
  }
  Json broadcast(Json value) override { return value; }
  void gather_arrays(std::span<const std::span<const float>> mine, const Visit& visit) override {
    for (std::size_t i = 0; i < mine.size(); ++i) visit(local_[i], mine[i]);
  }
  void share(std::span<float>) override {}

  bool may_start(Step) override { return !stop_.load(std::memory_order_relaxed); }
  void report(Step step, std::span<const double> losses) override {
    for (std::size_t i = 0; i < losses.size(); ++i) losses_.add(step, local_[i], losses[i]);
  }
  double smoothed_loss() const override { return losses_.smoothed(); }
  void fail(const std::string& text) override { throw Error(text); }
  std::vector<Departure> take_departures() override { return {}; }
  std::optional<trace::ClockReading> compare_clocks() override {
    return trace::ClockReading{.at_ns = monotonic_ns()};
  }
  void leave(const std::string&) override {}

 private:
  std::vector<Rank> local_;
  const std::atomic<bool>& stop_;
  LossMean losses_;
};

}  // namespace

std::unique_ptr<Team> make_solo_team(int workers, const std::atomic<bool>& stop) {
  return std::make_unique<SoloTeam>(workers, stop);
}

}  // namespace alder::train
