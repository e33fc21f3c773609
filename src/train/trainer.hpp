// A training run from options to summary: sets the parts up, drives the step phases, and keeps the records.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/worker_pool.hpp"
#include "data/dataset.hpp"
#include "exchange/exchange.hpp"
#include "launch/agreement.hpp"
#include "launch/rendezvous.hpp"
#include "trace/span.hpp"
#include "train/checkpoint.hpp"
#include "train/evaluation.hpp"
#include "train/metrics.hpp"
#include "train/options.hpp"
#include "train/port_counters.hpp"
#include "train/progress.hpp"
#include "train/row_log.hpp"
#include "train/run_trace.hpp"
#include "train/setup.hpp"
#include "train/team.hpp"
#include "train/wait_watch.hpp"
#include "train/worker.hpp"

namespace alder::train {

// How this process takes part in a job of several, one worker a process. By default there is no job, and all
// workers live here.
struct JobPlace {
  Rendezvous* rendezvous = nullptr;  // outlives the trainer
  // In place of make_exchange (setup.hpp), for exchanges that this room does not know.
  ExchangeMaker make_exchange;
  // Called when all that goes through the rendezvous has gone through it.
  std::function<void()> wired_up;
  // Set by a signal handler when somebody wants to know what every worker waits for; taken back here.
  std::atomic<bool>* state_wanted = nullptr;
};

class Trainer {
 public:
  // Loads data, builds graph, engines and exchange. Throws UsageError or Error with one clear line.
  // `stop`: set (by a signal handler, in any process) to end the run cleanly after the step under way.
  Trainer(TrainOptions options, Progress& progress, const std::atomic<bool>& stop, JobPlace place = {});

  // Trains to the end (or until `stop`), writes metrics, checkpoints and summary.json. Returns the summary,
  // at the leader. Throws Error when a loss is not finite (names worker, step, last finite loss).
  Json run();

  bool leads() const { return team_->leads(); }
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }  // of this process
  Step total_steps() const { return total_steps_; }

 private:
  void set_up(const std::atomic<bool>& stop);
  void join_team(const std::atomic<bool>& stop);
  void build_workers();
  void prepare_folder();
  void connect();
  void initialise_models();
  Identity identity() const;
  std::vector<Fact> facts() const;
  void report_remarks();
  void say(const std::string& text);
  void introduce();
  void record_end(const std::string& text);

  Json train();
  void start_watch();
  void tell(const std::string& text);
  void start_trace();
  void finish_trace();
  void note(const trace::Stretch& stretch, trace::Kind kind) const;
  void run_step();
  void check_losses();
  void report_progress();
  void report_departures();
  void finish_epoch();
  void save();

  // records.cpp
  void write_run_line();
  Json epoch_record(std::size_t local_index);
  Json bytes_record(const Worker& worker) const;
  void collect_bytes(const Team::Records& records);
  void write_epoch(const Team::Records& records, const TestResult* averaged);
  void write_worker_line(Rank worker, const Json& counted);
  void write_mean_line(const TestResult* averaged, const Team::Records& records);
  Json summary();
  std::optional<double> variance_inflation(const Team::Records& records);
  int64_t total_bytes() const;
  double elapsed() const;            // seconds of the whole run, earlier parts included
  double images_per_second() const;  // trained pictures per second inside steps
  double epoch_now() const;

  TrainOptions options_;
  Progress& progress_;
  JobPlace place_;

  data::Dataset dataset_;
  std::shared_ptr<const gossip::Schedule> schedule_;
  std::shared_ptr<const gossip::Recipe> recipe_;
  Step steps_per_epoch_ = 0, total_steps_ = 0;
  std::unique_ptr<Team> team_;
  std::unique_ptr<Rendezvous> watched_;  // place_.rendezvous, and what the team knows of losses
  std::unique_ptr<WorkerPool> pool_;
  std::vector<std::unique_ptr<Worker>> workers_;  // of this process, as Team::local
  std::unique_ptr<Exchange> exchange_;            // reads the workers' memory, so it goes before them
  Buckets buckets_;
  std::unique_ptr<Evaluator> evaluator_;
  std::unique_ptr<MetricsLog> log_;  // leader
  std::unique_ptr<RunTrace> trace_;  // null: none is wanted
  Json overlap_;                     // leader: the trace's figures, for the summary

  RunState state_;  // at the leader of the whole run; elsewhere of this process's part
  Step first_step_ = 0;
  int64_t started_ns_ = 0;
  double seconds_before_ = 0;                       // spent by earlier parts of a resumed run
  std::vector<std::vector<int64_t>> bytes_before_;  // sent by them
  double bytes_factor_ = 1;  // all-reduce is priced as a ring: 2 (m-1) / m models a worker
  double step_seconds_ = 0, learning_rate_ = 0;
  std::vector<RowLog> rows_;  // by local worker, since the last epoch line of this process
  std::vector<double> step_losses_;
  Consensus consensus_;
  TestResult averaged_test_;
  std::vector<std::optional<TestResult>> worker_tests_;
  bool tests_each_ = false;                // worker_tests_ are of this epoch
  Json lost_workers_ = Json::array();      // for the summary
  Json exchange_notices_ = Json::array();  // for the summary
  std::unique_ptr<PortCounters> port_counters_;
  Json port_changes_ = Json::object();  // leader: by worker
  std::atomic<Step> step_told_{0};
  std::mutex tell_mutex_;             // of what is told about waits, by any thread
  std::unique_ptr<WaitWatch> watch_;  // its thread uses much of the above, so it goes first
};

}  // namespace alder::train
