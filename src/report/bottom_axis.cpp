#include "report/bottom_axis.hpp"

#include <fmt/format.h>

#include "report/format.hpp"

namespace alder::report {

void draw_bottom_axis(const BottomAxis& axis, const Scale& scale, Markup& page) {
  const auto labels = tick_labels(scale, Quantity::plain);
  for (std::size_t i = 0; i < scale.ticks.size(); ++i) {
    const double x = scale.at(scale.ticks[i]);
    page.leaf("path",
              {{"class", "grid"}, {"d", fmt::format("M{} {}V{}", px(x), px(axis.top), px(axis.bottom))}});
    page.element("text",
                 {{"class", "tick"}, {"x", px(x)}, {"y", px(axis.bottom + 16)}, {"text-anchor", "middle"}},
                 labels[i]);
  }
  page.element("text",
               {{"class", "name"},
                {"x", px(axis.middle)},
                {"y", px(axis.bottom + axis.name_below)},
                {"text-anchor", "middle"}},
               axis.name);
}

}  // namespace alder::report
