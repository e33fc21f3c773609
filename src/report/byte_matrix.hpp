// Traffic as a matrix: from each worker (row) to each other (column).
#pragma once

#include "report/run.hpp"

namespace alder::report {

class Markup;

// A <figure> with the payload bytes of the whole run; says so when nothing was sent.
void draw_byte_matrix(const Run& run, Markup& page);

}  // namespace alder::report
