// The part of the page that is about one run.
#pragma once

#include <string>

#include "report/run.hpp"

namespace alder::report {

class Markup;

// "AL-DSGD · resnet-20 · cifar10 · 8 workers · g8 · cycle:3"
std::string description(const Run& run);

// Remarks, headline figures, graph, curves, leaders, traffic, time, workers, events.
void write_run(const Run& run, Markup& page);

}  // namespace alder::report
