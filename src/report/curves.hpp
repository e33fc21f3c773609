// Which curves the page shows: charts made of runs.
#pragma once

#include <string>
#include <vector>

#include "report/line_chart.hpp"
#include "report/run.hpp"

namespace alder::report {

// Up to this many workers each have a colour of their own; more are thin lines of one colour.
inline constexpr int kColouredWorkers = 8;
std::string worker_colour(int workers, Rank rank);  // CSS class
// Colour and, beyond eight runs, dashes.
std::string run_colour(std::size_t index);  // CSS classes

// Of one run, per worker: training loss and accuracy, test accuracy, distance to the mean.
std::vector<LineChart> worker_charts(const Run& run);

// Of several runs: test accuracy of the averaged model by epoch and by bytes, training loss, consensus
// distance.
std::vector<LineChart> comparison_charts(const std::vector<Run>& runs);

}  // namespace alder::report
