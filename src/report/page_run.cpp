#include "report/page_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/byte_matrix.hpp"
#include "report/compare.hpp"
#include "report/curves.hpp"
#include "report/format.hpp"
#include "report/graph_drawing.hpp"
#include "report/leaders.hpp"
#include "report/markup.hpp"
#include "report/overlap_figures.hpp"
#include "report/phase_bars.hpp"
#include "report/table.hpp"

namespace alder::report {
namespace {

std::string percent_text(double fraction) {
  return percent(fraction);
}

void write_remarks(const Run& run, Markup& page) {
  if (run.remarks.empty()) return;
  page.open("ul", {{"class", "remarks"}});
  for (const std::string& remark : run.remarks) page.element("li", {}, remark);
  page.close();
}

void write_tile(const std::string& title, const std::string& value, const std::string& note, Markup& page) {
  page.open("div", {{"class", "tile"}})
      .element("span", {{"class", "title"}}, title)
      .element("span", {{"class", "value"}}, value)
      .element("span", {{"class", "note"}}, note)
      .close();
}

void write_tiles(const Run& run, Markup& page) {
  const Figures figures = figures_of(run, 0);
  page.open("div", {{"class", "tiles"}});
  write_tile("Averaged model", known(figures.averaged_model, percent_text), "test accuracy", page);
  write_tile("Workers' mean", known(figures.workers_mean, percent_text),
             fmt::format("{} to {}", known(figures.workers_worst, percent_text),
                         known(figures.workers_best, percent_text)),
             page);
  write_tile("Consensus distance", known(figures.consensus_distance, plain), "RMS over workers", page);
  write_tile("Exchanged", known(figures.bytes_exchanged, bytes), "payload of all workers", page);
  write_tile("Time", known(figures.seconds, duration),
             figures.images_per_second ? plain(*figures.images_per_second) + " images/s" : "", page);
  page.close();
}

// The switches of the workers' curves; they also light up one worker wherever it is drawn.
void write_worker_switches(const Run& run, Markup& page) {
  page.open("div", {{"class", "switches"}, {"role", "group"}, {"aria-label", "Workers shown in the charts"}});
  page.element("span", {{"class", "hint"}}, "Workers");
  for (Rank rank = 0; rank < run.workers; ++rank) {
    page.open("button", {{"type", "button"},
                         {"class", "switch " + worker_colour(run.workers, rank)},
                         {"data-switch", fmt::format("worker-{}", rank)},
                         {"aria-pressed", "true"}})
        .text(std::to_string(rank))
        .close();
  }
  page.element("button", {{"type", "button"}, {"class", "switch all"}, {"data-switch", "*"}}, "none");
  page.element("span", {{"class", "hint"}}, "point at one to see it everywhere, click to hide it");
  page.close();
}

void write_curves(const Run& run, Markup& page) {
  page.element("h3", {}, "Curves");
  write_worker_switches(run, page);
  page.open("div", {{"class", "charts"}});
  for (const LineChart& chart : worker_charts(run)) draw(chart, page);
  page.close();
}

void write_leaders(const Run& run, Markup& page) {
  const bool any = std::ranges::any_of(run.history, [](const auto& worker) {
    return std::ranges::any_of(worker, [](const WorkerEpoch& epoch) {
      return !epoch.leader_best.empty() || !epoch.leader_degree.empty();
    });
  });
  if (!any) return;
  page.element("h3", {}, "Who led when");
  page.element(
      "p", {{"class", "lead"}},
      run.workers <= kColouredWorkers
          ? "Each cell is one worker in one epoch, divided by how often it followed whom."
          : "The darker a cell, the more of all workers' choices fell on this worker in this epoch.");
  page.open("div", {{"class", "charts"}});
  draw_leaders(run, &WorkerEpoch::leader_best, "Best-performing leader", page);
  draw_leaders(run, &WorkerEpoch::leader_degree, "Maximum-degree leader", page);
  page.close();
}

void write_cost(const Run& run, Markup& page) {
  page.element("h3", {}, "Traffic and time").open("div", {{"class", "charts"}});
  draw_byte_matrix(run, page);
  draw_phase_bars(run, page);
  page.close();
}

void write_workers(const Run& run, Markup& page) {
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption")
      .element("b", {}, "Workers")
      .element("span", {{"class", "unit"}}, "at the end of the run")
      .close();
  write_html(worker_table(run), page);
  page.close();
}

// One drawing leaves room for the table beside it; several fill the row.
void write_graphs(const Run& run, Markup& page) {
  const bool single = run.phases.size() <= 1;
  page.element("h3", {}, single ? "Graph and workers" : "Graphs of the schedule");
  if (single) page.open("div", {{"class", "charts"}}).open("div");
  draw_phases(run, page);
  if (!single) return;
  page.close();
  write_workers(run, page);
  page.close();
}

void write_events(const Run& run, Markup& page) {
  if (run.events.empty()) return;
  page.element("h3", {}, "Events").open("ol", {{"class", "events"}});
  for (const Event& event : run.events) {
    page.open("li")
        .element("span", {{"class", "step"}}, fmt::format("step {}", count(event.step)))
        .text(event.text)
        .close();
  }
  page.close();
}

void write_command(const Run& run, Markup& page) {
  if (!run.summary || run.summary->command.empty()) return;
  page.element("h3", {}, "Command").element("pre", {}, run.summary->command);
}

}  // namespace

std::string description(const Run& run) {
  std::string text;
  const auto add = [&](const std::string& part) {
    if (!part.empty()) text += (text.empty() ? "" : " · ") + part;
  };
  const auto whole = [](double number) { return count(std::llround(number)); };
  add(run.algorithm);
  add(run.order);
  add(run.model);
  if (run.parameters) add(whole(*run.parameters) + " parameters");
  add(run.data);
  add(fmt::format("{} worker{}", run.workers, run.workers == 1 ? "" : "s"));
  add(run.graph.empty() ? "" : "graph " + run.graph);
  add(run.schedule.empty() ? "" : "schedule " + run.schedule);
  if (run.batch) add("batch " + whole(*run.batch));
  if (run.seed) add(fmt::format("seed {:.0f}", *run.seed));
  return text;
}

void write_run(const Run& run, Markup& page) {
  write_remarks(run, page);
  write_tiles(run, page);
  write_graphs(run, page);
  write_curves(run, page);
  write_leaders(run, page);
  write_cost(run, page);
  write_overlap(run, page);
  if (run.phases.size() > 1) {
    page.element("h3", {}, "Where the workers ended");
    write_workers(run, page);
  }
  write_events(run, page);
  write_command(run, page);
}

}  // namespace alder::report
