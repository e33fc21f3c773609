// What the trace of a run says, as pictures and as a table: where a step's time went, who waited for whom,
// how fast the edges were.
#pragma once

#include <string>

#include "report/run.hpp"
#include "report/table.hpp"

namespace alder::report {

class Markup;

// A section of the page; nothing for a run that was not traced.
void write_overlap(const Run& run, Markup& page);

// One row a worker and one for all: a step's median and 99th percentile, and its parts on average.
Table overlap_table(const Run& run);

}  // namespace alder::report
