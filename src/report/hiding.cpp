#include "report/hiding.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "report/format.hpp"
#include "report/table.hpp"

namespace alder::report {
namespace {

void check_same(const Run& one, const Run& other) {
  const auto refuse = [&](const char* what, const std::string& a, const std::string& b) {
    usage_error("{} and {} are different jobs ({} {} and {}); compare the same one with and without exchange",
                one.folder.string(), other.folder.string(), what, a, b);
  };
  if (one.model != other.model) refuse("model", one.model, other.model);
  if (one.workers != other.workers)
    refuse("workers", std::to_string(one.workers), std::to_string(other.workers));
  if (one.batch != other.batch) refuse("batch", known(one.batch, plain), known(other.batch, plain));
}

StepMeans means_of(const Run& run) {
  StepMeans means;
  int workers = 0;
  for (const Overlap& one : run.overlaps) {
    if (one.steps == 0) continue;
    ++workers;
    const Spread& step = one.seconds.at("step");
    means.step_p50 += step.p50;
    means.step_p99 += step.p99;
    means.step += step.mean;
    means.compute += one.mean("compute");
    means.communication += one.mean("communication");
    means.exposed += one.mean("exposed");
    means.stall += one.mean("stall");
  }
  if (workers == 0) {
    usage_error("{} has no traced steps; train it with --trace", run.folder.string());
  }
  for (double* value : {&means.step_p50, &means.step_p99, &means.step, &means.compute, &means.communication,
                        &means.exposed, &means.stall}) {
    *value /= workers;
  }
  return means;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

StepMeans medians_of(const std::vector<Run>& runs) {
  std::vector<StepMeans> all;
  for (const Run& run : runs) all.push_back(means_of(run));
  const auto of = [&](double StepMeans::*value) {
    std::vector<double> values;
    for (const StepMeans& one : all) values.push_back(one.*value);
    return median(std::move(values));
  };
  return {.step_p50 = of(&StepMeans::step_p50),
          .step_p99 = of(&StepMeans::step_p99),
          .step = of(&StepMeans::step),
          .compute = of(&StepMeans::compute),
          .communication = of(&StepMeans::communication),
          .exposed = of(&StepMeans::exposed),
          .stall = of(&StepMeans::stall)};
}

}  // namespace

Hiding hiding_of(const std::vector<Run>& with, const std::vector<Run>& without) {
  if (with.empty() || without.empty()) usage_error("give at least one run with the exchange and one without");
  for (const auto* runs : {&with, &without}) {
    for (const Run& run : *runs) check_same(with.front(), run);
  }
  Hiding hiding{.with = medians_of(with), .without = medians_of(without)};
  hiding.compute_slowdown = hiding.with.compute / hiding.without.compute;
  double communication = 0, overlapped = 0;
  for (const Run& run : with) {
    for (const Overlap& one : run.overlaps) {
      communication += one.mean("communication") * static_cast<double>(one.steps);
      overlapped += one.mean("overlapped") * static_cast<double>(one.steps);
    }
  }
  if (communication > 0) {
    hiding.overlap_fraction = overlapped / communication;
    hiding.efficiency = 1 - (hiding.with.step_p50 - hiding.without.step_p50) / hiding.with.communication;
  }
  return hiding;
}

std::string to_text(const Hiding& hiding) {
  Table table{.columns = {{"", false}, {"with exchange"}, {"without"}, {"ratio"}}, .rows = {}};
  const auto add = [&](const char* name, double with, double without, bool compared) {
    table.rows.push_back({{name},
                          {plain(1000 * with)},
                          {plain(1000 * without)},
                          {compared && without > 0 ? fmt::format("{:.3f}", with / without) : ""}});
  };
  add("step p50, ms", hiding.with.step_p50, hiding.without.step_p50, true);
  add("step p99, ms", hiding.with.step_p99, hiding.without.step_p99, true);
  add("compute, ms (mean)", hiding.with.compute, hiding.without.compute, true);
  // Of these there is next to nothing without an exchange, and a ratio to nothing says nothing.
  add("on the wire, ms (mean)", hiding.with.communication, hiding.without.communication, false);
  add("exposed, ms (mean)", hiding.with.exposed, hiding.without.exposed, false);
  add("stall, ms (mean)", hiding.with.stall, hiding.without.stall, false);
  std::string text = to_text(table);
  text += fmt::format("compute slowdown   {:.3f}\n", hiding.compute_slowdown);
  text += fmt::format("overlap fraction   {}\n",
                      known(hiding.overlap_fraction, [](double value) { return percent(value, 1); }));
  text += fmt::format("hiding efficiency  {}\n",
                      hiding.efficiency ? percent(*hiding.efficiency, 1) : "none: nothing was on a wire");
  return text;
}

}  // namespace alder::report
