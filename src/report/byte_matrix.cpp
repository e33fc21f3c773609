#include "report/byte_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/format.hpp"
#include "report/heat.hpp"
#include "report/markup.hpp"
#include "report/scale.hpp"

namespace alder::report {
namespace {

constexpr double kSide = 380, kLeft = 44, kTop = 40;
constexpr double kLegibleCell = 30;  // a number of four signs fits

std::vector<std::map<Rank, double>> total_bytes(const Run& run) {
  std::vector<std::map<Rank, double>> sent(static_cast<std::size_t>(run.workers));
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      for (const auto& [to, size] : epoch.bytes_sent) {
        sent[static_cast<std::size_t>(epoch.worker)][to] += static_cast<double>(size);
      }
    }
  }
  return sent;
}

void draw_ranks(int workers, double cell, Markup& page) {
  const int stride = label_stride(cell, 18);
  for (Rank rank = 0; rank < workers; rank += stride) {
    const double middle = (rank + 0.5) * cell;
    page.element(
        "text",
        {{"class", "tick"}, {"x", px(kLeft - 8)}, {"y", px(kTop + middle + 4)}, {"text-anchor", "end"}},
        std::to_string(rank));
    page.element(
        "text",
        {{"class", "tick"}, {"x", px(kLeft + middle)}, {"y", px(kTop - 6)}, {"text-anchor", "middle"}},
        std::to_string(rank));
  }
}

void draw_cell(Rank from, Rank to, double size, double largest, const Unit& unit, double cell, Markup& page) {
  const double x = kLeft + to * cell, y = kTop + from * cell, gap = cell > 9 ? 2 : 0.5;
  const int step = heat_step(size, 0, largest);
  page.open("g", {{"class", "cell"}})
      .element("title", {}, fmt::format("Worker {} to worker {}: {}", from, to, bytes(size)))
      .leaf("rect", {{"class", fmt::format("fill q{}", step)},
                     {"x", px(x)},
                     {"y", px(y)},
                     {"width", px(cell - gap)},
                     {"height", px(cell - gap)}});
  if (cell >= kLegibleCell) {
    page.element("text",
                 {{"class", fmt::format("value on{}", step)},
                  {"x", px(x + (cell - gap) / 2)},
                  {"y", px(y + (cell - gap) / 2 + 4)},
                  {"text-anchor", "middle"}},
                 fmt::format("{:.3g}", size / unit.size));
  }
  page.close();
}

}  // namespace

void draw_byte_matrix(const Run& run, Markup& page) {
  const auto sent = total_bytes(run);
  double largest = 0;
  for (const auto& row : sent) {
    for (const auto& [to, size] : row) largest = std::max(largest, size);
  }
  page.open("figure", {{"class", "chart"}});
  const Unit unit = byte_unit(largest);
  page.open("figcaption")
      .element("b", {}, "Bytes per edge")
      .element("span", {{"class", "unit"}}, fmt::format("{} sent in the whole run", unit.name))
      .close();
  if (largest == 0) {
    page.element("p", {{"class", "nothing"}}, "No bytes were sent to a neighbour.").close();
    return;
  }
  const double cell = std::min(44.0, kSide / run.workers);
  const double side = cell * run.workers;
  page.open("svg", {{"class", "natural"},
                    {"viewBox",
                     fmt::format("0 0 {} {}", px(kLeft + std::max(side, 120.0) + 8), px(kTop + side + 8))},
                    {"style", fmt::format("max-width:{}px", px(kLeft + std::max(side, 120.0) + 8))},
                    {"role", "img"},
                    {"aria-label", "Bytes sent from each worker (row) to each other (column)"}});
  page.element("text", {{"class", "name"}, {"x", px(kLeft)}, {"y", "14"}},
               "to worker (columns), from worker (rows)");
  page.leaf(
      "rect",
      {{"class", "frame"}, {"x", px(kLeft)}, {"y", px(kTop)}, {"width", px(side)}, {"height", px(side)}});
  draw_ranks(run.workers, cell, page);
  for (Rank from = 0; from < run.workers; ++from) {
    page.open("g", {{"data-key", fmt::format("worker-{}", from)}});
    for (const auto& [to, size] : sent[static_cast<std::size_t>(from)]) {
      if (size > 0) draw_cell(from, to, size, largest, unit, cell, page);
    }
    page.close();
  }
  page.close().close();
}

}  // namespace alder::report
