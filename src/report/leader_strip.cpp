#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "report/format.hpp"
#include "report/heat.hpp"
#include "report/markup.hpp"
#include "report/scale.hpp"

namespace alder::report {
namespace {

using Counts = std::map<Rank, int64_t>;

constexpr double kWidth = 560, kLeft = 44, kRight = 12, kTop = 4, kBottom = 44;
constexpr int64_t kMaxColumns = 60;      // narrower cells cannot show their shares
constexpr std::size_t kMaxCells = 2000;  // keeps the page of a long run with many workers small
constexpr std::size_t kColours = 8;

int64_t total(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0},
                         [](int64_t sum, const auto& entry) { return sum + entry.second; });
}

int64_t last_epoch(const Run& run) {
  int64_t last = 0;
  for (const auto& worker : run.history) {
    if (!worker.empty()) last = std::max(last, worker.back().epoch);
  }
  return last;
}

// "epoch 3, worker 2 followed: 0 (75 %), 5 (25 %)", most followed first, at most six named.
std::string tip(Rank follower, int64_t first, int64_t last, const Counts& counts) {
  std::vector<std::pair<Rank, int64_t>> order(counts.begin(), counts.end());
  std::ranges::stable_sort(order, std::greater<>(), &std::pair<Rank, int64_t>::second);
  const std::string when =
      first == last ? fmt::format("Epoch {}", first) : fmt::format("Epochs {} to {}", first, last);
  std::string text = fmt::format("{}: worker {} followed", when, follower);
  const auto all = static_cast<double>(total(counts));
  for (std::size_t i = 0; i < std::min<std::size_t>(order.size(), 6); ++i) {
    const auto& [rank, times] = order[i];
    const std::string who = rank == follower ? "itself" : fmt::format("worker {}", rank);
    text += fmt::format("{} {} {}", i == 0 ? "" : ",", who, percent(static_cast<double>(times) / all, 0));
  }
  if (order.size() > 6) text += fmt::format(" and {} others", order.size() - 6);
  return text;
}

struct Grid {
  double cell_width, cell_height, gap;
  int64_t epochs_per_column, columns;
};

Grid make_grid(const Run& run) {
  const int64_t epochs = last_epoch(run);
  const auto by_cells = static_cast<int64_t>(kMaxCells / static_cast<std::size_t>(run.workers));
  const int64_t most = std::clamp<int64_t>(by_cells, 10, kMaxColumns);
  const int64_t per_column = (epochs + most - 1) / most;
  const int64_t columns = (epochs + per_column - 1) / per_column;
  const double height = std::clamp(380.0 / run.workers, 5.0, 26.0);
  return {(kWidth - kLeft - kRight) / static_cast<double>(columns), height, height > 9 ? 2.0 : 1.0,
          per_column, columns};
}

void draw_cell(const Grid& grid, double left, double top, const Counts& counts, const std::string& title,
               const RankColours& colours, Markup& page) {
  const auto all = static_cast<double>(total(counts));
  const double width = grid.cell_width - grid.gap;
  page.open("g", {{"class", "cell"}}).element("title", {}, title);
  double x = left;
  for (const auto& [rank, times] : counts) {
    const double part = width * static_cast<double>(times) / all;
    page.leaf("path", {{"class", "fill " + colours.of_rank[static_cast<std::size_t>(rank)]},
                       {"d", fmt::format("M{} {}h{}v{}h{}z", px(x), px(top), px(part),
                                         px(grid.cell_height - grid.gap), px(-part))}});
    x += part;
  }
  page.close();
}

// Every row, or every few where rows are lower than their numbers.
int label_stride(double row_height) {
  for (const int stride : {1, 2, 4, 8, 16, 32}) {
    if (row_height * stride >= 12) return stride;
  }
  return 64;
}

void draw_rows(const Run& run, Counts WorkerEpoch::*counts, const Grid& grid, const RankColours& colours,
               Markup& page) {
  const int stride = label_stride(grid.cell_height);
  for (Rank rank = 0; rank < run.workers; ++rank) {
    const double top = kTop + rank * grid.cell_height;
    if (rank % stride == 0) {
      page.element("text",
                   {{"class", "tick"},
                    {"x", px(kLeft - 8)},
                    {"y", px(top + grid.cell_height / 2 + 3)},
                    {"text-anchor", "end"}},
                   std::to_string(rank));
    }
    std::vector<Counts> columns(static_cast<std::size_t>(grid.columns));
    for (const WorkerEpoch& epoch : run.history[static_cast<std::size_t>(rank)]) {
      Counts& column = columns[static_cast<std::size_t>((epoch.epoch - 1) / grid.epochs_per_column)];
      for (const auto& [leader, times] : epoch.*counts) column[leader] += times;
    }
    page.open("g", {{"data-key", fmt::format("worker-{}", rank)}});
    for (int64_t c = 0; c < grid.columns; ++c) {
      const Counts& cell = columns[static_cast<std::size_t>(c)];
      if (total(cell) == 0) continue;
      const int64_t first = c * grid.epochs_per_column + 1;
      draw_cell(grid, kLeft + static_cast<double>(c) * grid.cell_width, top, cell,
                tip(rank, first, first + grid.epochs_per_column - 1, cell), colours, page);
    }
    page.close();
  }
}

void draw_epoch_axis(const Grid& grid, double bottom, Markup& page) {
  const auto epochs = static_cast<double>(grid.columns * grid.epochs_per_column);
  // Cells stand for whole epochs, so a label belongs under the middle of its epoch.
  const Scale scale = count_scale(1, epochs, 8, kLeft, kWidth - kRight);
  const double width = grid.cell_width / static_cast<double>(grid.epochs_per_column);
  for (const double tick : scale.ticks) {
    if (tick < 1 || tick > epochs) continue;
    page.element("text",
                 {{"class", "tick"},
                  {"x", px(kLeft + (tick - 0.5) * width)},
                  {"y", px(bottom + 14)},
                  {"text-anchor", "middle"}},
                 fmt::format("{:.0f}", tick));
  }
  page.element("text",
               {{"class", "name"},
                {"x", px((kLeft + kWidth - kRight) / 2)},
                {"y", px(bottom + 34)},
                {"text-anchor", "middle"}},
               "epoch");
}

// The legend carries the shares, so that it answers "who led" without the picture.
void draw_legend(const Counts& followed, const RankColours& colours, Markup& page) {
  const auto all = static_cast<double>(total(followed));
  page.open("p", {{"class", "legend"}});
  int64_t named = 0;
  for (const Rank rank : colours.named) {
    const auto at = followed.find(rank);
    if (at == followed.end()) continue;
    named += at->second;
    page.open("span", {{"class", "entry"}})
        .element("i", {{"class", "swatch " + colours.of_rank[static_cast<std::size_t>(rank)]}}, "")
        .text(fmt::format("worker {} ", rank))
        .element("b", {}, percent(static_cast<double>(at->second) / all, 0))
        .close();
  }
  const auto others = static_cast<double>(total(followed) - named);
  if (others > 0) {
    page.open("span", {{"class", "entry"}})
        .element("i", {{"class", "swatch other"}}, "")
        .text("others ")
        .element("b", {}, percent(others / all, 0))
        .close();
  }
  page.close();
}

}  // namespace

RankColours colours_by_count(int workers, const Counts& followed) {
  const auto n = static_cast<std::size_t>(workers);
  RankColours colours{.of_rank = std::vector<std::string>(n, "other"), .named = {}};
  std::vector<Rank> order(n);
  std::iota(order.begin(), order.end(), 0);
  if (n > kColours) {
    const auto times = [&](Rank rank) { return followed.contains(rank) ? followed.at(rank) : int64_t{0}; };
    std::ranges::stable_sort(order, std::greater<>(), times);
    order.resize(kColours - 1);
    std::ranges::sort(order);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    colours.of_rank[static_cast<std::size_t>(order[i])] = fmt::format("k{}", i);
  }
  colours.named = std::move(order);
  return colours;
}

void draw_leader_strip(const Run& run, Counts WorkerEpoch::*counts, const std::string& title,
                       const RankColours& colours, Markup& page) {
  Counts followed;
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      for (const auto& [rank, times] : epoch.*counts) followed[rank] += times;
    }
  }
  if (total(followed) == 0) return;
  const Grid grid = make_grid(run);
  const double bottom = kTop + run.workers * grid.cell_height;
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption")
      .element("b", {}, title)
      .element("span", {{"class", "unit"}}, "row: the worker that follows")
      .close();
  page.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kWidth, px(bottom + kBottom))},
                    {"role", "img"},
                    {"aria-label", title + ": the ranks that each worker followed, by epoch"}});
  draw_rows(run, counts, grid, colours, page);
  draw_epoch_axis(grid, bottom, page);
  page.close();
  draw_legend(followed, colours, page);
  page.close();
}

}  // namespace alder::report
