#include "report/stacked_bars.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "report/bottom_axis.hpp"
#include "report/format.hpp"
#include "report/markup.hpp"
#include "report/scale.hpp"

namespace alder::report {
namespace {

constexpr double kWidth = 560, kLeft = 44, kRight = 16, kTop = 4, kBottom = 44;

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

void draw_bar(const StackedBars& bars, std::size_t worker, const Scale& scale, double top, double height,
              Markup& page) {
  page.open("g", {{"data-key", fmt::format("worker-{}", worker)}});
  double done = 0;
  for (std::size_t part = 0; part < bars.parts.size(); ++part) {
    const double value = bars.rows[worker][part];
    page.open("g", {{"class", "cell"}})
        .element("title", {},
                 fmt::format("Worker {}: {} {}", worker, bars.parts[part].name, bars.written(value)))
        .leaf("rect", {{"class", "fill " + bars.parts[part].colour},
                       {"x", px(scale.at(done))},
                       {"y", px(top)},
                       {"width", px(scale.at(done + value) - scale.at(done))},
                       {"height", px(height)}})
        .close();
    done += value;
  }
  page.close();
}

void draw_legend(const StackedBars& bars, Markup& page) {
  double all = 0;
  for (const auto& row : bars.rows) all += sum(row);
  page.open("p", {{"class", "legend"}});
  for (std::size_t part = 0; part < bars.parts.size(); ++part) {
    double share = 0;
    for (const auto& row : bars.rows) share += row[part];
    page.open("span", {{"class", "entry"}})
        .element("i", {{"class", "swatch " + bars.parts[part].colour}}, "")
        .text(bars.parts[part].name + " ")
        .element("b", {}, percent(share / all, 1))
        .close();
  }
  page.close();
}

}  // namespace

void draw_stacked_bars(const StackedBars& bars, Markup& page) {
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption")
      .element("b", {}, bars.title)
      .element("span", {{"class", "unit"}}, "row: worker")
      .close();
  double longest = 0;
  for (const auto& row : bars.rows) longest = std::max(longest, sum(row));
  if (!(longest > 0)) {
    page.element("p", {{"class", "nothing"}}, bars.nothing).close();
    return;
  }
  const auto workers = static_cast<double>(bars.rows.size());
  const double row = std::clamp(360.0 / workers, 5.0, 34.0), bottom = kTop + row * workers;
  const Scale scale = linear_scale(0, longest, 6, kLeft, kWidth - kRight);
  page.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kWidth, px(bottom + kBottom))},
                    {"role", "img"},
                    {"aria-label", bars.description}});
  draw_bottom_axis(
      {.name = bars.axis, .top = kTop, .bottom = bottom, .middle = (kLeft + kWidth - kRight) / 2}, scale,
      page);
  const auto stride = static_cast<std::size_t>(label_stride(row, 12));
  for (std::size_t worker = 0; worker < bars.rows.size(); ++worker) {
    const double top = kTop + static_cast<double>(worker) * row;
    if (worker % stride == 0) {
      page.element(
          "text",
          {{"class", "tick"}, {"x", px(kLeft - 8)}, {"y", px(top + row / 2 + 3)}, {"text-anchor", "end"}},
          std::to_string(worker));
    }
    draw_bar(bars, worker, scale, top, row * 0.8, page);
  }
  page.close();
  draw_legend(bars, page);
  page.close();
}

}  // namespace alder::report
