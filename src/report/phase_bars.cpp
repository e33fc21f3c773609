#include "report/phase_bars.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "report/format.hpp"
#include "report/markup.hpp"
#include "report/scale.hpp"

namespace alder::report {
namespace {

constexpr double kWidth = 560, kLeft = 44, kRight = 16, kTop = 4, kBottom = 44;

using Seconds = std::map<std::string, double>;

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

std::vector<Seconds> totals(const Run& run, Seconds& everyone) {
  std::vector<Seconds> by_worker(static_cast<std::size_t>(run.workers));
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      for (const auto& [phase, time] : epoch.seconds) {
        by_worker[static_cast<std::size_t>(epoch.worker)][phase] += time;
        everyone[phase] += time;
      }
    }
  }
  return by_worker;
}

double sum(const Seconds& seconds) {
  double total = 0;
  for (const auto& [phase, time] : seconds) total += time;
  return total;
}

void draw_bar(Rank rank, const Seconds& seconds, const Seconds& everyone, const Scale& scale, double top,
              double height, Markup& page) {
  page.open("g", {{"data-key", fmt::format("worker-{}", rank)}});
  double done = 0;
  std::size_t position = 0;
  for (const auto& [phase, unused] : everyone) {
    const auto at = seconds.find(phase);
    const double time = at == seconds.end() ? 0 : at->second;
    page.open("g", {{"class", "cell"}})
        .element("title", {}, fmt::format("Worker {}: {} {}", rank, readable(phase), duration(time)))
        .leaf("rect", {{"class", "fill " + colour_of(phase, position++)},
                       {"x", px(scale.at(done))},
                       {"y", px(top)},
                       {"width", px(scale.at(done + time) - scale.at(done))},
                       {"height", px(height)}})
        .close();
    done += time;
  }
  page.close();
}

void draw_axis(const Scale& scale, double bottom, Markup& page) {
  const auto labels = tick_labels(scale, Quantity::plain);
  for (std::size_t i = 0; i < scale.ticks.size(); ++i) {
    const double x = scale.at(scale.ticks[i]);
    page.leaf("path", {{"class", "grid"}, {"d", fmt::format("M{} {}V{}", px(x), px(kTop), px(bottom))}});
    page.element("text", {{"class", "tick"}, {"x", px(x)}, {"y", px(bottom + 16)}, {"text-anchor", "middle"}},
                 labels[i]);
  }
  page.element("text",
               {{"class", "name"},
                {"x", px((kLeft + kWidth - kRight) / 2)},
                {"y", px(bottom + 36)},
                {"text-anchor", "middle"}},
               "seconds in the whole run");
}

void draw_legend(const Seconds& everyone, Markup& page) {
  page.open("p", {{"class", "legend"}});
  std::size_t position = 0;
  for (const auto& [phase, time] : everyone) {
    page.open("span", {{"class", "entry"}})
        .element("i", {{"class", "swatch " + colour_of(phase, position++)}}, "")
        .text(readable(phase) + " ")
        .element("b", {}, percent(time / sum(everyone), 1))
        .close();
  }
  page.close();
}

}  // namespace

void draw_phase_bars(const Run& run, Markup& page) {
  Seconds everyone;
  const std::vector<Seconds> by_worker = totals(run, everyone);
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption")
      .element("b", {}, "Time by phase of the step")
      .element("span", {{"class", "unit"}}, "row: worker")
      .close();
  double longest = 0;
  for (const Seconds& seconds : by_worker) longest = std::max(longest, sum(seconds));
  if (!(longest > 0)) {
    page.element("p", {{"class", "nothing"}}, "No times were recorded.").close();
    return;
  }
  const double row = std::clamp(360.0 / run.workers, 5.0, 34.0), bottom = kTop + row * run.workers;
  const Scale scale = linear_scale(0, longest, 6, kLeft, kWidth - kRight);
  page.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kWidth, px(bottom + kBottom))},
                    {"role", "img"},
                    {"aria-label", "Seconds of each worker by phase of the step"}});
  draw_axis(scale, bottom, page);
  const int stride = label_stride(row, 12);
  for (Rank rank = 0; rank < run.workers; ++rank) {
    const double top = kTop + rank * row;
    if (rank % stride == 0) {
      page.element(
          "text",
          {{"class", "tick"}, {"x", px(kLeft - 8)}, {"y", px(top + row / 2 + 3)}, {"text-anchor", "end"}},
          std::to_string(rank));
    }
    draw_bar(rank, by_worker[static_cast<std::size_t>(rank)], everyone, scale, top, row * 0.8, page);
  }
  page.close();
  draw_legend(everyone, page);
  page.close();
}

}  // namespace alder::report
