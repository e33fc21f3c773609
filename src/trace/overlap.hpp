// What one worker's step spent its time on, and how much of the exchange it hid. Pure: from intervals to
// figures.
//
// With C the moments at which the worker computes, N those at which a transfer of its own is on the wire,
// both within the step [s, e], and |.| their length:
//
//     communication   |N|              exposed   |N \ C|         idle   (e - s) - |C u N|
//     overlapped      |N n C|          overlap fraction   |N n C| / |N|
//     stall           the time in waits for neighbours, by neighbour and by cause
//
// The overlap fraction is that of Holistic Trace Analysis (communication covered by computation over all
// communication). Exposed and stall are different things: a wire may be busy while nobody waits for it, and a
// neighbour that is late stalls a worker whose wire is silent. docs/trace.md has the definitions with
// examples.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/types.hpp"
#include "trace/intervals.hpp"

namespace alder::trace {

// Why a moment of a wait passed.
enum class Cause : uint8_t {
  late,     // the neighbour had not handed over what was waited for
  wire,     // it was under way
  flush,    // it had arrived and was being made visible
  release,  // the neighbour had not read, or not taken, what this worker published before
  waking,   // all was there: the waiting thread had yet to go on
  unknown,  // it was missing, and the neighbour's own times are not known
};
inline constexpr std::size_t kCauses = 6;
std::string_view name_of(Cause cause);

// One wait, and when what was waited for came.
struct Wait {
  Interval span;
  bool for_release = false;
  struct Source {
    Rank neighbour = 0;
    std::optional<int64_t> posted, landed, arrived;  // nothing: not known, or not before the end of the wait
  };
  std::vector<Source> sources;
};

// How a wait's time is shared out, in nanoseconds: each moment in equal parts among the neighbours that were
// still missing at it, so that the shares and the time of waking add up to the wait.
struct WaitShares {
  std::map<Rank, double> by_neighbour;
  std::array<double, kCauses> by_cause{};
};
WaitShares share_out(const Wait& wait);

struct StepInput {
  Step step = 0;
  Interval span;
  Intervals data, forward, backward, mixing;  // what the worker computes
  Intervals network;                          // any transfer to it or from it under way
  std::vector<Wait> waits;
};

// Seconds.
struct StepFigures {
  Step step = 0;
  double whole = 0;
  double data = 0, forward = 0, backward = 0, mixing = 0;
  double compute = 0;  // the union of these four
  double communication = 0, overlapped = 0, exposed = 0;
  double stall = 0, idle = 0;
  std::map<Rank, double> stall_by_neighbour;
  std::array<double, kCauses> stall_by_cause{};
};
StepFigures measure(const StepInput& input);

// The value below which `part` of them lie, between the two nearest; of none, 0.
double percentile(std::vector<double> values, double part);

}  // namespace alder::trace
