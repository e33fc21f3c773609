#include "report/report.hpp"

#include "base/error.hpp"
#include "base/file.hpp"
#include "report/compare.hpp"
#include "report/overlap_figures.hpp"
#include "report/page.hpp"
#include "report/table.hpp"

namespace alder::report {
namespace {

void check(double target_accuracy) {
  if (target_accuracy >= 0 && target_accuracy <= 1) return;
  const bool percentage = target_accuracy > 1 && target_accuracy <= 100;
  usage_error("target accuracy {} is no fraction; give a value from 0 to 1{}", target_accuracy,
              percentage ? fmt::format(", such as {}", target_accuracy / 100) : "");
}

}  // namespace

std::filesystem::path write_report(const ReportOptions& options) {
  if (options.runs.empty()) usage_error("no run to report on; give at least one run folder");
  check(options.target_accuracy);
  std::vector<Run> runs;
  for (const auto& folder : options.runs) runs.push_back(read_run(folder));
  const auto out = options.out.empty() ? options.runs.front() / "report.html" : options.out;
  write_atomically(out, page(runs, options.target_accuracy));
  return out;
}

std::string comparison_text(const std::vector<Run>& runs, double target_accuracy, TableStyle style) {
  check(target_accuracy);
  const Table table = comparison_table(runs, target_accuracy);
  return style == TableStyle::markdown ? to_markdown(table) : to_text(table);
}

std::string final_table(const Run& run) {
  return to_text(worker_table(run));
}

std::string overlap_text(const Run& run) {
  return run.overlaps.empty()
             ? ""
             : "A step's time (docs/trace.md says what each is):\n" + to_text(overlap_table(run));
}

}  // namespace alder::report
