#include "report/rank_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/heat.hpp"
#include "report/markup.hpp"
#include "report/scale.hpp"

namespace alder::report {
namespace {

constexpr double kSide = 380, kLeft = 44, kTop = 40;
constexpr double kLegibleCell = 30;  // a number of four signs fits

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

void draw_cell(const RankMatrix& matrix, Rank row, Rank column, double value, double full, double cell,
               Markup& page) {
  const double x = kLeft + column * cell, y = kTop + row * cell, gap = cell > 9 ? 2 : 0.5;
  const int step = heat_step(value, 0, full);
  page.open("g", {{"class", "cell"}})
      .element("title", {}, matrix.title_of(row, column, value))
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
                 matrix.short_text(value));
  }
  page.close();
}

}  // namespace

void draw_rank_matrix(const RankMatrix& matrix, Markup& page) {
  const auto workers = static_cast<int>(matrix.rows.size());
  double largest = 0;
  for (const auto& row : matrix.rows) {
    for (const auto& [column, value] : row) largest = std::max(largest, value);
  }
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption")
      .element("b", {}, matrix.title)
      .element("span", {{"class", "unit"}}, matrix.unit)
      .close();
  if (largest == 0) {
    page.element("p", {{"class", "nothing"}}, matrix.nothing).close();
    return;
  }
  const double full = matrix.full > 0 ? matrix.full : largest;
  const double cell = std::min(44.0, kSide / workers);
  const double side = cell * workers;
  page.open("svg", {{"class", "natural"},
                    {"viewBox",
                     fmt::format("0 0 {} {}", px(kLeft + std::max(side, 120.0) + 8), px(kTop + side + 8))},
                    {"style", fmt::format("max-width:{}px", px(kLeft + std::max(side, 120.0) + 8))},
                    {"role", "img"},
                    {"aria-label", matrix.description}});
  page.element("text", {{"class", "name"}, {"x", px(kLeft)}, {"y", "14"}}, matrix.sides);
  page.leaf(
      "rect",
      {{"class", "frame"}, {"x", px(kLeft)}, {"y", px(kTop)}, {"width", px(side)}, {"height", px(side)}});
  draw_ranks(workers, cell, page);
  for (Rank row = 0; row < workers; ++row) {
    page.open("g", {{"data-key", fmt::format("worker-{}", row)}});
    for (const auto& [column, value] : matrix.rows[static_cast<std::size_t>(row)]) {
      if (value > 0) draw_cell(matrix, row, column, value, full, cell, page);
    }
    page.close();
  }
  page.close().close();
}

}  // namespace alder::report
