#include "plan/failures.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "base/philox.hpp"

namespace alder::plan {
namespace {

// Cuts a number and the character after it off the front of `text`; `end` 0: the text ends there.
template <typename Number>
std::optional<Number> take(std::string_view& text, char end) {
  Number value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  if (end == 0) return text.empty() ? std::optional(value) : std::nullopt;
  if (!text.starts_with(end)) return std::nullopt;
  text.remove_prefix(1);
  return value;
}

Step after(Step from, Step steps) {
  return steps > kForEver - from ? kForEver : from + steps;
}

}  // namespace

LinkFailure parse_link_failure(std::string_view text) {
  std::string_view rest = text;
  const auto a = take<Rank>(rest, '-');
  const auto b = a ? take<Rank>(rest, ':') : std::nullopt;
  std::optional<Step> from, steps = kForEver;
  if (b && rest.find(':') != std::string_view::npos) {
    from = take<Step>(rest, ':');
    steps = from ? take<Step>(rest, 0) : std::nullopt;
  } else if (b) {
    from = take<Step>(rest, 0);
  }
  if (!from || !steps || *from < 0 || *steps < 1 || *a == *b) {
    usage_error("--link-failure '{}': write A-B:FROM[:STEPS], such as 3-4:100:20 for 20 steps from step 100",
                text);
  }
  return {.edge = {std::min(*a, *b), std::max(*a, *b)}, .from = *from, .steps = *steps};
}

void parse_failure_rate(std::string_view text, FailureOptions& options) {
  std::string_view rest = text;
  const bool lasts = rest.find(':') != std::string_view::npos;
  const auto probability = take<double>(rest, lasts ? ':' : '\0');
  const auto steps = lasts && probability ? take<Step>(rest, 0) : std::optional(kForEver);
  if (!probability || !steps || !(*probability >= 0 && *probability <= 1) || *steps < 1) {
    usage_error(
        "--link-failures '{}': write PROBABILITY[:STEPS], such as 1e-4:50; the probability is an "
        "edge's to fail in a step",
        text);
  }
  options.probability = *probability;
  options.steps = *steps;
}

Outages::Outages(const FailureOptions& options, const gossip::Graph& graph, Step steps, uint64_t seed) {
  if (!(options.detection_ms >= 0) || !std::isfinite(options.detection_ms)) {
    usage_error("--detection {}: must be at least 0 ms", options.detection_ms);
  }
  for (const LinkFailure& one : options.named) {
    if (!std::ranges::binary_search(graph.edges, one.edge)) {
      usage_error("--link-failure {}-{}: '{}' has no such edge", one.edge.a, one.edge.b, graph.name);
    }
    down_[one.edge].push_back({one.from, after(one.from, one.steps)});
  }
  if (options.probability > 0) {
    const double up = std::log1p(-std::min(options.probability, 1 - 1e-16));
    for (std::size_t index = 0; index < graph.edges.size(); ++index) {
      Random random(seed, Draw::link_failure, index);
      Step step = 0;
      while (true) {
        // Steps until the next failure, by inversion of the geometric distribution.
        const double u = (static_cast<double>(random.bits()) + 0.5) * 0x1p-32;
        const double wait = std::floor(std::log(u) / up);
        if (wait >= static_cast<double>(steps - step)) break;
        step += static_cast<Step>(wait);
        down_[graph.edges[index]].push_back({step, after(step, options.steps)});
        step = down_[graph.edges[index]].back().end;
        if (step >= steps) break;
      }
    }
  }
  for (auto& [edge, intervals] : down_) {
    std::ranges::sort(intervals, {}, &Interval::begin);
    std::vector<Interval> joined;
    for (const Interval& one : intervals) {
      if (!joined.empty() && one.begin <= joined.back().end) {
        joined.back().end = std::max(joined.back().end, one.end);
      } else {
        joined.push_back(one);
      }
    }
    intervals = std::move(joined);
  }
}

int Outages::outage(Rank a, Rank b, Step step) const {
  const auto found = down_.find({std::min(a, b), std::max(a, b)});
  if (found == down_.end()) return -1;
  const auto& intervals = found->second;
  const auto next = std::ranges::upper_bound(intervals, step, {}, &Interval::begin);
  if (next == intervals.begin()) return -1;
  const auto current = next - 1;
  return step < current->end ? static_cast<int>(current - intervals.begin()) : -1;
}

}  // namespace alder::plan
