#include "train/run_trace.hpp"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <random>
#include <system_error>

#include "base/error.hpp"
#include "base/sysfs.hpp"
#include "trace/merge.hpp"
#include "trace/ticks.hpp"

namespace alder::train {
namespace {

namespace fs = std::filesystem;

std::string random_id() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}", source(), source());
}

// The leader makes room and everybody learns the run's name for its traces.
std::string prepare(const TrainOptions& options, Team& team, const fs::path& part) {
  Json answer = Json::object();
  if (team.leads()) {
    std::error_code error;
    if (!options.resume) fs::remove_all(options.out / "trace", error);
    fs::create_directories(part, error);
    answer["id"] = random_id();
    if (error) answer["error"] = fmt::format("cannot make {}: {}", part.string(), error.message());
  }
  answer = team.broadcast(answer);
  if (answer.contains("error")) fail("{}", answer.at("error").get<std::string>());
  // On a node with a file system of its own.
  std::error_code error;
  fs::create_directories(part, error);
  return answer.at("id").get<std::string>();
}

}  // namespace

RunTrace::RunTrace(const TrainOptions& options, Team& team, const Facts& facts)
    : options_(options), team_(team), part_(trace::part_folder(options.out, facts.first_step)) {
  trace::Description about{
      .run_id = prepare(options, team, part_),
      .run_name = options.out.filename().string(),
      .model = options.model,
      .host = facts.host,
      .process = ::getpid(),
      .workers = options.workers,
      .local = team.local(),
      .bucket_bytes = {},
      .exchanges_per_step = facts.exchanges_per_step,
      .exchange = facts.exchange,
      .line_bytes_per_second = line_rate(facts.wire.ports),
      .first_step = facts.first_step,
      .window_begin = std::max(options.trace_begin, facts.first_step),
      .window_end = options.trace_end,
      .clock = trace::counter_is_even()
                   ? "the processor's counter, laid over the steady clock; network events when "
                     "the progress thread saw them"
                   : "the steady clock; network events when the progress thread saw them"};
  for (const std::size_t elements : facts.buckets) {
    about.bucket_bytes.push_back(elements * static_cast<uint64_t>(facts.wire.element_bytes));
  }
  session_ = std::make_unique<trace::Session>(trace::file_name(part_, team.local().front()), about);
  compare_clocks();
  begin_step(facts.first_step);
  // Everybody records before anybody steps: neighbours that are ahead send before this process has begun its
  // first step. And all begin it together, since whose turn came early would else wait there for those that
  // compare.
  team_.gather(std::vector<Json>(team_.local().size(), Json(true)));
  team_.broadcast(Json(true));
}

void RunTrace::compare_clocks() {
  if (const auto reading = team_.compare_clocks()) session_->add(*reading);
}

void RunTrace::begin_step(Step step) {
  const bool wanted = step >= options_.trace_begin && step < options_.trace_end;
  if (wanted == recording_) return;
  recording_ = wanted;
  session_->record(wanted);
}

std::optional<trace::Figures> RunTrace::finish() {
  compare_clocks();
  const std::string problem = session_->finish();
  std::vector<Json> mine(team_.local().size(), Json(problem));
  const Team::Records problems = team_.gather(std::move(mine));
  if (!team_.leads()) return std::nullopt;
  trace::Figures figures;
  try {
    figures = trace::analyse(trace::load({&part_, 1}));
  } catch (const Error& error) {
    figures.remarks.emplace_back(error.what());
  }
  for (std::size_t rank = 0; rank < problems.size(); ++rank) {
    const std::string text = problems[rank] ? problems[rank]->get<std::string>() : "";
    if (!text.empty())
      figures.remarks.push_back(fmt::format("worker {}: the recording ended early: {}", rank, text));
  }
  return figures;
}

double line_rate(const std::vector<std::string>& ports) {
  double sum = 0;
  for (const std::string& port : ports) {
    const std::size_t colon = port.find(':');
    const auto rate =
        Sysfs().text(fmt::format("/sys/class/infiniband/{}/ports/{}/rate", port.substr(0, colon),
                                 colon == std::string::npos ? "1" : port.substr(colon + 1)));
    if (!rate) return 0;
    sum += std::strtod(rate.value.c_str(), nullptr) * 1e9 / 8;  // "400 Gb/sec (4X NDR)"
  }
  return sum;
}

namespace {

using Value = std::function<double(const trace::StepFigures&)>;

struct Named {
  const char* name;
  Value value;
};
const std::vector<Named>& step_values() {
  using trace::StepFigures;
  static const std::vector<Named> values{
      {"step", [](const StepFigures& one) { return one.whole; }},
      {"data", [](const StepFigures& one) { return one.data; }},
      {"forward", [](const StepFigures& one) { return one.forward; }},
      {"backward", [](const StepFigures& one) { return one.backward; }},
      {"mixing", [](const StepFigures& one) { return one.mixing; }},
      {"compute", [](const StepFigures& one) { return one.compute; }},
      {"communication", [](const StepFigures& one) { return one.communication; }},
      {"overlapped", [](const StepFigures& one) { return one.overlapped; }},
      {"exposed", [](const StepFigures& one) { return one.exposed; }},
      {"stall", [](const StepFigures& one) { return one.stall; }},
      {"idle", [](const StepFigures& one) { return one.idle; }}};
  return values;
}

Json spread(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return {{"mean", sum / static_cast<double>(values.size())},
          {"p50", trace::percentile(values, 0.5)},
          {"p99", trace::percentile(values, 0.99)}};
}

Json seconds_of(const std::vector<const trace::StepFigures*>& steps) {
  Json seconds = Json::object();
  for (const Named& named : step_values()) {
    std::vector<double> values;
    for (const trace::StepFigures* step : steps) values.push_back(named.value(*step));
    seconds[named.name] = spread(values);
  }
  return seconds;
}

Json causes_of(const std::vector<const trace::StepFigures*>& steps) {
  Json causes = Json::object();
  for (std::size_t c = 0; c < trace::kCauses; ++c) {
    double sum = 0;
    for (const trace::StepFigures* step : steps) sum += step->stall_by_cause[c];
    if (sum > 0) causes[std::string(name_of(static_cast<trace::Cause>(c)))] = sum;
  }
  return causes;
}

void add_fraction(Json& json, const std::vector<const trace::StepFigures*>& steps) {
  double communication = 0, overlapped = 0;
  for (const trace::StepFigures* step : steps) {
    communication += step->communication;
    overlapped += step->overlapped;
  }
  if (communication > 0) json["overlap_fraction"] = overlapped / communication;
}

}  // namespace

Json overlap_line(const trace::WorkerFigures& worker) {
  std::vector<const trace::StepFigures*> steps;
  for (const trace::StepFigures& step : worker.steps) steps.push_back(&step);
  Json line{{"kind", "overlap"}, {"worker", worker.worker}, {"steps", steps.size()}};
  if (steps.empty()) return line;
  line["first_step"] = steps.front()->step;
  line["last_step"] = steps.back()->step;
  line["seconds"] = seconds_of(steps);
  add_fraction(line, steps);
  Json stalls = Json::object();
  for (const auto& step : worker.steps) {
    for (const auto& [neighbour, seconds] : step.stall_by_neighbour) {
      Json& sum = stalls[std::to_string(neighbour)];
      sum = (sum.is_null() ? 0.0 : sum.get<double>()) + seconds;
    }
  }
  line["stall_by_neighbour"] = stalls;
  line["stall_by_cause"] = causes_of(steps);
  Json edges = Json::object();
  for (const auto& [neighbour, edge] : worker.edges) {
    edges[std::to_string(neighbour)] = {
        {"bytes", edge.bytes}, {"transfers", edge.transfers}, {"seconds", edge.seconds}};
  }
  line["edges"] = edges;
  if (worker.line_bytes_per_second > 0) line["line_bytes_per_second"] = worker.line_bytes_per_second;
  if (worker.wire_efficiency) line["wire_efficiency"] = *worker.wire_efficiency;
  return line;
}

Json overlap_summary(const trace::Figures& figures) {
  std::vector<const trace::StepFigures*> steps;
  int workers = 0;
  for (const trace::WorkerFigures& worker : figures.workers) {
    for (const trace::StepFigures& step : worker.steps) steps.push_back(&step);
    workers += worker.steps.empty() ? 0 : 1;
  }
  Json summary{{"workers", workers}, {"steps", steps.size()}};
  if (!steps.empty()) {
    summary["seconds"] = seconds_of(steps);
    add_fraction(summary, steps);
    summary["stall_by_cause"] = causes_of(steps);
  }
  summary["remarks"] = figures.remarks;
  return summary;
}

}  // namespace alder::train
