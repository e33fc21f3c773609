// One run folder as a value: what docs/metrics.md describes, read and checked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/types.hpp"

namespace alder::report {

// A number of the record: absent = not known (the key was left out), NaN = not finite (null).
using Number = std::optional<double>;

// One line of the effective configuration; `value` is the text a person would type.
struct Option {
  std::string name, value, source;
};

// One graph of the schedule's period.
struct Phase {
  std::string name;
  std::vector<std::pair<Rank, Rank>> edges;
};

// What one worker did in one epoch. Counts are of this epoch alone; bytes and seconds too.
struct WorkerEpoch {
  int64_t epoch = 0;  // from 1
  Step step = 0;      // steps done since the beginning of the run
  Rank worker = 0;
  Number train_loss, train_accuracy, learning_rate, distance_to_mean, test_accuracy, test_loss;
  std::map<Rank, int64_t> leader_best, leader_degree;  // how often each rank was followed
  std::map<Rank, int64_t> bytes_sent;                  // payload to each neighbour
  std::map<std::string, double> seconds;               // by phase of the step
};

// What was seen of all workers together after one epoch. Accuracy and loss are the averaged model's;
// seconds and bytes count from the beginning of the run.
struct MeanEpoch {
  int64_t epoch = 0;
  Step step = 0;
  Number consensus_distance, variance_inflation, test_accuracy, test_loss;
  Number images_per_second, seconds, bytes_exchanged;
};

// A duration over the traced steps, seconds.
struct Spread {
  double mean = 0, p50 = 0, p99 = 0;
};

// What the trace says of one worker (docs/trace.md has the definitions).
struct Overlap {
  struct Edge {
    double bytes = 0, seconds = 0;  // sent, and how long at least one transfer was under way
  };
  Rank worker = 0;
  int64_t steps = 0;                      // traced and whole; 0: the rest is empty
  std::map<std::string, Spread> seconds;  // "step", "forward", "stall", ...
  Number overlap_fraction, wire_efficiency, line_bytes_per_second;
  std::map<Rank, double> stall_by_neighbour;     // seconds in all
  std::map<std::string, double> stall_by_cause;  // the same by cause
  std::map<Rank, Edge> edges;                    // by neighbour it sends to

  double mean(const std::string& name) const {
    const auto at = seconds.find(name);
    return at == seconds.end() ? 0 : at->second.mean;
  }
};

struct Event {
  Step step = 0;
  std::string text;
};

// summary.json; absent while a run goes on or when it died.
struct Summary {
  Number test_accuracy_mean, test_accuracy_worst, test_accuracy_best, test_accuracy_averaged_model;
  std::vector<Number> test_accuracy_workers;  // by rank
  Number consensus_distance, variance_inflation, steps, seconds, images_per_second, bytes_exchanged;
  std::string command;
  bool completed = false;
};

struct Run {
  std::filesystem::path folder;
  std::string name, model, data, graph, schedule, algorithm, order, weights;
  int workers = 0;
  Number batch, epochs, steps_per_epoch, learning_rate, seed, parameters;
  std::vector<Phase> phases;
  std::vector<Option> options;                    // config.json, in the order of its keys
  std::vector<std::vector<WorkerEpoch>> history;  // [worker][in order of epoch]
  std::vector<MeanEpoch> means;                   // in order of epoch
  std::vector<Overlap> overlaps;                  // by rank; empty: the run was not traced
  std::vector<Event> events;
  std::optional<Summary> summary;
  std::vector<std::string> remarks;  // what a reader of the report must know: unfinished, cut short

  bool finished() const { return summary && summary->completed; }
};

// Reads FOLDER/metrics.jsonl, config.json and summary.json.
//  - A last line without its newline that does not parse was cut while it was written: it is passed
//    over and becomes a remark. Missing config.json or summary.json become remarks too.
//  - A later `run` line (a resume) takes back every epoch after its first_step, and of two records
//    of the same epoch and worker the later counts.
// Throws Error naming file, line and value for everything else that is not as documented.
Run read_run(const std::filesystem::path& folder);

// The names under which several runs are shown: their own, with the folder added where two coincide.
std::vector<std::string> labels(const std::vector<Run>& runs);

}  // namespace alder::report
