#include "report/run.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

#include "base/error.hpp"
#include "base/file.hpp"
#include "report/record.hpp"

namespace alder::report {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();
constexpr int kMaxWorkers =
    1 << 20;  // a plausibility bound: a damaged count must not allocate the machine away
constexpr int kSchema = 1;

std::vector<Phase> read_phases(const Record& record, int workers) {
  std::vector<Phase> phases;
  const auto& json = record.json();
  if (!json.contains("phases")) return phases;
  const auto& list = json["phases"];
  if (!list.is_array()) record.reject("phases", "a list", list);
  const auto is_rank = [&](const auto& value) {
    return value.is_number_integer() && value >= 0 && value < workers;
  };
  for (const auto& entry : list) {
    if (!entry.is_object() || !entry.contains("edges") || !entry["edges"].is_array()) {
      record.reject("phases", "a list of {name, edges}", entry);
    }
    const bool named = entry.contains("name") && entry["name"].is_string();
    Phase phase{.name = named ? entry["name"].template get<std::string>() : std::string(), .edges = {}};
    for (const auto& edge : entry["edges"]) {
      if (!edge.is_array() || edge.size() != 2 || !is_rank(edge[0]) || !is_rank(edge[1])) {
        record.reject("phases", fmt::format("graphs whose edges are pairs of ranks 0 to {}", workers - 1),
                      edge);
      }
      phase.edges.emplace_back(edge[0].template get<Rank>(), edge[1].template get<Rank>());
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

// A resumed run repeats what came after its checkpoint; the first telling is taken back, so that a
// resume that was stopped early does not leave epochs of the abandoned branch behind.
void take_back_after(Run& run, Step first_step) {
  const auto later = [&](const auto& record) { return record.step > first_step; };
  for (auto& worker : run.history) std::erase_if(worker, later);
  std::erase_if(run.means, later);
}

void read_head(const Record& record, Run& run) {
  const int64_t schema = record.integer("schema", 1, kUnlimited);
  if (schema != kSchema) {
    fail("{}: schema {} is not known, this program reads schema {}; use the alder that wrote the run",
         record.place(), schema, kSchema);
  }
  const int workers = static_cast<int>(record.integer("workers", 1, kMaxWorkers));
  if (run.workers != 0 && workers != run.workers) {
    fail("{}: the run was resumed with {} workers after {}; a run keeps its number of workers",
         record.place(), workers, run.workers);
  }
  run.workers = workers;
  run.history.resize(static_cast<std::size_t>(workers));
  run.name = record.text("name");
  run.model = record.text("model");
  run.data = record.text("data");
  run.graph = record.text("graph");
  run.schedule = record.text("schedule");
  run.algorithm = record.text("algorithm");
  run.order = record.text("order");
  run.weights = record.text("weights");
  run.batch = record.number("batch");
  run.epochs = record.number("epochs");
  run.steps_per_epoch = record.number("steps_per_epoch");
  run.learning_rate = record.number("learning_rate");
  run.seed = record.number("seed");
  run.parameters = record.number("parameters");
  run.phases = read_phases(record, workers);
  take_back_after(run,
                  record.json().contains("first_step") ? record.integer("first_step", 0, kUnlimited) : 0);
}

// Keeps `list` in order of epoch; a record of an epoch that is there already replaces it.
template <typename T>
void insert_by_epoch(std::vector<T>& list, T record) {
  const auto at = std::ranges::lower_bound(list, record.epoch, {}, &T::epoch);
  if (at != list.end() && at->epoch == record.epoch) {
    *at = std::move(record);
  } else {
    list.insert(at, std::move(record));
  }
}

void read_worker_epoch(const Record& record, Run& run) {
  WorkerEpoch epoch;
  epoch.epoch = record.integer("epoch", 1, kUnlimited);
  epoch.step = record.integer("step", 0, kUnlimited);
  epoch.worker = static_cast<Rank>(record.integer("worker", 0, run.workers - 1));
  epoch.train_loss = record.number("train_loss");
  epoch.train_accuracy = record.number("train_accuracy");
  epoch.learning_rate = record.number("learning_rate");
  epoch.distance_to_mean = record.number("distance_to_mean");
  epoch.test_accuracy = record.number("test_accuracy");
  epoch.test_loss = record.number("test_loss");
  epoch.leader_best = record.by_rank("leader_best", run.workers);
  epoch.leader_degree = record.by_rank("leader_degree", run.workers);
  epoch.bytes_sent = record.by_rank("bytes_sent", run.workers);
  epoch.seconds = record.by_name("seconds");
  insert_by_epoch(run.history[static_cast<std::size_t>(epoch.worker)], std::move(epoch));
}

void read_mean_epoch(const Record& record, Run& run) {
  insert_by_epoch(run.means, MeanEpoch{.epoch = record.integer("epoch", 1, kUnlimited),
                                       .step = record.integer("step", 0, kUnlimited),
                                       .consensus_distance = record.number("consensus_distance"),
                                       .variance_inflation = record.number("variance_inflation"),
                                       .test_accuracy = record.number("test_accuracy"),
                                       .test_loss = record.number("test_loss"),
                                       .images_per_second = record.number("images_per_second"),
                                       .seconds = record.number("seconds"),
                                       .bytes_exchanged = record.number("bytes_exchanged")});
}

std::map<std::string, Spread> read_spreads(const Record& record) {
  std::map<std::string, Spread> spreads;
  const auto& json = record.json();
  if (!json.contains("seconds")) return spreads;
  if (!json["seconds"].is_object())
    record.reject("seconds", "an object of {mean, p50, p99}", json["seconds"]);
  for (const auto& [name, entry] : json["seconds"].items()) {
    const auto number = [&, &one = entry](const char* key) {
      if (!one.is_object() || !one.contains(key) || !one[key].is_number())
        record.reject("seconds", "an object of {mean, p50, p99}", one);
      return one[key].template get<double>();
    };
    spreads[name] = {.mean = number("mean"), .p50 = number("p50"), .p99 = number("p99")};
  }
  return spreads;
}

void read_overlap(const Record& record, Run& run) {
  Overlap one{.worker = static_cast<Rank>(record.integer("worker", 0, run.workers - 1)),
              .steps = record.integer("steps", 0, kUnlimited),
              .seconds = read_spreads(record),
              .overlap_fraction = record.number("overlap_fraction"),
              .wire_efficiency = record.number("wire_efficiency"),
              .line_bytes_per_second = record.number("line_bytes_per_second"),
              .stall_by_neighbour = {},
              .stall_by_cause = record.by_name("stall_by_cause"),
              .edges = {}};
  const auto rank_of = [&](const std::string& key, const std::string& name) {
    Rank rank = -1;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), rank);
    if (error != std::errc{} || end != name.data() + name.size() || rank < 0 || rank >= run.workers)
      record.reject(key, fmt::format("an object with ranks 0 to {} as keys", run.workers - 1), name);
    return rank;
  };
  for (const auto& [name, seconds] : record.by_name("stall_by_neighbour"))
    one.stall_by_neighbour[rank_of("stall_by_neighbour", name)] = seconds;
  if (record.json().contains("edges")) {
    for (const auto& [name, edge] : record.json()["edges"].items()) {
      if (!edge.is_object() || !edge.contains("bytes") || !edge["bytes"].is_number() ||
          !edge.contains("seconds") || !edge["seconds"].is_number()) {
        record.reject("edges", "an object of {bytes, seconds}", edge);
      }
      one.edges[rank_of("edges", name)] = {edge["bytes"].template get<double>(),
                                           edge["seconds"].template get<double>()};
    }
  }
  // Of a run that was resumed, the last part.
  const auto at = std::ranges::lower_bound(run.overlaps, one.worker, {}, &Overlap::worker);
  if (at != run.overlaps.end() && at->worker == one.worker) {
    *at = std::move(one);
  } else {
    run.overlaps.insert(at, std::move(one));
  }
}

void read_line(const Record& record, Run& run) {
  const std::string kind = record.text("kind");
  if (run.workers == 0 && kind != "run") {
    fail("{}: the first line must be of kind 'run', found '{}'; the beginning of the file is missing",
         record.place(), kind);
  }
  if (kind == "run") {
    read_head(record, run);
  } else if (kind == "epoch") {
    read_worker_epoch(record, run);
  } else if (kind == "mean") {
    read_mean_epoch(record, run);
  } else if (kind == "overlap") {
    read_overlap(record, run);
  } else if (kind == "event") {
    run.events.push_back({record.integer("step", 0, kUnlimited), record.text("text")});
  } else {
    fail("{}: kind '{}' is none of run, epoch, mean, overlap, event; the run was written by another version",
         record.place(), kind);
  }
}

void read_metrics(const std::filesystem::path& path, Run& run) {
  const std::string text = read_text(path);
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    const bool last = end == std::string_view::npos;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(last ? rest.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    // Only a line whose newline never reached the disk can have been cut by a crash.
    if (last && !nlohmann::json::accept(line)) {
      run.remarks.push_back(
          fmt::format("metrics.jsonl ends in the middle of line {}, which was passed over", number));
      break;
    }
    read_line(Record(fmt::format("{} line {}", path.string(), number), line), run);
  }
  if (run.workers == 0) {
    fail("{}: no line of kind 'run'; the run ended before it began, or this is no run folder", path.string());
  }
}

void read_config(const std::filesystem::path& path, Run& run) {
  const Record record(path.string(), read_text(path));
  for (const auto& [name, entry] : record.json().items()) {
    if (!entry.is_object() || !entry.contains("value")) record.reject(name, "{value, source}", entry);
    const auto& value = entry["value"];
    const bool sourced = entry.contains("source") && entry["source"].is_string();
    run.options.push_back({.name = name,
                           .value = value.is_string() ? value.template get<std::string>() : value.dump(),
                           .source = sourced ? entry["source"].template get<std::string>() : std::string()});
  }
}

Summary read_summary(const std::filesystem::path& path) {
  const Record record(path.string(), read_text(path));
  return {.test_accuracy_mean = record.number("test_accuracy_mean"),
          .test_accuracy_worst = record.number("test_accuracy_worst"),
          .test_accuracy_best = record.number("test_accuracy_best"),
          .test_accuracy_averaged_model = record.number("test_accuracy_averaged_model"),
          .test_accuracy_workers = record.numbers("test_accuracy_workers"),
          .consensus_distance = record.number("consensus_distance"),
          .variance_inflation = record.number("variance_inflation"),
          .steps = record.number("steps"),
          .seconds = record.number("seconds"),
          .images_per_second = record.number("images_per_second"),
          .bytes_exchanged = record.number("bytes_exchanged"),
          .command = record.text("command"),
          .completed = record.flag("completed")};
}

// How far the run came, in the words of the remark about an unfinished run.
std::string progress(const Run& run) {
  const int64_t done = run.means.empty() ? 0 : run.means.back().epoch;
  if (!run.epochs) return fmt::format("{} epochs are recorded", done);
  return fmt::format("{} of {} epochs are recorded", done, *run.epochs);
}

}  // namespace

Run read_run(const std::filesystem::path& folder) {
  Run run;
  run.folder = folder;
  const auto metrics = folder / "metrics.jsonl";
  if (!std::filesystem::exists(metrics)) {
    fail("{} is no run folder: it has no metrics.jsonl; give the folder that `alder train --out` wrote",
         folder.string());
  }
  read_metrics(metrics, run);
  if (run.name.empty()) run.name = std::filesystem::absolute(folder).lexically_normal().filename().string();
  if (std::filesystem::exists(folder / "config.json")) {
    read_config(folder / "config.json", run);
  } else {
    run.remarks.push_back("config.json is missing: the configuration is what metrics.jsonl tells");
  }
  if (std::filesystem::exists(folder / "summary.json")) {
    run.summary = read_summary(folder / "summary.json");
    if (!run.summary->completed) {
      run.remarks.push_back(fmt::format("the run was interrupted: {}", progress(run)));
    }
  } else {
    run.remarks.push_back(fmt::format("the run is not finished (no summary.json): {}", progress(run)));
  }
  return run;
}

std::vector<std::string> labels(const std::vector<Run>& runs) {
  std::vector<std::string> names;
  for (const Run& run : runs) {
    const bool unique = std::ranges::count(runs, run.name, &Run::name) == 1;
    names.push_back(unique ? run.name : fmt::format("{} ({})", run.name, run.folder.string()));
  }
  return names;
}

}  // namespace alder::report
