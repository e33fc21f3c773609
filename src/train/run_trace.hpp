// The trace of a run: its session in this process, and at the end the figures of all of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exchange/exchange.hpp"
#include "trace/analysis.hpp"
#include "trace/session.hpp"
#include "train/options.hpp"
#include "train/setup.hpp"
#include "train/team.hpp"

namespace alder::train {

class RunTrace {
 public:
  struct Facts {
    std::string host, exchange;
    WireFacts wire;
    Buckets buckets;
    int exchanges_per_step = 1;
    Step first_step = 0;
  };
  // All processes together. The files of earlier runs in the folder go, unless this run continues them.
  // Throws Error when the file cannot be made.
  RunTrace(const TrainOptions& options, Team& team, const Facts& facts);

  // Before every step.
  void begin_step(Step step);
  // All. The figures of all workers that wrote, at the leader; elsewhere nothing. What is wrong with the
  // trace is among the remarks, and ends no run.
  std::optional<trace::Figures> finish();

 private:
  void compare_clocks();

  const TrainOptions& options_;
  Team& team_;
  std::filesystem::path part_;
  std::unique_ptr<trace::Session> session_;
  bool recording_ = false;
};

// Payload bytes a second of these ports together, as the system tells their rates; 0 when one is not known.
double line_rate(const std::vector<std::string>& ports);

// What metrics.jsonl says of one worker, and what summary.json says of all: docs/metrics.md.
Json overlap_line(const trace::WorkerFigures& worker);
Json overlap_summary(const trace::Figures& figures);

}  // namespace alder::train
