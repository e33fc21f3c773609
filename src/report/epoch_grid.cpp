#include "report/epoch_grid.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/markup.hpp"
#include "report/scale.hpp"

namespace alder::report {
namespace {

constexpr double kWidth = 560, kBelow = 44;
constexpr int64_t kMaxColumns = 60;  // narrower cells cannot show their shares

int64_t last_epoch(const Run& run) {
  int64_t last = 1;
  for (const auto& worker : run.history) {
    if (!worker.empty()) last = std::max(last, worker.back().epoch);
  }
  return last;
}

void draw_epochs(const EpochGrid& grid, Markup& page) {
  const auto epochs = static_cast<double>(grid.columns * grid.epochs_per_column);
  const Scale scale = count_scale(1, epochs, 10, 0, 1);
  // A cell stands for whole epochs, so a label belongs under the middle of its epoch.
  const double width = grid.cell_width / static_cast<double>(grid.epochs_per_column);
  for (const double tick : scale.ticks) {
    if (tick < 1 || tick > epochs) continue;
    page.element("text",
                 {{"class", "tick"},
                  {"x", px(grid.left + (tick - 0.5) * width)},
                  {"y", px(grid.bottom() + 14)},
                  {"text-anchor", "middle"}},
                 fmt::format("{:.0f}", tick));
  }
  page.element("text",
               {{"class", "name"},
                {"x", px(grid.left + grid.width / 2)},
                {"y", px(grid.bottom() + 34)},
                {"text-anchor", "middle"}},
               "epoch");
}

}  // namespace

std::string EpochGrid::epochs_of(int64_t column) const {
  const int64_t first = column * epochs_per_column + 1;
  if (epochs_per_column == 1) return fmt::format("Epoch {}", first);
  return fmt::format("Epochs {} to {}", first, first + epochs_per_column - 1);
}

EpochGrid epoch_grid(const Run& run) {
  const int64_t epochs = last_epoch(run);
  EpochGrid grid;
  grid.rows = run.workers;
  grid.epochs_per_column = (epochs + kMaxColumns - 1) / kMaxColumns;
  grid.columns = (epochs + grid.epochs_per_column - 1) / grid.epochs_per_column;
  grid.cell_width = grid.width / static_cast<double>(grid.columns);
  grid.cell_height = std::clamp(380.0 / run.workers, 5.0, 26.0);
  grid.gap = grid.cell_height > 9 && grid.cell_width > 9 ? 2 : 0.5;
  return grid;
}

void open_epoch_grid(const EpochGrid& grid, const std::string& description, Markup& page) {
  page.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kWidth, px(grid.bottom() + kBelow))},
                    {"role", "img"},
                    {"aria-label", description}});
  const int stride = label_stride(grid.cell_height, 12);
  for (int row = 0; row < grid.rows; row += stride) {
    page.element("text",
                 {{"class", "tick"},
                  {"x", px(grid.left - 8)},
                  {"y", px(grid.row_top(row) + grid.cell_height / 2 + 3)},
                  {"text-anchor", "end"}},
                 std::to_string(row));
  }
  draw_epochs(grid, page);
}

}  // namespace alder::report
