// Configurations side by side: what differs first, what is common behind a fold.
#pragma once

#include <string>
#include <vector>

#include "report/run.hpp"
#include "report/table.hpp"

namespace alder::report {

class Markup;

// One row a run, one column for each option whose value is not the same in all runs ("–" where a run
// lacks it). Options that only name the run or its folder are left out. Empty columns: nothing differs.
Table differences(const std::vector<Run>& runs);

// One run: the options that were set, then the defaults. Several: the differences, then the rest.
void write_configuration(const std::vector<Run>& runs, Markup& page);

}  // namespace alder::report
