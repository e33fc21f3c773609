// One step of all workers along time, out of the trace in the run folder: what each computed, when it waited,
// and what was on the wire.
#pragma once

#include "report/run.hpp"

namespace alder::report {

class Markup;

// A <figure>: the step whose length is nearest to the median. Says why when the folder has no trace (any
// more) or it cannot be read.
void draw_step_timeline(const Run& run, Markup& page);

}  // namespace alder::report
