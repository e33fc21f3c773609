#include "report/overlap_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "report/format.hpp"
#include "report/markup.hpp"
#include "report/rank_matrix.hpp"
#include "report/stacked_bars.hpp"
#include "report/step_timeline.hpp"

namespace alder::report {
namespace {

// What is neither work nor waiting: the loop around it, and where workers share threads the others' turns.
double rest_of(const Overlap& one) {
  return std::max(0.0, one.mean("step") - one.mean("compute") - one.mean("stall"));
}

void draw_step_bars(const Run& run, Markup& page) {
  constexpr std::array<std::pair<const char*, const char*>, 4> kWork{
      {{"data", "k3"}, {"forward", "k0"}, {"backward", "k5"}, {"mixing", "k2"}}};
  StackedBars bars{.title = "A step on average",
                   .axis = "milliseconds",
                   .description = "Milliseconds of an average step of each worker by what it spent them on",
                   .nothing = "No whole step was traced.",
                   .parts = {},
                   .rows = {},
                   .written = [](double value) { return plain(value) + " ms"; }};
  for (const auto& [name, colour] : kWork) bars.parts.push_back({name, colour});
  bars.parts.push_back({"waiting for neighbours", "k1"});
  bars.parts.push_back({"other", "k7"});
  bars.rows.assign(static_cast<std::size_t>(run.workers), std::vector<double>(bars.parts.size()));
  for (const Overlap& one : run.overlaps) {
    std::vector<double>& row = bars.rows[static_cast<std::size_t>(one.worker)];
    for (std::size_t i = 0; i < kWork.size(); ++i) row[i] = 1000 * one.mean(kWork[i].first);
    row[kWork.size()] = 1000 * one.mean("stall");
    row[kWork.size() + 1] = 1000 * rest_of(one);
  }
  draw_stacked_bars(bars, page);
}

void draw_wire_bars(const Run& run, Markup& page) {
  StackedBars bars{
      .title = "On the wire in a step",
      .axis = "milliseconds",
      .description = "Milliseconds of an average step in which something of each worker's was on the wire",
      .nothing = "Nothing travelled: neighbours' models were read in place, or not at all.",
      .parts = {{"hidden behind computing", "k2"}, {"exposed", "k4"}},
      .rows = {},
      .written = [](double value) { return plain(value) + " ms"; }};
  bars.rows.assign(static_cast<std::size_t>(run.workers), std::vector<double>(bars.parts.size()));
  for (const Overlap& one : run.overlaps) {
    bars.rows[static_cast<std::size_t>(one.worker)] = {1000 * one.mean("overlapped"),
                                                       1000 * one.mean("exposed")};
  }
  draw_stacked_bars(bars, page);
}

std::vector<std::map<Rank, double>> empty_rows(const Run& run) {
  return std::vector<std::map<Rank, double>>(static_cast<std::size_t>(run.workers));
}

void draw_wait_matrix(const Run& run, Markup& page) {
  auto rows = empty_rows(run);
  for (const Overlap& one : run.overlaps) {
    for (const auto& [neighbour, seconds] : one.stall_by_neighbour) {
      if (one.steps > 0)
        rows[static_cast<std::size_t>(one.worker)][neighbour] =
            1000 * seconds / static_cast<double>(one.steps);
    }
  }
  draw_rank_matrix(
      {.title = "Who waited for whom",
       .unit = "milliseconds of a step",
       .sides = "for worker (columns), worker that waited (rows)",
       .description = "Milliseconds a step that each worker (row) waited for each other (column)",
       .nothing = "Nobody waited for a neighbour.",
       .rows = std::move(rows),
       .title_of =
           [](Rank waiter, Rank other, double value) {
             return fmt::format("Worker {} waited {} ms a step for worker {}", waiter, plain(value), other);
           },
       .short_text = [](double value) { return fmt::format("{:.2g}", value); }},
      page);
}

void draw_speed_matrix(const Run& run, Markup& page) {
  auto rows = empty_rows(run);
  double line = 0;
  for (const Overlap& one : run.overlaps) {
    line = std::max(line, one.line_bytes_per_second.value_or(0));
    for (const auto& [neighbour, edge] : one.edges) {
      if (edge.seconds > 0)
        rows[static_cast<std::size_t>(one.worker)][neighbour] = edge.bytes / edge.seconds / 1e9;
    }
  }
  const double full = line / 1e9;
  const auto share = [full](double value) {
    return full > 0 ? fmt::format(", {} of the line", percent(value / full, 1)) : std::string();
  };
  draw_rank_matrix(
      {.title = "Speed of the edges",
       .unit = full > 0
                   ? fmt::format("GB/s while something is under way; the line carries {} GB/s", plain(full))
                   : "GB/s while something is under way; no line rate is known",
       .sides = "to worker (columns), from worker (rows)",
       .description = "Gigabytes a second from each worker (row) to each other (column)",
       .nothing = "Nothing travelled: neighbours' models were read in place, or not at all.",
       .rows = std::move(rows),
       .full = full,
       .title_of =
           [share](Rank from, Rank to, double value) {
             return fmt::format("Worker {} to worker {}: {} GB/s{}", from, to, plain(value), share(value));
           },
       .short_text = [](double value) { return fmt::format("{:.2g}", value); }},
      page);
}

std::string causes_text(const Run& run) {
  static const std::map<std::string, std::string> kWords{{"late", "the neighbour had not sent yet"},
                                                         {"wire", "it was on the wire"},
                                                         {"flush", "it was being made visible"},
                                                         {"release", "a neighbour was still reading"},
                                                         {"waking", "all was there"},
                                                         {"unknown", "cause not known"}};
  std::map<std::string, double> sums;
  double all = 0;
  for (const Overlap& one : run.overlaps) {
    for (const auto& [cause, seconds] : one.stall_by_cause) {
      sums[cause] += seconds;
      all += seconds;
    }
  }
  std::string text;
  for (const auto& [cause, seconds] : sums) {
    const auto words = kWords.find(cause);
    text += fmt::format("{}{} {}", text.empty() ? "Waiting: " : ", ", percent(seconds / all, 1),
                        words == kWords.end() ? cause : words->second);
  }
  return text.empty() ? "" : text + ".";
}

struct Sums {
  double step = 0, compute = 0, communication = 0, exposed = 0, stall = 0, idle = 0, overlapped = 0;
  int64_t steps = 0;

  void add(const Overlap& one) {
    const auto weight = static_cast<double>(one.steps);
    step += weight * one.mean("step");
    compute += weight * one.mean("compute");
    communication += weight * one.mean("communication");
    overlapped += weight * one.mean("overlapped");
    exposed += weight * one.mean("exposed");
    stall += weight * one.mean("stall");
    idle += weight * one.mean("idle");
    steps += one.steps;
  }
};

std::vector<Cell> row_of(const std::string& name, const std::string& median, const std::string& worst,
                         Sums sums) {
  const auto mean = [&](double sum) {
    return Cell{sums.steps > 0 ? plain(1000 * sum / static_cast<double>(sums.steps)) : kUnknown};
  };
  return {{name},
          {count(sums.steps)},
          {median},
          {worst},
          mean(sums.compute),
          mean(sums.communication),
          mean(sums.exposed),
          mean(sums.stall),
          mean(sums.idle),
          {sums.communication > 0 ? percent(sums.overlapped / sums.communication, 1) : kUnknown}};
}

}  // namespace

Table overlap_table(const Run& run) {
  Table table{.columns = {{"worker", false},
                          {"steps"},
                          {"step p50 ms"},
                          {"step p99 ms"},
                          {"compute ms"},
                          {"on the wire ms"},
                          {"exposed ms"},
                          {"stall ms"},
                          {"idle ms"},
                          {"overlap"}},
              .rows = {}};
  Sums all;
  for (const Overlap& one : run.overlaps) {
    Sums own;
    own.add(one);
    all.add(one);
    const auto step = one.seconds.find("step");
    const bool known = step != one.seconds.end();
    table.rows.push_back(row_of(std::to_string(one.worker), known ? plain(1000 * step->second.p50) : kUnknown,
                                known ? plain(1000 * step->second.p99) : kUnknown, own));
  }
  if (run.overlaps.size() > 1) table.rows.push_back(row_of("all", "", "", all));
  return table;
}

void write_overlap(const Run& run, Markup& page) {
  if (run.overlaps.empty()) return;
  int64_t fewest = run.overlaps.front().steps;
  for (const Overlap& one : run.overlaps) fewest = std::min(fewest, one.steps);
  page.element("h3", {}, "Where a step's time went");
  page.element("p", {{"class", "lead"}},
               fmt::format("From the trace: {} of {} workers, at least {} steps each. {}",
                           run.overlaps.size(), run.workers, count(fewest), causes_text(run)));
  draw_step_timeline(run, page);
  page.open("div", {{"class", "charts"}, {"style", "margin-top:14px"}});
  draw_step_bars(run, page);
  draw_wire_bars(run, page);
  draw_wait_matrix(run, page);
  draw_speed_matrix(run, page);
  page.close();
  page.open("details").element("summary", {}, "Figures of every worker");
  write_html(overlap_table(run), page);
  page.close();
}

}  // namespace alder::report
