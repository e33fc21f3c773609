// Curves over epochs or bytes, as SVG that reads without a script; data-* attributes carry the exact
// values for the page's script (and its tests).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/scale.hpp"

namespace alder::report {

class Markup;

struct Series {
  std::string name;
  std::string key;     // what the legend switches: "worker-3", "run-0"; empty: always shown
  std::string colour;  // CSS classes that set colour and dashes
  std::vector<std::pair<double, double>> points;  // ascending x; a y that is not finite is a gap
  bool strong = false;                            // drawn thick, on top and labelled at its end
};

struct LineChart {
  std::string title, x_label, y_label;
  Quantity quantity = Quantity::plain;  // of y
  bool whole_x = true;                  // x counts epochs
  bool may_be_logarithmic = false;      // y over more than a decade and a half: use a log axis
  std::vector<Series> series;
};

// A <figure>. A chart without a single finite point says so instead of drawing axes.
void draw(const LineChart& chart, Markup& page);

}  // namespace alder::report
