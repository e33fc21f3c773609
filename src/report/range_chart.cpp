#include "report/range_chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/compare.hpp"
#include "report/curves.hpp"
#include "report/format.hpp"
#include "report/markup.hpp"
#include "report/scale.hpp"

namespace alder::report {
namespace {

constexpr double kWidth = 1150, kLeft = 270, kRight = 24, kTop = 6, kRow = 27, kBottom = 44;
constexpr std::size_t kNameLength = 36;  // signs that fit left of the plot

// Cuts between code points, never inside one.
std::string shortened(const std::string& name) {
  if (name.size() <= kNameLength) return name;
  std::size_t end = kNameLength - 1;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  return name.substr(0, end) + "…";
}

std::vector<double> finite_values(const Figures& f) {
  std::vector<double> values;
  for (const Number& value : {f.averaged_model, f.workers_mean, f.workers_worst, f.workers_best}) {
    if (value && std::isfinite(*value)) values.push_back(*value);
  }
  return values;
}

bool is_finite(const Number& value) {
  return value && std::isfinite(*value);
}

std::string tip(const std::string& name, const Figures& f) {
  const auto text = [](const Number& value) { return known(value, [](double v) { return percent(v); }); };
  return fmt::format("{}: averaged model {}, workers {} to {}, mean {}", name, text(f.averaged_model),
                     text(f.workers_worst), text(f.workers_best), text(f.workers_mean));
}

void draw_row(const std::string& name, const Figures& f, const Scale& scale, double y,
              const std::string& colour, Markup& page) {
  page.open("g", {{"class", colour}}).element("title", {}, tip(name, f));
  page.element("text", {{"class", "label"}, {"x", px(kLeft - 16)}, {"y", px(y + 4)}, {"text-anchor", "end"}},
               shortened(name));
  if (is_finite(f.workers_worst) && is_finite(f.workers_best)) {
    page.leaf("path", {{"class", "span"},
                       {"d", fmt::format("M{} {}H{}", px(scale.at(*f.workers_worst)), px(y),
                                         px(scale.at(*f.workers_best)))}});
  }
  if (is_finite(f.workers_mean)) {
    page.leaf("path", {{"class", "stroke"},
                       {"d", fmt::format("M{} {}v14", px(scale.at(*f.workers_mean)), px(y - 7))}});
  }
  if (is_finite(f.averaged_model)) {
    page.leaf("circle",
              {{"class", "dot"}, {"cx", px(scale.at(*f.averaged_model))}, {"cy", px(y)}, {"r", "5.5"}});
  }
  page.close();
}

void draw_axis(const Scale& scale, double bottom, Markup& page) {
  const auto ticks = tick_labels(scale, Quantity::percent);
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    const double x = scale.at(scale.ticks[i]);
    page.leaf("path", {{"class", "grid"}, {"d", fmt::format("M{} {}V{}", px(x), px(kTop), px(bottom))}});
    page.element("text", {{"class", "tick"}, {"x", px(x)}, {"y", px(bottom + 16)}, {"text-anchor", "middle"}},
                 ticks[i]);
  }
  page.element("text",
               {{"class", "name"},
                {"x", px((kLeft + kWidth - kRight) / 2)},
                {"y", px(bottom + 36)},
                {"text-anchor", "middle"}},
               "test accuracy");
}

}  // namespace

void draw_ranges(const std::vector<Run>& runs, Markup& page) {
  std::vector<Figures> figures;
  std::vector<double> all;
  for (const Run& run : runs) {
    figures.push_back(figures_of(run, 0));
    std::ranges::copy(finite_values(figures.back()), std::back_inserter(all));
  }
  if (all.empty()) return;
  const auto [low, high] = std::ranges::minmax(all);
  const Scale scale = linear_scale(low, high, 8, kLeft, kWidth - kRight);
  const double bottom = kTop + kRow * static_cast<double>(runs.size());
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption")
      .element("b", {}, "Where the runs ended")
      .element("span", {{"class", "unit"}},
               "dot: averaged model, bar: worst to best worker, stroke: mean of the workers")
      .close();
  page.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kWidth, px(bottom + kBottom))},
                    {"role", "img"},
                    {"aria-label", "Final test accuracy of each run"}});
  draw_axis(scale, bottom, page);
  const std::vector<std::string> names = labels(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    draw_row(names[i], figures[i], scale, kTop + kRow * (static_cast<double>(i) + 0.5), run_colour(i), page);
  }
  page.close().close();
}

}  // namespace alder::report
