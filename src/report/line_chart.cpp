#include "report/line_chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/markup.hpp"

namespace alder::report {
namespace {

constexpr double kWidth = 560, kHeight = 300;
constexpr double kLeft = 56, kRight = 16, kTop = 14, kBottom = 44;
constexpr double kLabelRoom = 112;    // right of the plot, for the names of strong curves
constexpr double kLabelStep = 15;     // least distance of two names, in pixels
constexpr std::size_t kMaxDots = 14;  // more points than this are a line without dots
constexpr double kLogFrom = 30;       // ratio of largest to smallest value from which a log axis reads better

struct Extent {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

struct Plot {
  Scale x, y;
};

std::pair<Extent, Extent> extents(const LineChart& chart) {
  Extent x, y;
  for (const Series& series : chart.series) {
    for (const auto& [at, value] : series.points) {
      if (!std::isfinite(at) || !std::isfinite(value)) continue;
      x.add(at);
      y.add(value);
    }
  }
  return {x, y};
}

Plot make_plot(const LineChart& chart, const Extent& x, const Extent& y, double right) {
  const double bottom = kHeight - kBottom;
  const bool logarithmic = chart.may_be_logarithmic && y.low > 0 && y.high / y.low > kLogFrom;
  Plot plot{.x = chart.whole_x ? count_scale(x.low, x.high, 10, kLeft, right)
                               : linear_scale(std::min(0.0, x.low), x.high, 6, kLeft, right),
            .y = logarithmic ? log_scale(y.low, y.high, bottom, kTop)
                             : linear_scale(y.low, y.high, 5, bottom, kTop)};
  return plot;
}

void draw_axes(const LineChart& chart, const Plot& plot, double right, Markup& page) {
  const double bottom = kHeight - kBottom;
  const auto y_labels = tick_labels(plot.y, chart.quantity);
  for (std::size_t i = 0; i < plot.y.ticks.size(); ++i) {
    const double y = plot.y.at(plot.y.ticks[i]);
    page.leaf("path", {{"class", "grid"}, {"d", fmt::format("M{} {}H{}", px(kLeft), px(y), px(right))}});
    page.element("text", {{"class", "tick"}, {"x", px(kLeft - 8)}, {"y", px(y + 4)}, {"text-anchor", "end"}},
                 y_labels[i]);
  }
  const auto x_labels = tick_labels(plot.x, Quantity::plain);
  for (std::size_t i = 0; i < plot.x.ticks.size(); ++i) {
    const double x = plot.x.at(plot.x.ticks[i]);
    page.leaf("path", {{"class", "axis"}, {"d", fmt::format("M{} {}v5", px(x), px(bottom))}});
    page.element("text", {{"class", "tick"}, {"x", px(x)}, {"y", px(bottom + 18)}, {"text-anchor", "middle"}},
                 x_labels[i]);
  }
  page.leaf("path", {{"class", "axis"}, {"d", fmt::format("M{} {}H{}", px(kLeft), px(bottom), px(right))}});
  page.element(
      "text",
      {{"class", "name"}, {"x", px((kLeft + right) / 2)}, {"y", px(kHeight - 6)}, {"text-anchor", "middle"}},
      chart.x_label);
}

// The path of a curve; values that are not finite break it.
std::string path_of(const Series& series, const Plot& plot) {
  std::string path;
  bool pen_down = false;
  for (const auto& [x, y] : series.points) {
    if (!std::isfinite(x) || !std::isfinite(y)) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{} {}", pen_down ? "L" : "M", px(plot.x.at(x)), px(plot.y.at(y)));
    pen_down = true;
  }
  return path;
}

std::string joined(const Series& series, bool x) {
  std::string list;
  for (const auto& point : series.points) {
    const double value = x ? point.first : point.second;
    if (!list.empty()) list += ' ';
    list += std::isfinite(value) ? fmt::format("{:.6g}", value) : "nan";
  }
  return list;
}

void draw_series(const Series& series, const Plot& plot, Markup& page) {
  page.open("g", {{"class", fmt::format("series {}{}", series.colour, series.strong ? " strong" : "")},
                  {"data-key", series.key},
                  {"data-name", series.name},
                  {"data-x", joined(series, true)},
                  {"data-y", joined(series, false)}});
  page.leaf("path", {{"class", "line"}, {"d", path_of(series, plot)}});
  // Few points are measurements to be seen one by one; a lone point would otherwise be invisible.
  const std::string radius = series.points.size() == 1 ? "4" : series.strong ? "2.8" : "2";
  if (series.points.size() <= kMaxDots) {
    for (const auto& [x, y] : series.points) {
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      page.leaf("circle",
                {{"class", "dot"}, {"cx", px(plot.x.at(x))}, {"cy", px(plot.y.at(y))}, {"r", radius}});
    }
  }
  page.close();
}

// Names of the strong curves at their right ends, pushed apart where they would overlap.
void draw_end_labels(const LineChart& chart, const Plot& plot, double right, Markup& page) {
  struct Label {
    const Series* series;
    double y;
  };
  std::vector<Label> names;
  for (const Series& series : chart.series) {
    const auto last = std::find_if(series.points.rbegin(), series.points.rend(),
                                   [](const auto& point) { return std::isfinite(point.second); });
    if (series.strong && last != series.points.rend()) names.push_back({&series, plot.y.at(last->second)});
  }
  std::ranges::sort(names, {}, &Label::y);
  for (std::size_t i = 1; i < names.size(); ++i)
    names[i].y = std::max(names[i].y, names[i - 1].y + kLabelStep);
  // What was pushed below the axis moves everything back up.
  double limit = kHeight - kBottom;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    name->y = std::min(name->y, limit);
    limit = name->y - kLabelStep;
  }
  for (const Label& name : names) {
    page.element("text",
                 {{"class", fmt::format("end {}", name.series->colour)},
                  {"data-key", name.series->key},
                  {"x", px(right + 8)},
                  {"y", px(name.y + 4)}},
                 name.series->name);
  }
}

}  // namespace

void draw(const LineChart& chart, Markup& page) {
  const auto [x, y] = extents(chart);
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption")
      .element("b", {}, chart.title)
      .element("span", {{"class", "unit"}}, chart.y_label)
      .close();
  if (x.empty()) {
    page.element("p", {{"class", "nothing"}}, "Nothing was recorded.").close();
    return;
  }
  const bool labelled = std::ranges::any_of(chart.series, &Series::strong);
  const double right = kWidth - (labelled ? kLabelRoom : kRight);
  const Plot plot = make_plot(chart, x, y, right);
  page.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kWidth, kHeight)},
                    {"role", "img"},
                    {"aria-label", fmt::format("{}: {} over {}", chart.title, chart.y_label, chart.x_label)},
                    {"data-quantity", chart.quantity == Quantity::percent ? "percent" : "plain"},
                    {"data-x-label", chart.x_label},
                    {"data-x-axis", fmt::format("{} {} {} {}", plot.x.low, plot.x.high, kLeft, right)},
                    {"data-y-axis", fmt::format("{} {} {} {} {}", plot.y.low, plot.y.high, kHeight - kBottom,
                                                kTop, plot.y.logarithmic ? "log" : "linear")}});
  draw_axes(chart, plot, right, page);
  for (const bool strong : {false, true}) {  // strong curves lie on top
    for (const Series& series : chart.series) {
      if (series.strong == strong && !series.points.empty()) draw_series(series, plot, page);
    }
  }
  draw_end_labels(chart, plot, right, page);
  page.close().close();
}

}  // namespace alder::report
