// A number for each pair of workers, as shades: rows are the one, columns the other.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/types.hpp"

namespace alder::report {

class Markup;

struct RankMatrix {
  std::string title, unit;  // of the caption: "Bytes per edge", "GB sent in the whole run"
  std::string sides;        // what rows and columns are
  std::string description;  // for those who cannot see it
  std::string nothing;      // said when there is nothing to draw
  std::vector<std::map<Rank, double>> rows;
  double full = 0;  // the darkest shade; 0: the largest value
  std::function<std::string(Rank row, Rank column, double)> title_of;  // of a cell
  std::function<std::string(double)> short_text;  // in a cell that has room for four signs
};

// A <figure>.
void draw_rank_matrix(const RankMatrix& matrix, Markup& page);

}  // namespace alder::report
