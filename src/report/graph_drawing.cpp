#include "report/graph_drawing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/compare.hpp"
#include "report/format.hpp"
#include "report/heat.hpp"
#include "report/layout.hpp"
#include "report/markup.hpp"

namespace alder::report {
namespace {

using Edges = std::vector<std::pair<Rank, Rank>>;

constexpr double kSide = 340, kMargin = 26;
constexpr std::size_t kShown = 6;  // drawings at once; the others wait behind a fold

struct Look {
  std::vector<Point> places;         // in pixels
  std::vector<Number> accuracies;    // by rank
  double worst = 0, best = 0;        // ends of the colour scale
  double smallest = 0, largest = 0;  // radius of a node of degree 0 and of the largest degree
  int max_degree = 1;
};

Edges union_of(const std::vector<Phase>& phases) {
  std::set<std::pair<Rank, Rank>> edges;
  for (const Phase& phase : phases) {
    for (const auto& [a, b] : phase.edges) edges.insert(std::minmax(a, b));
  }
  return {edges.begin(), edges.end()};
}

std::vector<int> degrees(int workers, const Edges& edges) {
  std::vector<int> degree(static_cast<std::size_t>(workers));
  for (const auto& [a, b] : edges) {
    ++degree[static_cast<std::size_t>(a)];
    ++degree[static_cast<std::size_t>(b)];
  }
  return degree;
}

Look make_look(const Run& run, const Edges& all) {
  Look look{.places = layout(run.workers, all), .accuracies = final_accuracies(run)};
  for (Point& place : look.places) {
    place = {kMargin + place.x * (kSide - 2 * kMargin), kMargin + place.y * (kSide - 2 * kMargin)};
  }
  bool first = true;
  for (const Number& accuracy : look.accuracies) {
    if (!accuracy || !std::isfinite(*accuracy)) continue;
    look.worst = first ? *accuracy : std::min(look.worst, *accuracy);
    look.best = first ? *accuracy : std::max(look.best, *accuracy);
    first = false;
  }
  look.largest = std::clamp(60 / std::sqrt(run.workers), 3.0, 21.0);
  look.smallest = look.largest * 0.55;
  for (const Phase& phase : run.phases) {
    look.max_degree = std::max(look.max_degree, std::ranges::max(degrees(run.workers, phase.edges)));
  }
  return look;
}

void draw_edges(const Look& look, const Edges& edges, const std::string& kind, Markup& page) {
  for (const auto& [a, b] : edges) {
    const Point& from = look.places[static_cast<std::size_t>(a)];
    const Point& to = look.places[static_cast<std::size_t>(b)];
    page.leaf("path", {{"class", kind},
                       {"data-ends", fmt::format("{} {}", a, b)},
                       {"d", fmt::format("M{} {}L{} {}", px(from.x), px(from.y), px(to.x), px(to.y))}});
  }
}

void draw_node(const Look& look, Rank rank, int degree, Markup& page) {
  const auto i = static_cast<std::size_t>(rank);
  const Point& place = look.places[i];
  const Number& accuracy = look.accuracies[i];
  const bool coloured = accuracy && std::isfinite(*accuracy);
  const int step = coloured ? heat_step(*accuracy, look.worst, look.best) : 0;
  const double radius =
      look.smallest + (look.largest - look.smallest) * std::sqrt(double(degree) / look.max_degree);
  page.open("g", {{"class", "node"}, {"data-key", fmt::format("worker-{}", rank)}});
  page.element(
      "title", {},
      fmt::format("Worker {}: test accuracy {}, {} neighbour{}", rank,
                  known(accuracy, [](double v) { return percent(v); }), degree, degree == 1 ? "" : "s"));
  page.leaf("circle", {{"class", coloured ? fmt::format("fill q{}", step) : "unknown"},
                       {"cx", px(place.x)},
                       {"cy", px(place.y)},
                       {"r", px(radius)}});
  if (look.largest >= 7) {
    page.element("text",
                 {{"class", fmt::format("rank {}", coloured ? fmt::format("on{}", step) : "")},
                  {"x", px(place.x)},
                  {"y", px(place.y)},
                  {"dy", "0.35em"},
                  {"text-anchor", "middle"},
                  {"font-size", px(std::clamp(radius * 0.95, 6.0, 14.0))}},
                 std::to_string(rank));
  }
  page.close();
}

void draw_phase(const Run& run, std::size_t index, const Edges& all, const Look& look, Markup& page) {
  const Phase& phase = run.phases[index];
  const std::string title = run.phases.size() == 1
                                ? phase.name
                                : fmt::format("Phase {} of {}: {}", index + 1, run.phases.size(), phase.name);
  page.open("figure", {{"class", "graph"}});
  page.open("figcaption")
      .element("b", {}, title)
      .element("span", {{"class", "unit"}},
               fmt::format("{} edge{}", phase.edges.size(), phase.edges.size() == 1 ? "" : "s"))
      .close();
  page.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kSide, kSide)},
                    {"role", "img"},
                    {"aria-label", fmt::format("Graph {} with {} workers and {} edges", phase.name,
                                               run.workers, phase.edges.size())}});
  if (run.phases.size() > 1) draw_edges(look, all, "edge ghost", page);
  draw_edges(look, phase.edges, "edge", page);
  const std::vector<int> degree = degrees(run.workers, phase.edges);
  for (Rank rank = 0; rank < run.workers; ++rank)
    draw_node(look, rank, degree[static_cast<std::size_t>(rank)], page);
  page.close().close();
}

void draw_legend(const Look& look, bool several, Markup& page) {
  page.open("p", {{"class", "legend"}});
  if (look.best > 0) {
    page.open("span", {{"class", "entry"}}).text("test accuracy ").element("b", {}, percent(look.worst));
    write_ramp(page);
    page.element("b", {}, percent(look.best)).close();
  }
  page.element("span", {{"class", "entry"}}, "size: number of neighbours");
  if (several) page.element("span", {{"class", "entry"}}, "faint: edges of the other phases");
  page.close();
}

}  // namespace

void draw_phases(const Run& run, Markup& page) {
  if (run.phases.empty()) {
    page.element("p", {{"class", "nothing"}}, "No graph was recorded.");
    return;
  }
  const Edges all = union_of(run.phases);
  const Look look = make_look(run, all);
  page.open("div", {{"class", run.phases.size() == 1 ? "graphs single" : "graphs"}});
  for (std::size_t i = 0; i < std::min(kShown, run.phases.size()); ++i) draw_phase(run, i, all, look, page);
  page.close();
  draw_legend(look, run.phases.size() > 1, page);
  if (run.phases.size() <= kShown) return;
  page.open("details").element("summary", {}, fmt::format("The other {} phases", run.phases.size() - kShown));
  page.open("div", {{"class", "graphs"}});
  for (std::size_t i = kShown; i < run.phases.size(); ++i) draw_phase(run, i, all, look, page);
  page.close().close();
}

}  // namespace alder::report
