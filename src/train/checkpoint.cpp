#include "train/checkpoint.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "base/error.hpp"
#include "base/file.hpp"
#include "train/safetensors.hpp"

namespace alder::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint-";

fs::path worker_file(const fs::path& folder, Rank rank, std::string_view suffix) {
  return folder / fmt::format("worker-{}{}.safetensors", rank, suffix);
}

// The tensors of an array in PyTorch's order, as views into it.
void add_views(std::map<std::string, TensorView>& views, std::span<const Tensor> tensors,
               std::span<const float> array, std::string_view prefix) {
  for (const Tensor& tensor : tensors) {
    views[std::string(prefix) + tensor.name] = {DType::f32, tensor.shape,
                                                std::as_bytes(array.subspan(tensor.offset, tensor.elements))};
  }
}

void read_tensors(const SafeTensors& file, std::span<const Tensor> tensors, std::string_view prefix,
                  std::span<float> array) {
  for (const Tensor& tensor : tensors) {
    const auto values = file.floats(std::string(prefix) + tensor.name, tensor.shape);
    std::ranges::copy(values, array.begin() + static_cast<std::ptrdiff_t>(tensor.offset));
  }
}

std::map<std::string, std::string> metadata(const Network& network, Step step) {
  return {{"format", "pt"},
          {"alder.model", network.name},
          {"alder.classes", std::to_string(network.classes)},
          {"alder.step", std::to_string(step)}};
}

void check_model(const SafeTensors& file, const fs::path& path, const Network& network) {
  const auto model = file.metadata().find("alder.model");
  if (model != file.metadata().end() && model->second != network.name) {
    fail("{} holds a {}, not a {}; give --model {}", path.string(), model->second, network.name,
         model->second);
  }
}

Json counters_to_json(const EpochCounters& counters) {
  const auto shares = [](const std::map<Rank, int64_t>& map) {
    Json object = Json::object();
    for (const auto& [rank, count] : map) object[std::to_string(rank)] = count;
    return object;
  };
  return {
      {"loss_sum", counters.loss_sum},
      {"steps", counters.steps},
      {"correct", counters.correct},
      {"pictures", counters.pictures},
      {"leader_best", shares(counters.leader_best)},
      {"leader_degree", shares(counters.leader_degree)},
      {"seconds",
       {counters.seconds_data, counters.seconds_compute, counters.seconds_combine, counters.seconds_wait}}};
}

EpochCounters counters_from_json(const Json& json) {
  EpochCounters counters;
  json.at("loss_sum").get_to(counters.loss_sum);
  json.at("steps").get_to(counters.steps);
  json.at("correct").get_to(counters.correct);
  json.at("pictures").get_to(counters.pictures);
  for (const auto& [rank, count] : json.at("leader_best").items())
    counters.leader_best[std::stoi(rank)] = count;
  for (const auto& [rank, count] : json.at("leader_degree").items())
    counters.leader_degree[std::stoi(rank)] = count;
  const auto seconds = json.at("seconds").get<std::vector<double>>();
  counters.seconds_data = seconds.at(0);
  counters.seconds_compute = seconds.at(1);
  counters.seconds_combine = seconds.at(2);
  counters.seconds_wait = seconds.at(3);
  return counters;
}

Json state_to_json(const RunState& state, std::span<const std::unique_ptr<Worker>> workers) {
  Json per_worker = Json::array();
  for (const auto& worker : workers) {
    const auto ranking = worker->ranking().value();
    per_worker.push_back({{"rank", worker->rank()},
                          {"ranking_loss", ranking ? Json(*ranking) : Json(nullptr)},
                          {"last_finite_loss", worker->last_finite_loss()},
                          {"counters", counters_to_json(worker->counters())}});
  }
  return {{"schema", 1},
          {"identity", state.identity},
          {"step", state.step},
          {"seconds", state.seconds},
          {"training_seconds", state.training_seconds},
          {"variance_inflation_sum", state.variance_inflation_sum},
          {"variance_inflation_count", state.variance_inflation_count},
          {"bytes_sent", state.bytes_sent},
          {"bytes_sent_at_epoch", state.bytes_sent_at_epoch},
          {"workers", per_worker}};
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

// The step in a checkpoint folder's name, or -1.
Step step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kPrefix)) return -1;
  Step step = -1;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return error == std::errc{} && rest == end ? step : -1;
}

void remove_old(const fs::path& run, int keep) {
  std::vector<std::pair<Step, fs::path>> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(run)) {
    if (const Step step = step_of(entry.path()); step >= 0) found.emplace_back(step, entry.path());
  }
  std::ranges::sort(found, std::greater{});
  for (std::size_t i = static_cast<std::size_t>(std::max(1, keep)); i < found.size(); ++i) {
    std::error_code ignored;  // an old checkpoint that cannot be removed costs space, nothing else
    fs::remove_all(found[i].second, ignored);
  }
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

void save_model(const fs::path& path, const Engine& engine, std::span<const float> model, Step step) {
  const Network& network = engine.network();
  std::vector<float> array(network.elements);
  engine.export_array(model, array);
  std::map<std::string, TensorView> views;
  add_views(views, network.parameters, array, "");
  add_views(views, network.statistics, array, "");
  write_safetensors(path, views, metadata(network, step));
}

void load_model(const fs::path& path, const Engine& engine, std::span<float> model) {
  const Network& network = engine.network();
  const SafeTensors file = SafeTensors::read(path);
  check_model(file, path, network);
  std::vector<float> array(network.elements);
  read_tensors(file, network.parameters, "", array);
  read_tensors(file, network.statistics, "", array);
  engine.import_array(array, model);
}

void save_checkpoint(const fs::path& run, const RunState& state,
                     std::span<const std::unique_ptr<Worker>> workers, int keep) {
  const fs::path folder = run / fmt::format("{}{}", kPrefix, state.step);
  const fs::path temporary = folder.string() + ".tmp";
  std::error_code error;
  fs::remove_all(temporary, error);
  if (!fs::create_directories(temporary, error) || error) {
    fail("cannot create {}: {}", temporary.string(), error.message());
  }
  try {
    for (const auto& worker : workers) {
      Engine& engine = worker->engine();
      save_model(worker_file(temporary, worker->rank(), ""), engine, worker->model(), state.step);
      std::vector<float> array(engine.network().elements);
      engine.export_array(engine.momentum(), array);
      std::map<std::string, TensorView> views;
      add_views(views, engine.network().parameters, array, "momentum.");
      write_safetensors(worker_file(temporary, worker->rank(), ".optimizer"), views,
                        metadata(engine.network(), state.step));
    }
    write_atomically(temporary / "state.json", state_to_json(state, workers).dump(1) + "\n");
    fs::remove_all(folder, error);
    fs::rename(temporary, folder, error);
    if (error) fail("cannot rename {} to {}: {}", temporary.string(), folder.string(), error.message());
  } catch (...) {
    fs::remove_all(temporary, error);
    throw;
  }
  sync_folder(run);
  write_atomically(run / "latest", folder.filename().string() + "\n");
  remove_old(run, keep);
}

fs::path newest_checkpoint(const fs::path& run) {
  if (!fs::exists(run / "latest")) {
    fail("no checkpoint in {}: there is no file 'latest'; give a run folder that saved one", run.string());
  }
  std::string name = read_text(run / "latest");
  while (!name.empty() && (name.back() == '\n' || name.back() == '\r')) name.pop_back();
  const fs::path folder = run / name;
  if (step_of(folder) < 0 || !fs::is_directory(folder)) {
    fail("{} names '{}', which is no checkpoint folder of this run", (run / "latest").string(), name);
  }
  return folder;
}

RunState load_checkpoint(const fs::path& run, const Identity& identity,
                         std::span<const std::unique_ptr<Worker>> workers) {
  const fs::path folder = newest_checkpoint(run);
  const fs::path path = folder / "state.json";
  const Json json = Json::parse(read_text(path), nullptr, false);
  if (json.is_discarded())
    fail("{} is not valid JSON; remove {} and name an older one in {}", path.string(), folder.string(),
         (run / "latest").string());
  check_identity(json.at("identity"), identity, folder);

  RunState state{.identity = identity};
  json.at("step").get_to(state.step);
  json.at("seconds").get_to(state.seconds);
  json.at("training_seconds").get_to(state.training_seconds);
  json.at("variance_inflation_sum").get_to(state.variance_inflation_sum);
  json.at("variance_inflation_count").get_to(state.variance_inflation_count);
  json.at("bytes_sent").get_to(state.bytes_sent);
  json.at("bytes_sent_at_epoch").get_to(state.bytes_sent_at_epoch);
  for (const auto& worker : workers) {
    const Json& saved = json.at("workers").at(static_cast<std::size_t>(worker->rank()));
    const Json& ranking = saved.at("ranking_loss");
    worker->ranking().restore(ranking.is_null() ? std::nullopt : std::optional(ranking.get<float>()));
    worker->restore_last_finite_loss(saved.at("last_finite_loss").get<double>());
    worker->counters() = counters_from_json(saved.at("counters"));

    Engine& engine = worker->engine();
    load_model(worker_file(folder, worker->rank(), ""), engine, worker->model());
    const SafeTensors file = SafeTensors::read(worker_file(folder, worker->rank(), ".optimizer"));
    std::vector<float> array(engine.network().elements);
    read_tensors(file, engine.network().parameters, "momentum.", array);
    engine.import_array(array, engine.momentum());
  }
  return state;
}

}  // namespace alder::train
