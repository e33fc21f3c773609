// Where the seconds went: for each worker, its time by phase of the step.
#pragma once

#include "report/run.hpp"

namespace alder::report {

class Markup;

void draw_phase_bars(const Run& run, Markup& page);

}  // namespace alder::report
