#include "report/leaders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "report/curves.hpp"
#include "report/epoch_grid.hpp"
#include "report/format.hpp"
#include "report/heat.hpp"
#include "report/markup.hpp"

namespace alder::report {
namespace {

using Counts = std::map<Rank, int64_t>;
using Member = Counts WorkerEpoch::*;
// [row][column]: what a cell of the picture counts.
using Cells = std::vector<std::vector<Counts>>;

constexpr std::size_t kNamed = 6;  // ranks that a tip or a legend of many workers names

int64_t total(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0},
                         [](int64_t sum, const auto& entry) { return sum + entry.second; });
}

std::vector<std::pair<Rank, int64_t>> by_count(const Counts& counts) {
  std::vector<std::pair<Rank, int64_t>> order(counts.begin(), counts.end());
  std::ranges::stable_sort(order, std::greater<>(), &std::pair<Rank, int64_t>::second);
  return order;
}

std::string share(int64_t part, int64_t whole, int decimals) {
  return percent(static_cast<double>(part) / static_cast<double>(whole), decimals);
}

// "worker 3 70 %, itself 30 %": the largest shares first.
std::string shares(const Counts& counts, Rank self) {
  const auto order = by_count(counts);
  std::string text;
  for (std::size_t i = 0; i < std::min(order.size(), kNamed); ++i) {
    const auto& [rank, times] = order[i];
    const std::string who = rank == self ? "itself" : fmt::format("worker {}", rank);
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", who, share(times, total(counts), 0));
  }
  if (order.size() > kNamed) text += fmt::format(" and {} others", order.size() - kNamed);
  return text;
}

// Row = follower with the ranks it followed, or (transposed) row = leader with its followers.
Cells collect(const Run& run, Member counts, const EpochGrid& grid, bool by_leader) {
  Cells cells(static_cast<std::size_t>(run.workers),
              std::vector<Counts>(static_cast<std::size_t>(grid.columns)));
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      const auto column = static_cast<std::size_t>(grid.column_of(epoch.epoch));
      for (const auto& [leader, times] : epoch.*counts) {
        const Rank row = by_leader ? leader : epoch.worker;
        cells[static_cast<std::size_t>(row)][column][by_leader ? epoch.worker : leader] += times;
      }
    }
  }
  return cells;
}

std::string box(double x, double y, double width, double height) {
  return fmt::format("M{} {}h{}v{}h{}z", px(x), px(y), px(width), px(height), px(-width));
}

void draw_shares(const EpochGrid& grid, Rank follower, int64_t column, const Counts& cell, int workers,
                 Markup& page) {
  page.open("g", {{"class", "cell"}})
      .element(
          "title", {},
          fmt::format("{}: worker {} followed {}", grid.epochs_of(column), follower, shares(cell, follower)));
  double x = grid.column_left(column);
  for (const auto& [rank, times] : cell) {
    const double part =
        (grid.cell_width - grid.gap) * static_cast<double>(times) / static_cast<double>(total(cell));
    page.leaf("path", {{"class", "fill " + worker_colour(workers, rank)},
                       {"d", box(x, grid.row_top(follower), part, grid.cell_height - grid.gap)}});
    x += part;
  }
  page.close();
}

void draw_by_follower(const Run& run, Member counts, const EpochGrid& grid, Markup& page) {
  const Cells cells = collect(run, counts, grid, false);
  for (Rank rank = 0; rank < run.workers; ++rank) {
    for (int64_t column = 0; column < grid.columns; ++column) {
      const Counts& cell = cells[static_cast<std::size_t>(rank)][static_cast<std::size_t>(column)];
      if (total(cell) > 0) draw_shares(grid, rank, column, cell, run.workers, page);
    }
  }
}

// Returns the largest share of any leader in any column, which has the darkest shade.
double draw_by_leader(const Run& run, Member counts, const EpochGrid& grid, Markup& page) {
  const Cells cells = collect(run, counts, grid, true);
  std::vector<int64_t> choices(static_cast<std::size_t>(grid.columns));
  double largest = 0;
  const auto share_of = [&](const Counts& cell, std::size_t column) {
    return static_cast<double>(total(cell)) / static_cast<double>(std::max<int64_t>(choices[column], 1));
  };
  for (const auto& row : cells) {
    for (std::size_t column = 0; column < row.size(); ++column) choices[column] += total(row[column]);
  }
  for (const auto& row : cells) {
    for (std::size_t column = 0; column < row.size(); ++column)
      largest = std::max(largest, share_of(row[column], column));
  }
  for (Rank rank = 0; rank < run.workers; ++rank) {
    for (std::size_t column = 0; column < choices.size(); ++column) {
      const Counts& cell = cells[static_cast<std::size_t>(rank)][column];
      if (total(cell) == 0) continue;
      const double part = share_of(cell, column);
      const auto at = static_cast<int64_t>(column);
      page.open("g", {{"class", "cell"}})
          .element("title", {},
                   fmt::format("{}: worker {} drew {} of all choices, from {}", grid.epochs_of(at), rank,
                               percent(part, 1), shares(cell, rank)))
          .leaf("path", {{"class", fmt::format("fill q{}", heat_step(part, 0, largest))},
                         {"d", box(grid.column_left(at), grid.row_top(rank), grid.cell_width - grid.gap,
                                   grid.cell_height - grid.gap)}})
          .close();
    }
  }
  return largest;
}

// The legend carries the shares of the whole run, so that it answers "who led" without the picture.
void write_legend(const Counts& followed, int workers, double largest, Markup& page) {
  const bool coloured = workers <= kColouredWorkers;
  page.open("p", {{"class", "legend"}});
  if (!coloured) {
    page.open("span", {{"class", "entry"}}).text("share of an epoch's choices ").element("b", {}, "0 %");
    write_ramp(page);
    page.element("b", {}, percent(largest, 1)).close();
    page.element("span", {{"class", "entry"}}, "most followed in the whole run:");
  }
  auto order = by_count(followed);
  if (!coloured && order.size() > kNamed) order.resize(kNamed);
  if (coloured) std::ranges::sort(order);
  for (const auto& [rank, times] : order) {
    page.open("span", {{"class", "entry"}});
    if (coloured) page.element("i", {{"class", "swatch " + worker_colour(workers, rank)}}, "");
    page.text(fmt::format("worker {} ", rank))
        .element("b", {}, share(times, total(followed), coloured ? 0 : 1))
        .close();
  }
  page.close();
}

}  // namespace

void draw_leaders(const Run& run, Member counts, const std::string& title, Markup& page) {
  Counts followed;
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      for (const auto& [rank, times] : epoch.*counts) followed[rank] += times;
    }
  }
  if (total(followed) == 0) return;
  const bool by_follower = run.workers <= kColouredWorkers;
  const EpochGrid grid = epoch_grid(run);
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption")
      .element("b", {}, title)
      .element("span", {{"class", "unit"}},
               by_follower ? "row: the worker that follows" : "row: the worker that is followed")
      .close();
  open_epoch_grid(grid, title + ": which ranks were followed in each epoch", page);
  double largest = 0;
  if (by_follower) {
    draw_by_follower(run, counts, grid, page);
  } else {
    largest = draw_by_leader(run, counts, grid, page);
  }
  page.close();
  write_legend(followed, run.workers, largest, page);
  page.close();
}

}  // namespace alder::report
