#include "trace/overlap.hpp"

#include <algorithm>
#include <cmath>

namespace alder::trace {
namespace {

constexpr double kSeconds = 1e-9;

double seconds(const Intervals& intervals) {
  return static_cast<double>(intervals.length()) * kSeconds;
}

double& of(std::array<double, kCauses>& causes, Cause cause) {
  return causes[static_cast<std::size_t>(cause)];
}

// The moments at which anything changes, within the wait.
std::vector<int64_t> edges_of(const Wait& wait) {
  std::vector<int64_t> edges{wait.span.begin, wait.span.end};
  for (const Wait::Source& source : wait.sources) {
    for (const auto& moment : {source.posted, source.landed, source.arrived}) {
      if (moment && *moment > wait.span.begin && *moment < wait.span.end) edges.push_back(*moment);
    }
  }
  std::ranges::sort(edges);
  return edges;
}

bool missing_at(const Wait::Source& source, int64_t moment) {
  return !source.arrived || *source.arrived > moment;
}

Cause cause_at(const Wait::Source& source, int64_t moment, bool for_release) {
  if (for_release) return Cause::release;
  if (source.landed && *source.landed <= moment) return Cause::flush;
  if (!source.posted) return Cause::unknown;
  return *source.posted <= moment ? Cause::wire : Cause::late;
}

}  // namespace

std::string_view name_of(Cause cause) {
  constexpr std::array<std::string_view, kCauses> kNames{"late",    "wire",   "flush",
                                                         "release", "waking", "unknown"};
  return kNames[static_cast<std::size_t>(cause)];
}

WaitShares share_out(const Wait& wait) {
  WaitShares shares;
  const std::vector<int64_t> edges = edges_of(wait);
  for (std::size_t i = 1; i < edges.size(); ++i) {
    const int64_t from = edges[i - 1];
    const auto length = static_cast<double>(edges[i] - from);
    const auto count = std::ranges::count_if(
        wait.sources, [&](const Wait::Source& source) { return missing_at(source, from); });
    if (count == 0) {
      of(shares.by_cause, Cause::waking) += length;
      continue;
    }
    for (const Wait::Source& source : wait.sources) {
      if (!missing_at(source, from)) continue;
      const double share = length / static_cast<double>(count);
      shares.by_neighbour[source.neighbour] += share;
      of(shares.by_cause, cause_at(source, from, wait.for_release)) += share;
    }
  }
  return shares;
}

StepFigures measure(const StepInput& input) {
  const auto within = [&](const Intervals& any) { return clip(any, input.span); };
  const Intervals data = within(input.data), forward = within(input.forward),
                  backward = within(input.backward), mixing = within(input.mixing);
  const Intervals compute = unite(unite(data, forward), unite(backward, mixing));
  const Intervals network = within(input.network);
  StepFigures figures{.step = input.step,
                      .whole = static_cast<double>(input.span.end - input.span.begin) * kSeconds,
                      .data = seconds(data),
                      .forward = seconds(forward),
                      .backward = seconds(backward),
                      .mixing = seconds(mixing),
                      .compute = seconds(compute),
                      .communication = seconds(network),
                      .overlapped = seconds(intersect(network, compute)),
                      .exposed = seconds(subtract(network, compute))};
  figures.idle = figures.whole - seconds(unite(compute, network));
  std::vector<Interval> waits;
  for (const Wait& wait : input.waits) {
    waits.push_back(wait.span);
    const WaitShares shares = share_out(wait);
    for (const auto& [neighbour, ns] : shares.by_neighbour)
      figures.stall_by_neighbour[neighbour] += ns * kSeconds;
    for (std::size_t c = 0; c < kCauses; ++c) figures.stall_by_cause[c] += shares.by_cause[c] * kSeconds;
  }
  figures.stall = seconds(Intervals(std::move(waits)));
  return figures;
}

double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double at = part * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(at));
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace alder::trace
