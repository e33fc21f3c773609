// The communication graph, one drawing a phase of the schedule.
#pragma once

#include "report/run.hpp"

namespace alder::report {

class Markup;

// Nodes keep their places from phase to phase; edges of other phases show faintly. A node's colour is
// its worker's final test accuracy between the worst and the best of the run, its size the degree.
void draw_phases(const Run& run, Markup& page);

}  // namespace alder::report
