// `alder report`: one self-contained HTML page about one or several runs, and the same comparison as text.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report/run.hpp"

namespace alder::report {

struct ReportOptions {
  std::vector<std::filesystem::path> runs;  // run folders, at least one
  std::filesystem::path out;                // the page; empty: report.html in the folder of the first run
  double target_accuracy = 0;               // fraction for "steps and bytes to ..."; 0: no such columns
};

// Reads the runs, writes the page atomically and returns its path. Throws Error naming the file and
// line of a damaged run or the page that cannot be written, UsageError for options that cannot be meant.
std::filesystem::path write_report(const ReportOptions& options);

enum class TableStyle { text, markdown };

// The comparison table of the page: one row a run, the best value of each column marked.
std::string comparison_text(const std::vector<Run>& runs, double target_accuracy = 0,
                            TableStyle style = TableStyle::text);

// Per worker, for all workers and for the averaged model: test accuracy, distance to the mean of
// all models, bytes exchanged. An aligned text table.
std::string final_table(const Run& run);

// Where a step's time went, by worker, with what must be known of it. Empty for a run that was not traced.
std::string overlap_text(const Run& run);

}  // namespace alder::report
