#include "report/heat.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/markup.hpp"

namespace alder::report {

int heat_step(double value, double low, double high) {
  if (!(high > low)) return 4;
  return std::clamp(static_cast<int>(std::lround(8 * (value - low) / (high - low))), 0, 8);
}

void write_ramp(Markup& page) {
  page.open("span", {{"class", "ramp"}});
  for (int step = 0; step <= 8; ++step) page.element("i", {{"class", fmt::format("q{}", step)}}, "");
  page.close();
}

}  // namespace alder::report
