// Where all runs ended: the spread of the workers and the averaged model, one row a run.
#pragma once

#include <vector>

#include "report/run.hpp"

namespace alder::report {

class Markup;

// A <figure>: bar from the worst to the best worker, a stroke at their mean, a dot for the averaged
// model. Runs without any accuracy have an empty row; nothing is drawn when no run has one.
void draw_ranges(const std::vector<Run>& runs, Markup& page);

}  // namespace alder::report
