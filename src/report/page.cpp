#include "report/page.hpp"

#include <fmt/format.h>

#include "report/assets.hpp"
#include "report/compare.hpp"
#include "report/configuration.hpp"
#include "report/curves.hpp"
#include "report/format.hpp"
#include "report/markup.hpp"
#include "report/page_run.hpp"
#include "report/range_chart.hpp"

namespace alder::report {
namespace {

constexpr std::size_t kOpenRuns = 2;  // more runs than this start folded below their comparison

std::string title_of(const std::vector<Run>& runs) {
  return runs.size() == 1 ? runs.front().name : fmt::format("{} runs compared", runs.size());
}

void write_head(const std::vector<Run>& runs, Markup& page) {
  page.open("head")
      .leaf("meta", {{"charset", "utf-8"}})
      .leaf("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}})
      .leaf("meta", {{"name", "color-scheme"}, {"content", "light dark"}})
      .element("title", {}, title_of(runs) + " – Alder report");
  page.open("style").raw(kStyle).close().close();
}

void write_header(const std::vector<Run>& runs, Markup& page) {
  page.open("header").element("p", {{"class", "brand"}}, "Alder report").element("h1", {}, title_of(runs));
  if (runs.size() == 1) {
    page.element("p", {{"class", "description"}}, description(runs.front()));
  } else {
    const std::vector<std::string> names = labels(runs);
    page.open("nav", {{"aria-label", "Runs"}});
    for (std::size_t i = 0; i < runs.size(); ++i) {
      page.element("a", {{"href", fmt::format("#run-{}", i)}}, names[i]);
    }
    page.close();
  }
  page.close();
}

// What is noted about any run must be seen beside the comparison already, not only at the run.
void write_unfinished(const std::vector<Run>& runs, Markup& page) {
  const std::vector<std::string> names = labels(runs);
  bool any = false;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const std::string& remark : runs[i].remarks) {
      if (!any) page.open("ul", {{"class", "remarks"}});
      any = true;
      page.open("li").element("b", {}, names[i]).text(": " + remark).close();
    }
  }
  if (any) page.close();
}

void write_run_switches(const std::vector<Run>& runs, Markup& page) {
  const std::vector<std::string> names = labels(runs);
  page.open("div", {{"class", "switches"}, {"role", "group"}, {"aria-label", "Runs shown in the charts"}});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    page.open("button", {{"type", "button"},
                         {"class", "switch wide " + run_colour(i)},
                         {"data-switch", fmt::format("run-{}", i)},
                         {"aria-pressed", "true"}});
    page.open("svg", {{"class", "sample"}, {"viewBox", "0 0 26 8"}, {"aria-hidden", "true"}})
        .open("g", {{"class", "series " + run_colour(i)}})
        .leaf("path", {{"class", "line"}, {"d", "M1 4H25"}})
        .close()
        .close();
    page.text(names[i]).close();
  }
  page.close();
}

void write_comparison(const std::vector<Run>& runs, double target_accuracy, Markup& page) {
  page.open("section").element("h2", {}, "Comparison");
  write_unfinished(runs, page);
  write_html(comparison_table(runs, target_accuracy), page);
  std::string note =
      "Bold: best of its column among finished runs. Worst, best and mean are over the workers' own models.";
  if (target_accuracy > 0) {
    note += fmt::format(
        " The target of {} is met at the first evaluated epoch in which the averaged model reaches it.",
        percent(target_accuracy, 1));
  }
  page.element("p", {{"class", "lead"}}, note);
  draw_ranges(runs, page);
  page.close();
}

void write_comparison_curves(const std::vector<Run>& runs, Markup& page) {
  page.open("section", {{"data-scope", "comparison"}}).element("h2", {}, "Curves of all runs");
  write_run_switches(runs, page);
  page.open("div", {{"class", "charts"}});
  for (const LineChart& chart : comparison_charts(runs)) draw(chart, page);
  page.close().close();
}

void write_runs(const std::vector<Run>& runs, Markup& page) {
  const std::vector<std::string> names = labels(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    page.open("section", {{"class", "run"}, {"id", fmt::format("run-{}", i)}, {"data-scope", "run"}});
    if (runs.size() == 1) {
      write_run(runs[i], page);
    } else {
      page.open("details", {{"class", "fold"}, {"open", runs.size() <= kOpenRuns ? "open" : ""}});
      page.open("summary")
          .element("h2", {}, names[i])
          .element("span", {{"class", "description"}}, description(runs[i]))
          .close();
      write_run(runs[i], page);
      page.close();
    }
    page.close();
  }
}

}  // namespace

std::string page(const std::vector<Run>& runs, double target_accuracy) {
  Markup page;
  page.raw("<!DOCTYPE html>\n").open("html", {{"lang", "en"}});
  write_head(runs, page);
  page.open("body");
  write_header(runs, page);
  page.open("main");
  if (runs.size() > 1) {
    write_comparison(runs, target_accuracy, page);
    write_configuration(runs, page);
    write_comparison_curves(runs, page);
  } else {
    write_configuration(runs, page);
  }
  write_runs(runs, page);
  page.close();
  page.element("div", {{"id", "tip"}, {"role", "status"}, {"hidden", "hidden"}}, "");
  page.open("script").raw(kScript).close().close().close();
  return page.take();
}

}  // namespace alder::report
