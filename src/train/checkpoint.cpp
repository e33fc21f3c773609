#include "train/checkpoint.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <system_error>

#include "base/error.hpp"
#include "base/file.hpp"
#include "train/checkpoint_folder.hpp"
#include "train/model_file.hpp"

namespace alder::train {
namespace {

namespace fs = std::filesystem;

// What a process may fail at is part of its record: an exception would leave the others waiting.
Json attempt(const std::function<Json()>& part) {
  try {
    return part();
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

// Leader: throws Error when a process failed, with the words of all that did.
void check(const Team::Records& records, const std::string& what) {
  std::string text;
  for (const auto& record : records) {
    if (!record || !record->contains("error")) continue;
    text += (text.empty() ? "" : "; ") + record->at("error").get<std::string>();
  }
  if (!text.empty()) fail("{}: {}", what, text);
}

Json worker_state(Worker& worker, const fs::path& folder, Step step) {
  const auto ranking = worker.ranking().value();
  Json files = Json::object();
  const auto file = [&](const char* suffix) { return worker_file(folder, worker.rank(), suffix); };
  files[file("").filename().string()] = save_model(file(""), worker.engine(), worker.model(), step);
  files[file(".optimizer").filename().string()] = save_momentum(file(".optimizer"), worker.engine(), step);
  return {{"rank", worker.rank()},
          {"ranking_loss", ranking ? Json(*ranking) : Json(nullptr)},
          {"last_finite_loss", worker.last_finite_loss()},
          {"counters", to_json(worker.counters())},
          {"sha256", files}};
}

void restore(Worker& worker, const Json& saved, const fs::path& folder) {
  const Json& ranking = saved.at("ranking_loss");
  worker.ranking().restore(ranking.is_null() ? std::nullopt : std::optional(ranking.get<float>()));
  worker.restore_last_finite_loss(saved.at("last_finite_loss").get<double>());
  worker.counters() = counters_from_json(saved.at("counters"));
  const auto digest = [&](const fs::path& file) -> std::string {
    if (!saved.contains("sha256")) return {};  // before digests were kept
    return saved.at("sha256").at(file.filename().string()).get<std::string>();
  };
  const fs::path model = worker_file(folder, worker.rank(), "");
  const fs::path momentum = worker_file(folder, worker.rank(), ".optimizer");
  load_model(model, worker.engine(), worker.model(), digest(model));
  load_momentum(momentum, worker.engine(), digest(momentum));
}

Json state_to_json(const RunState& state, Json workers) {
  return {{"schema", 1},
          {"identity", state.identity},
          {"step", state.step},
          {"seconds", state.seconds},
          {"training_seconds", state.training_seconds},
          {"variance_inflation_sum", state.variance_inflation_sum},
          {"variance_inflation_count", state.variance_inflation_count},
          {"bytes_sent", state.bytes_sent},
          {"bytes_sent_at_epoch", state.bytes_sent_at_epoch},
          {"workers", std::move(workers)}};
}

RunState state_from_json(const Json& json, const Identity& identity) {
  RunState state{.identity = identity};
  json.at("step").get_to(state.step);
  json.at("seconds").get_to(state.seconds);
  json.at("training_seconds").get_to(state.training_seconds);
  json.at("variance_inflation_sum").get_to(state.variance_inflation_sum);
  json.at("variance_inflation_count").get_to(state.variance_inflation_count);
  json.at("bytes_sent").get_to(state.bytes_sent);
  json.at("bytes_sent_at_epoch").get_to(state.bytes_sent_at_epoch);
  return state;
}

void check_identity(const Identity& saved, const Identity& wanted, const fs::path& path) {
  for (const auto& [field, value] : wanted.items()) {
    const Json before = saved.contains(field) ? saved.at(field) : Json("absent");
    if (before != value) {
      usage_error(
          "cannot resume from {}: {} was {} there and is {} now; give the same options or another --out",
          path.string(), field, before.dump(), value.dump());
    }
  }
}

void check_complete(const Json& state, const fs::path& folder, int workers) {
  if (is_complete(state)) return;
  std::string missing;
  for (Rank rank = 0; rank < workers; ++rank) {
    const bool there = std::ranges::any_of(
        state.at("workers"), [rank](const Json& one) { return one.at("rank").get<Rank>() == rank; });
    if (!there) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", rank);
  }
  const auto complete = newest_complete(folder.parent_path());
  fail("cannot resume from {}: it lacks worker {}, lost before it was saved; {}", folder.string(), missing,
       complete ? fmt::format("the newest with all workers is {}: write that name into {}",
                              complete->filename().string(), (folder.parent_path() / "latest").string())
                : "there is none with all workers");
}

// A name that nobody else can have left in a folder.
std::string fresh_mark() {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) fail("getrandom: no random bytes");
  return fmt::format("leader-{:016x}", random);
}

constexpr const char* kRenaming = "renaming";

// Whether this process is the first of those that share the folder to ask. For nodes with a run folder of
// their own, on which several workers may live.
bool first_here(const fs::path& folder) {
  const int fd = ::open((folder / kRenaming).c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

// Where this process's files go.
struct Place {
  fs::path folder;      // final name
  bool shared = false;  // it is the leader's, who renames it; else this node's own
  std::string mark;     // the leader's file in it while it is unfinished
};

// All processes. The leader makes the folder and leaves a mark in it; who sees the mark shares the folder.
Place make_place(Team& team, const fs::path& folder) {
  std::string mark;
  if (team.leads()) {
    std::error_code ignored;
    fs::remove_all(unfinished(folder), ignored);
    create_folder(unfinished(folder));
    mark = fresh_mark();
    write_atomically(unfinished(folder) / mark, std::string_view());
  }
  mark = team.broadcast(mark).get<std::string>();
  return {folder, fs::exists(unfinished(folder) / mark), mark};
}

// The leader's part: the index, and the final name.
void finish(const Place& place, const RunState& state, const Team::Records& written) {
  const fs::path temporary = unfinished(place.folder);
  try {
    check(written, "checkpoint not saved");
    Json present = Json::array();
    for (const auto& record : written) {
      if (record) present.push_back(*record);
    }
    fs::remove(temporary / place.mark);
    write_atomically(temporary / "state.json", state_to_json(state, std::move(present)).dump(1) + "\n");
    finish_folder(place.folder);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

}  // namespace

void save_checkpoint(Team& team, const fs::path& run, const RunState& state,
                     std::span<const std::unique_ptr<Worker>> workers, int keep) {
  const Place place = make_place(team, checkpoint_folder(run, state.step));
  const fs::path temporary = unfinished(place.folder);
  std::vector<Json> mine;
  for (const auto& worker : workers) {
    mine.push_back(attempt([&] {
      create_folder(temporary);
      if (!place.shared) fs::remove(temporary / kRenaming);  // of a process that crashed there
      return worker_state(*worker, temporary, state.step);
    }));
  }
  const Team::Records written = team.gather(std::move(mine));
  if (team.leads()) finish(place, state, written);
  team.broadcast("written");

  const bool renames = !place.shared && first_here(temporary);
  const Json renamed = attempt([&]() -> Json {
    if (renames) {
      finish_folder(place.folder);
      fs::remove(place.folder / kRenaming);
    }
    return Json::object();
  });
  check(team.gather(std::vector<Json>(workers.size(), renamed)), "checkpoint not saved");
  Json superfluous;
  if (team.leads()) {
    write_atomically(run / "latest", place.folder.filename().string() + "\n");
    superfluous = superfluous_checkpoints(run, keep);
  }
  superfluous = team.broadcast(std::move(superfluous));
  if (!team.leads() && !renames) return;
  for (const std::string name : superfluous) {
    std::error_code ignored;  // an old checkpoint that cannot be removed costs space, nothing else
    fs::remove_all(run / name, ignored);
  }
}

RunState load_checkpoint(Team& team, const fs::path& run, const Identity& identity,
                         std::span<const std::unique_ptr<Worker>> workers) {
  Json found;
  if (team.leads()) {
    const fs::path folder = newest_checkpoint(run);
    Json state = read_state(folder);
    check_identity(state.at("identity"), identity, folder);
    check_complete(state, folder, team.workers());
    found = {{"name", folder.filename().string()}, {"state", std::move(state)}};
  }
  found = team.broadcast(std::move(found));
  const fs::path folder = run / found.at("name").get<std::string>();
  std::vector<Json> mine;
  for (const auto& worker : workers) {
    mine.push_back(attempt([&]() -> Json {
      restore(*worker, found.at("state").at("workers").at(static_cast<std::size_t>(worker->rank())), folder);
      return Json::object();
    }));
  }
  check(team.gather(std::move(mine)), fmt::format("cannot resume from {}", folder.string()));
  // Nobody goes on before the leader has seen that all can.
  team.broadcast("restored");
  return state_from_json(found.at("state"), identity);
}

}  // namespace alder::train
