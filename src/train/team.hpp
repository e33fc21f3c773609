// The processes of a run, as the trainer sees them: one with all workers, or one a worker.
//
// What the whole run needs at the ends of epochs is gathered at the *leader*, the process of worker 0, which
// keeps the records. Calls marked "all" are made by all processes in the same order. A worker that is lost is
// missing from what the leader gathers; a lost leader ends the run everywhere.
//
// Threads: the trainer's.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "trace/file.hpp"
#include "train/metrics.hpp"

namespace alder::train {

// A worker that is not there any more.
struct Departure {
  Rank worker = 0;
  std::string host;
  std::string reason;
};

class Team {
 public:
  virtual ~Team() = default;
  virtual int workers() const = 0;                     // of the run
  virtual const std::vector<Rank>& local() const = 0;  // in this process, sorted
  virtual bool leads() const = 0;

  // All. `mine`: one record for each local worker. At the leader: by worker, nothing for the lost ones;
  // elsewhere empty.
  using Records = std::vector<std::optional<Json>>;
  virtual Records gather(std::vector<Json> mine) = 0;
  // All. The leader's value, everywhere.
  virtual Json broadcast(Json value) = 0;
  // All. `mine`: one array for each local worker, all of one length. The leader visits every worker's, one
  // after the other, in the order of ranks.
  using Visit = std::function<void(Rank worker, std::span<const float> array)>;
  virtual void gather_arrays(std::span<const std::span<const float>> mine, const Visit& visit) = 0;
  // All. The leader's values, into everybody's array.
  virtual void share(std::span<float> array) = 0;

  // Before every step, everywhere: whether to take it. A stop that was asked for anywhere is agreed upon, so
  // that all processes stop before the same step. Takes no lock and makes no call while nobody has asked.
  // Throws Error when the run has failed elsewhere.
  virtual bool may_start(Step step) = 0;
  // After a step: the losses of the local workers. The leader's mean over all workers, smoothed, follows with
  // a delay; it is complete after every gather.
  virtual void report(Step step, std::span<const double> losses) = 0;
  virtual double smoothed_loss() const = 0;
  // Ends the run on all processes with this text.
  [[noreturn]] virtual void fail(const std::string& text) = 0;
  // Leader: who has departed since the last call.
  virtual std::vector<Departure> take_departures() = 0;
  // All. How far the leader's clock is ahead of this process's; nothing: it did not answer in time.
  virtual std::optional<trace::ClockReading> compare_clocks() = 0;
  // The last call: this process is done ("") or cannot go on, and why.
  virtual void leave(const std::string& text) = 0;
};

// All workers in this process. `stop` is asked before every step.
std::unique_ptr<Team> make_solo_team(int workers, const std::atomic<bool>& stop);

}  // namespace alder::train
