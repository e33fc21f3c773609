#include "report/phase_bars.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "report/format.hpp"
#include "report/stacked_bars.hpp"

namespace alder::report {
namespace {

// Colours follow the phase, not its position, so that runs with different phases stay comparable.
std::string colour_of(std::string_view phase, std::size_t position) {
  constexpr std::array<std::string_view, 4> kUsual{"compute", "exchange_wait", "combine", "data"};
  const auto at = std::ranges::find(kUsual, phase);
  if (at != kUsual.end()) return fmt::format("k{}", at - kUsual.begin());
  return fmt::format("k{}", 4 + position % 4);
}

std::string readable(std::string phase) {
  std::ranges::replace(phase, '_', ' ');
  return phase;
}

}  // namespace

void draw_phase_bars(const Run& run, Markup& page) {
  std::vector<std::map<std::string, double>> by_worker(static_cast<std::size_t>(run.workers));
  std::map<std::string, double> everyone;
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      for (const auto& [phase, time] : epoch.seconds) {
        by_worker[static_cast<std::size_t>(epoch.worker)][phase] += time;
        everyone[phase] += time;
      }
    }
  }
  StackedBars bars{.title = "Time by phase of the step",
                   .axis = "seconds in the whole run",
                   .description = "Seconds of each worker by phase of the step",
                   .nothing = "No times were recorded.",
                   .parts = {},
                   .rows = {},
                   .written = duration};
  for (const auto& [phase, time] : everyone) {
    bars.parts.push_back({readable(phase), colour_of(phase, bars.parts.size())});
  }
  for (auto& worker : by_worker) {
    std::vector<double>& row = bars.rows.emplace_back();
    for (const auto& [phase, time] : everyone) row.push_back(worker[phase]);
  }
  draw_stacked_bars(bars, page);
}

}  // namespace alder::report
