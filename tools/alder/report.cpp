// alder report
#include "report/report.hpp"

#include <fmt/format.h>

#include <memory>

#include "commands.hpp"
#include "config_file.hpp"

namespace alder::tools {

void add_report(CLI::App& app) {
  CLI::App* command = app.add_subcommand("report", "One self-contained HTML page about one or several runs");
  const auto options = std::make_shared<report::ReportOptions>();
  const auto text = std::make_shared<bool>(false);
  const auto markdown = std::make_shared<bool>(false);
  add_config_option(*command);
  command->add_option("runs", options->runs, "Run folders")->required();
  command->add_option("--out", options->out, "The page; empty: report.html in the folder of the first run");
  command->add_option("--target-accuracy", options->target_accuracy,
                      "Fraction for 'steps and bytes to this accuracy'; 0: no such columns");
  command->add_flag("--text", *text, "Also print the comparison as a table");
  command->add_flag("--markdown", *markdown, "Print that table as Markdown");
  command->callback([options, text, markdown] {
    if (*text || *markdown) {
      std::vector<report::Run> runs;
      for (const auto& folder : options->runs) runs.push_back(report::read_run(folder));
      fmt::print(
          "{}", report::comparison_text(runs, options->target_accuracy,
                                        *markdown ? report::TableStyle::markdown : report::TableStyle::text));
    }
    const auto page = report::write_report(*options);
    if (!*markdown) fmt::print("report: {}\n", page.string());
  });
}

}  // namespace alder::tools
