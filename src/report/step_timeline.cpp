#include "report/step_timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "report/bottom_axis.hpp"
#include "report/format.hpp"
#include "report/markup.hpp"
#include "report/scale.hpp"
#include "trace/analysis.hpp"

namespace alder::report {
namespace {

using trace::Interval;
using trace::Kind;

constexpr double kWidth = 1130, kLeft = 44, kRight = 12, kTop = 4, kBottom = 40;

struct Look {
  Kind kind;
  const char *name, *colour;
};
constexpr std::array<Look, 7> kLooks{{{Kind::data, "data", "k3"},
                                      {Kind::forward, "forward", "k0"},
                                      {Kind::backward, "backward", "k5"},
                                      {Kind::mixing, "mixing", "k2"},
                                      {Kind::wait_header, "waiting", "k1"},
                                      {Kind::wait_bucket, "waiting", "k1"},
                                      {Kind::wait_release, "waiting", "k1"}}};

const Look* look_of(Kind kind) {
  const auto at = std::ranges::find(kLooks, kind, &Look::kind);
  return at == kLooks.end() ? nullptr : &*at;
}

struct Bar {
  Interval span;
  std::string colour, title;
};

// Of one worker.
struct Lanes {
  std::vector<Bar> work;     // computing and waiting: one thread, so they do not overlap
  std::vector<Bar> out, in;  // on the wire
};

struct Chosen {
  uint64_t step = 0;
  Interval window;
  std::vector<Lanes> workers;
  std::optional<int64_t> clock_error_ns;
};

// Lengths of all workers' steps, and of which step.
std::optional<uint64_t> median_step(const trace::Trace& trace) {
  std::map<uint64_t, std::vector<double>> lengths;
  std::vector<double> all;
  for (const trace::File& file : trace.files) {
    for (const trace::Record& one : file.records) {
      if (one.kind != Kind::step) continue;
      lengths[one.generation].push_back(static_cast<double>(one.end - one.begin));
      all.push_back(static_cast<double>(one.end - one.begin));
    }
  }
  const double median = trace::percentile(all, 0.5);
  std::optional<uint64_t> best;
  std::size_t most = 0;
  double nearest = 0;
  for (const auto& [step, values] : lengths) {
    const double distance = std::abs(trace::percentile(values, 0.5) - median);
    // Rather one that all workers have.
    if (values.size() < most || (values.size() == most && distance >= nearest)) continue;
    best = step;
    most = values.size();
    nearest = distance;
  }
  return best;
}

std::string time_text(const Interval& span) {
  return plain(static_cast<double>(span.end - span.begin) * 1e-6) + " ms";
}

bool reaches_in(const Interval& span, const Interval& window) {
  return span.end > window.begin && span.begin < window.end && span.end > span.begin;
}

void take_work(const trace::Trace& trace, Chosen& chosen) {
  for (const trace::File& file : trace.files) {
    for (const trace::Record& one : file.records) {
      const Look* look = look_of(one.kind);
      const Interval span{one.begin, one.end};
      if (look == nullptr || !reaches_in(span, chosen.window)) continue;
      const std::string of = look->colour == std::string_view("k1") || one.kind == Kind::mixing
                                 ? fmt::format(", generation {}", one.generation)
                                 : std::string();
      chosen.workers[static_cast<std::size_t>(one.worker)].work.push_back(
          {span, look->colour,
           fmt::format("Worker {}: {}{}, {}", one.worker, name_of(one.kind), of, time_text(span))});
    }
  }
}

void take_wire(const trace::Trace& trace, Chosen& chosen) {
  for (const trace::Transfer& one : transfers_of(trace)) {
    const auto title = [&](const Interval& span) {
      return fmt::format("Worker {} to worker {}: bucket {} of generation {}, {}", one.from, one.to,
                         one.bucket, one.generation, time_text(span));
    };
    if (one.posted && one.sent) {
      const Interval span{*one.posted, *one.sent};
      if (reaches_in(span, chosen.window))
        chosen.workers[static_cast<std::size_t>(one.from)].out.push_back({span, "k4", title(span)});
    }
    if (one.posted && one.arrived && comparable(trace, one.from, one.to)) {
      const Interval span{std::min(*one.posted, *one.arrived), *one.arrived};
      if (reaches_in(span, chosen.window))
        chosen.workers[static_cast<std::size_t>(one.to)].in.push_back({span, "k6", title(span)});
    }
  }
}

std::optional<Chosen> choose(const trace::Trace& trace, int workers) {
  const auto step = median_step(trace);
  if (!step) return std::nullopt;
  Chosen chosen{.step = *step, .window = {INT64_MAX, INT64_MIN}, .workers = {}, .clock_error_ns = {}};
  chosen.workers.resize(static_cast<std::size_t>(workers));
  for (const trace::File& file : trace.files) {
    for (const trace::Record& one : file.records) {
      if (one.kind != Kind::step || one.generation != *step) continue;
      chosen.window.begin = std::min(chosen.window.begin, one.begin);
      chosen.window.end = std::max(chosen.window.end, one.end);
    }
  }
  take_work(trace, chosen);
  take_wire(trace, chosen);
  for (Rank rank = 0; rank < workers; ++rank) {
    const auto error = trace.clock_error_ns(rank);
    if (error) chosen.clock_error_ns = std::max(chosen.clock_error_ns.value_or(0), *error);
  }
  return chosen;
}

void draw_bars(const std::vector<Bar>& bars, const Interval& window, const Scale& scale, double top,
               double height, Markup& page) {
  const auto x = [&](int64_t ns) {
    return scale.at(static_cast<double>(std::clamp(ns, window.begin, window.end) - window.begin) * 1e-6);
  };
  for (const Bar& bar : bars) {
    page.open("g", {{"class", "cell"}})
        .element("title", {}, bar.title)
        .leaf("rect", {{"class", "fill " + bar.colour},
                       {"x", px(x(bar.span.begin))},
                       {"y", px(top)},
                       {"width", px(std::max(0.8, x(bar.span.end) - x(bar.span.begin)))},
                       {"height", px(height)}})
        .close();
  }
}

// Transfers that are under way together lie in rows of their own: the first free one takes each.
void draw_wire(std::vector<Bar> bars, const Interval& window, const Scale& scale, double top, double height,
               Markup& page) {
  if (bars.empty()) return;
  std::ranges::sort(bars, {}, [](const Bar& bar) { return bar.span.begin; });
  std::vector<std::vector<Bar>> rows;
  for (Bar& bar : bars) {
    const auto free =
        std::ranges::find_if(rows, [&](const auto& row) { return row.back().span.end <= bar.span.begin; });
    auto& row = free == rows.end() ? rows.emplace_back() : *free;
    row.push_back(std::move(bar));
  }
  const double each = height / static_cast<double>(rows.size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    draw_bars(rows[r], window, scale, top + static_cast<double>(r) * each, std::max(0.5, each * 0.85), page);
  }
}

void draw_legend(bool wire, Markup& page) {
  page.open("p", {{"class", "legend"}});
  const auto entry = [&](const char* colour, const char* name) {
    page.open("span", {{"class", "entry"}})
        .element("i", {{"class", fmt::format("swatch {}", colour)}}, "")
        .text(name)
        .close();
  };
  for (std::size_t i = 0; i < 5; ++i) entry(kLooks[i].colour, kLooks[i].name);
  if (wire) {
    entry("k4", "on its way out");
    entry("k6", "on its way in");
  }
  page.close();
}

void draw(const Chosen& chosen, Markup& page) {
  const auto workers = static_cast<double>(chosen.workers.size());
  // Below this many workers a band has room for the wire under the work.
  constexpr std::size_t kMostWithWire = 32;
  const bool wire = chosen.workers.size() <= kMostWithWire &&
                    std::ranges::any_of(chosen.workers,
                                        [](const Lanes& one) { return !one.out.empty() || !one.in.empty(); });
  const double band = std::clamp((wire ? 620.0 : 520.0) / workers, 8.0, wire ? 56.0 : 30.0);
  const double bottom = kTop + band * workers;
  const double length = static_cast<double>(chosen.window.end - chosen.window.begin) * 1e-6;
  const Scale scale = linear_scale(0, length, 10, kLeft, kWidth - kRight);
  page.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kWidth, px(bottom + kBottom))},
                    {"role", "img"},
                    {"aria-label", "What each worker did during one step"}});
  draw_bottom_axis({.name = "milliseconds since the first worker began the step",
                    .top = kTop,
                    .bottom = bottom,
                    .middle = (kLeft + kWidth - kRight) / 2,
                    .name_below = 34},
                   scale, page);
  const int stride = label_stride(band, 12);
  for (std::size_t rank = 0; rank < chosen.workers.size(); ++rank) {
    const double top = kTop + static_cast<double>(rank) * band;
    const Lanes& lanes = chosen.workers[rank];
    if (static_cast<int>(rank) % stride == 0) {
      page.element(
          "text",
          {{"class", "tick"}, {"x", px(kLeft - 8)}, {"y", px(top + band * 0.45 + 3)}, {"text-anchor", "end"}},
          std::to_string(rank));
    }
    page.open("g", {{"data-key", fmt::format("worker-{}", rank)}});
    draw_bars(lanes.work, chosen.window, scale, top, band * (wire ? 0.42 : 0.8), page);
    if (wire) {
      draw_wire(lanes.out, chosen.window, scale, top + band * 0.46, band * 0.2, page);
      draw_wire(lanes.in, chosen.window, scale, top + band * 0.68, band * 0.2, page);
    }
    page.close();
  }
  page.close();
  draw_legend(wire, page);
}

}  // namespace

void draw_step_timeline(const Run& run, Markup& page) {
  std::optional<Chosen> chosen;
  std::string why = "The run folder has no trace any more.";
  if (const auto part = trace::newest_part(run.folder)) {
    try {
      const trace::Trace trace = trace::load({&*part, 1});
      why = "The trace has no whole step.";
      // A folder that was put together by hand may hold another run's.
      if (trace.workers == run.workers) chosen = choose(trace, run.workers);
    } catch (const Error& error) {
      why = error.what();
    }
  }
  page.open("figure", {{"class", "chart"}});
  page.open("figcaption").element("b", {}, chosen ? fmt::format("Step {}", chosen->step) : "One step");
  if (chosen) {
    page.element("span", {{"class", "unit"}},
                 fmt::format("row: worker; the step nearest to the median{}",
                             chosen->clock_error_ns && *chosen->clock_error_ns > 0
                                 ? fmt::format("; clocks of different processes agree to {} us",
                                               plain(static_cast<double>(*chosen->clock_error_ns) * 1e-3))
                                 : ""));
  }
  page.close();
  if (chosen) {
    draw(*chosen, page);
  } else {
    page.element("p", {{"class", "nothing"}}, why);
  }
  page.close();
}

}  // namespace alder::report
