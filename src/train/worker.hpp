// One worker: an engine, its share of the data, and its way through one step.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "cuda/engine/sample_engine.hpp"
#include "data/dataset.hpp"
#include "engine/engine.hpp"
#include "exchange/exchange.hpp"
#include "gossip/recipe.hpp"
#include "train/counters.hpp"
#include "train/options.hpp"

namespace alder::train {

// What stays the same for all workers in one step.
struct StepContext {
  Step step = 0;
  float learning_rate = 0;
};

// The parts of a model array that are exchanged one by one; lengths in elements, in order, adding up to it.
using Buckets = std::vector<std::size_t>;

// The phases of a step, for all orders. A trainer runs phase p for all its workers before phase p+1, so
// that with every worker in one process no wait ever blocks; in a process of its own a worker blocks in
// the awaits, each with a deadline. Which buffer holds what:
//
//   combine-while-adapt   x_t in model(x), x_{t+1} goes to model(next)           publishes x_t
//   adapt-then-combine    y_t in model(half), x_{t+1} goes over x_t              publishes y_t
//   paper, with leaders   h_t in model(half), x_{t+1} goes to model(next)        publishes x_t, then h_t
class Worker {
 public:
  Worker(Rank rank, const TrainOptions& options, const data::Dataset& dataset, std::vector<int64_t> shard,
         std::shared_ptr<const gossip::Recipe> recipe, std::unique_ptr<Engine> engine);
  // Before the first step; `buckets` as the exchange has them.
  void connect(Endpoint& endpoint, Buckets buckets);

  Rank rank() const { return rank_; }
  Engine& engine() { return *engine_; }
  int phases() const { return recipe_->exchanges_per_step() + 1; }
  void run_phase(int phase, const StepContext& context);

  std::span<float> model() { return engine_->model(current_); }
  int model_buffer() const { return current_; }
  // What the worker publishes from, for Exchange::attach: its engine's model buffers.
  std::vector<Region> published_memory();
  // Waits until all neighbours have read everything that was published. Throws Error when one is late.
  void settle() { settle_below(Generation(half_generation_.value() + 1)); }
  // A buffer that no neighbour reads between steps, once settled: for evaluation.
  int spare_buffer() const { return 1 - current_; }

  // The last step's combination.
  const gossip::StepRow& row() const { return row_; }
  const BatchResult& last_result() const { return result_; }
  double last_finite_loss() const { return last_finite_loss_; }
  void restore_last_finite_loss(double loss) { last_finite_loss_ = loss; }
  EpochCounters& counters() { return counters_; }
  const EpochCounters& counters() const { return counters_; }
  gossip::RankingLoss& ranking() { return ranking_; }
  const Endpoint& endpoint() const { return *endpoint_; }
  const std::vector<int64_t>& shard() const { return shard_; }

 private:
  BatchResult run_batch(const StepContext& context);
  void compute(const StepContext& context);
  void open_and_publish(Generation generation, const StepContext& context, std::span<const float> source);
  void announce(Generation generation, const StepContext& context);
  void release(Generation generation);
  std::vector<gossip::Standing> listen(Generation generation);
  std::span<const float> whole_slot(Rank neighbour, Generation generation) const;
  void choose_row(const StepContext& context);
  void combine(std::span<const gossip::RowEntry> row, int target, bool adapt, const StepContext& context);
  void adapt_only(const StepContext& context);
  void settle_below(Generation generation);
  Generation generation_of(Step step, int exchange) const;
  Deadline deadline() const;

  Rank rank_;
  const TrainOptions* options_;
  const data::Dataset* dataset_;
  std::vector<int64_t> shard_;
  data::BatchSampler sampler_;
  std::shared_ptr<const gossip::Recipe> recipe_;
  std::unique_ptr<Engine> engine_;
  SampleEngine* sample_engine_;  // the same, where it makes its batches itself; else null
  Endpoint* endpoint_ = nullptr;
  Buckets buckets_;
  gossip::RankingLoss ranking_;

  int current_ = 0;                // buffer of x; 0 or 1
  static constexpr int kHalf = 2;  // buffer of y or h
  std::vector<float> images_;
  std::vector<int32_t> labels_;
  BatchResult result_;
  double last_finite_loss_ = 0;
  float announced_loss_ = 0;
  int degree_ = 0;
  LiveEdges live_;  // of this step
  std::vector<gossip::Standing> heard_;
  gossip::StepRow row_;
  Generation x_generation_{}, half_generation_{};  // of this step
  struct Published {
    Generation generation;
    std::vector<Rank> readers;
  };
  std::vector<Published> unsettled_;  // not yet known to be read by all
  EpochCounters counters_;
};

}  // namespace alder::train
