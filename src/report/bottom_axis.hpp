// The axis below a drawing: grid lines through it, their values, a name.
#pragma once

#include <string>

#include "report/markup.hpp"
#include "report/scale.hpp"

namespace alder::report {

struct BottomAxis {
  std::string name;
  double top = 0, bottom = 0;  // of the grid lines
  double middle = 0;           // of the name, across
  double name_below = 36;      // of the name, from `bottom` to its line
};
void draw_bottom_axis(const BottomAxis& axis, const Scale& scale, Markup& page);

}  // namespace alder::report
