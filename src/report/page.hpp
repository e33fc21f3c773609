// The whole report page. Needs nothing but itself: styles, script and drawings are inside.
#pragma once

#include <string>
#include <vector>

#include "report/run.hpp"

namespace alder::report {

// HTML5 that is also well-formed XML. `runs` holds at least one; target_accuracy as in ReportOptions.
std::string page(const std::vector<Run>& runs, double target_accuracy);

}  // namespace alder::report
