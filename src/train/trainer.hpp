// A training run from options to summary: sets the parts up, drives the step phases, and keeps the records.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/worker_pool.hpp"
#include "data/dataset.hpp"
#include "exchange/exchange.hpp"
#include "gossip/noise.hpp"
#include "train/checkpoint.hpp"
#include "train/evaluation.hpp"
#include "train/metrics.hpp"
#include "train/options.hpp"
#include "train/progress.hpp"
#include "train/worker.hpp"

namespace alder::train {

class Trainer {
 public:
  // Loads data, builds graph, engines and exchange. Throws UsageError or Error with one clear line.
  // `stop`: set (by a signal handler) to end the run cleanly after the step under way.
  Trainer(TrainOptions options, Progress& progress, const std::atomic<bool>& stop);

  // Trains to the end (or until `stop`), writes metrics, checkpoints and summary.json. Returns the summary.
  // Throws Error when a loss is not finite (names worker, step, last finite loss).
  Json run();

  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  Step total_steps() const { return total_steps_; }

 private:
  void build_workers();
  void prepare_folder();
  void initialise_models();
  Identity identity() const;
  void say(const std::string& text);

  void run_step();
  void record_rows();
  void check_losses();
  void report_progress();
  void finish_epoch();
  void save();

  // records.cpp
  void write_run_line();
  void write_worker_line(const Worker& worker, double distance, const TestResult* test);
  void write_mean_line(const TestResult* averaged);
  Json summary();
  std::optional<double> variance_inflation();
  void collect_bytes();
  int64_t total_bytes() const;
  double elapsed() const;            // seconds of the whole run, earlier parts included
  double images_per_second() const;  // trained pictures per second inside steps
  double epoch_now() const;

  TrainOptions options_;
  Progress& progress_;
  const std::atomic<bool>& stop_;

  data::Dataset dataset_;
  std::shared_ptr<const gossip::Schedule> schedule_;
  std::shared_ptr<const gossip::Recipe> recipe_;
  Step steps_per_epoch_ = 0, total_steps_ = 0;
  std::unique_ptr<Exchange> exchange_;
  std::unique_ptr<WorkerPool> pool_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Evaluator> evaluator_;
  std::unique_ptr<MetricsLog> log_;

  RunState state_;
  Step first_step_ = 0;
  int64_t started_ns_ = 0;
  double seconds_before_ = 0;                       // spent by earlier parts of a resumed run
  std::vector<std::vector<int64_t>> bytes_before_;  // sent by them
  double bytes_factor_ = 1;  // all-reduce is priced as a ring: 2 (m-1) / m models a worker
  double smoothed_loss_ = 0, step_seconds_ = 0, learning_rate_ = 0;
  std::vector<gossip::Rows> epoch_rows_;  // of the steps since the last epoch line of this process
  Consensus consensus_;
  TestResult averaged_test_;
  std::vector<TestResult> worker_tests_;
};

}  // namespace alder::train
