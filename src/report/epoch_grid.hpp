// Cells of workers by epochs: the frame that both pictures of the leaders share.
#pragma once

#include <cstdint>
#include <string>

#include "report/run.hpp"

namespace alder::report {

class Markup;

// A row for each worker; a column for each epoch, or for several when the run has many. In pixels.
struct EpochGrid {
  double left = 44, top = 4, width = 504;
  double cell_width = 0, cell_height = 0, gap = 1;  // cells include the gap right of and below them
  int64_t epochs_per_column = 1, columns = 1;
  int rows = 1;

  double bottom() const { return top + rows * cell_height; }
  double column_left(int64_t column) const { return left + static_cast<double>(column) * cell_width; }
  double row_top(int row) const { return top + row * cell_height; }
  int64_t column_of(int64_t epoch) const { return (epoch - 1) / epochs_per_column; }
  std::string epochs_of(int64_t column) const;  // "Epoch 3", "Epochs 5 to 8"
};

// One column for no epochs at all, so that an empty run divides by nothing.
EpochGrid epoch_grid(const Run& run);

// Opens the <svg> with ranks at its left and epochs below; the caller draws and closes.
void open_epoch_grid(const EpochGrid& grid, const std::string& description, Markup& page);

}  // namespace alder::report
