// From a trace to the figures of every worker.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trace/merge.hpp"
#include "trace/overlap.hpp"

namespace alder::trace {

// What a worker sent to one neighbour, of the transfers whose end is known. `seconds`: at least one under
// way.
struct EdgeFigures {
  uint64_t bytes = 0, transfers = 0;
  double seconds = 0;
};

struct WorkerFigures {
  Rank worker = 0;
  std::vector<StepFigures> steps;     // in order
  std::map<Rank, EdgeFigures> edges;  // by neighbour it sends to
  double line_bytes_per_second = 0;   // 0: not known
  // Bytes sent over what the line could carry while anything was under way.
  std::optional<double> wire_efficiency;
};

struct Figures {
  std::vector<WorkerFigures> workers;  // that have a file, by rank
  std::vector<std::string> remarks;    // the trace's, and what was left out
};

// Whole steps only. A window that begins within the run loses its first step, whose transfers began before
// it.
Figures analyse(const Trace& trace);

// The steps of one worker as intervals and waits, for pictures: what `analyse` measures.
std::vector<StepInput> steps_of(const Trace& trace, Rank worker);

// A transfer of one bucket. Times are of the leader's clock; nothing: not recorded.
struct Transfer {
  Rank from = 0, to = 0;
  uint64_t generation = 0;
  uint32_t bucket = 0;
  std::optional<int64_t> posted, sent, arrived;
};
// All of them, by receiver, then by arrival. Where the clocks of the two ends cannot be compared, `posted`
// and `sent` are the sender's and `arrived` the receiver's all the same: comparable() says so.
std::vector<Transfer> transfers_of(const Trace& trace);
bool comparable(const Trace& trace, Rank a, Rank b);

}  // namespace alder::trace
