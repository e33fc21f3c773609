// A bar for each worker, made of parts: where time went.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace alder::report {

class Markup;

struct StackedBars {
  struct Part {
    std::string name;
    std::string colour;  // a class of the page's style: "k0"
  };
  std::string title, axis, description;
  std::string nothing;  // said when there is nothing to draw
  std::vector<Part> parts;
  std::vector<std::vector<double>> rows;       // by worker, by part
  std::function<std::string(double)> written;  // a value, where the pointer is
};

// A <figure>, its legend with the share of each part.
void draw_stacked_bars(const StackedBars& bars, Markup& page);

}  // namespace alder::report
