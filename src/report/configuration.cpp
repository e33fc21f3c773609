#include "report/configuration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "report/format.hpp"
#include "report/markup.hpp"

namespace alder::report {
namespace {

// Every run has its own folder and name, and how progress was printed decides nothing.
bool only_names_the_run(std::string_view option) {
  constexpr std::array<std::string_view, 5> kNames{"out", "name", "config", "resume", "progress"};
  return std::ranges::find(kNames, option) != kNames.end();
}

std::string value_of(const Run& run, const std::string& option) {
  const auto at = std::ranges::find(run.options, option, &Option::name);
  if (at == run.options.end()) return kUnknown;
  return at->value.empty() ? "none" : at->value;
}

std::vector<std::string> all_options(const std::vector<Run>& runs) {
  std::vector<std::string> names;
  for (const Run& run : runs) {
    for (const Option& option : run.options) {
      if (std::ranges::find(names, option.name) == names.end()) names.push_back(option.name);
    }
  }
  return names;
}

bool differs(const std::vector<Run>& runs, const std::string& option) {
  return std::ranges::any_of(
      runs, [&](const Run& run) { return value_of(run, option) != value_of(runs.front(), option); });
}

void write_pairs(const std::vector<Option>& options, Markup& page) {
  page.open("dl", {{"class", "options"}});
  for (const Option& option : options) {
    page.open("div", {{"title", option.source.empty() ? "" : "source: " + option.source}})
        .element("dt", {}, option.name)
        .element("dd", {}, option.value.empty() ? "none" : option.value)
        .close();
  }
  page.close();
}

void write_folded(const std::string& summary, const std::vector<Option>& options, Markup& page) {
  if (options.empty()) return;
  page.open("details").element("summary", {}, summary);
  write_pairs(options, page);
  page.close();
}

void write_single(const Run& run, Markup& page) {
  std::vector<Option> set, defaults;
  for (const Option& option : run.options) (option.source == "default" ? defaults : set).push_back(option);
  if (!set.empty()) write_pairs(set, page);
  write_folded(fmt::format("{} options at their defaults", defaults.size()), defaults, page);
}

}  // namespace

Table differences(const std::vector<Run>& runs) {
  Table table;
  std::vector<std::string> options = all_options(runs);
  std::erase_if(options, [&](const std::string& option) {
    return only_names_the_run(option) || !differs(runs, option);
  });
  if (options.empty()) return table;
  table.columns.push_back({"run", false});
  for (const std::string& option : options) table.columns.push_back({option, false});
  const std::vector<std::string> names = labels(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::vector<Cell> row{{names[i]}};
    for (const std::string& option : options) row.push_back({value_of(runs[i], option)});
    table.rows.push_back(std::move(row));
  }
  return table;
}

void write_configuration(const std::vector<Run>& runs, Markup& page) {
  if (std::ranges::all_of(runs, [](const Run& run) { return run.options.empty(); })) return;
  page.open("section", {{"class", "configuration"}});
  if (runs.size() == 1) {
    page.element("h3", {}, "Configuration");
    write_single(runs.front(), page);
  } else {
    page.element("h2", {}, "What differs");
    const Table table = differences(runs);
    if (table.columns.empty()) {
      page.element("p", {{"class", "nothing"}}, "Nothing: all options have the same values.");
    } else {
      write_html(table, page);
    }
    std::vector<Option> common;
    for (const Option& option : runs.front().options) {
      if (!only_names_the_run(option.name) && !differs(runs, option.name)) common.push_back(option);
    }
    write_folded(fmt::format("{} options that all runs share", common.size()), common, page);
  }
  page.close();
}

}  // namespace alder::report
