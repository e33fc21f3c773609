#include "train/checkpoint_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "train/checkpoint.hpp"

namespace alder::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint-";

// The step in a checkpoint folder's name, or -1.
Step step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kPrefix)) return -1;
  Step step = -1;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return error == std::errc{} && rest == end ? step : -1;
}

// Newest first.
std::vector<fs::path> checkpoints(const fs::path& run) {
  std::vector<std::pair<Step, fs::path>> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(run)) {
    if (const Step step = step_of(entry.path()); step >= 0) found.emplace_back(step, entry.path());
  }
  std::ranges::sort(found, std::greater{});
  std::vector<fs::path> folders;
  for (auto& [step, folder] : found) folders.push_back(std::move(folder));
  return folders;
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

fs::path checkpoint_folder(const fs::path& run, Step step) {
  return run / fmt::format("{}{}", kPrefix, step);
}

fs::path unfinished(const fs::path& folder) {
  return folder.string() + ".tmp";
}

fs::path worker_file(const fs::path& folder, Rank worker, std::string_view suffix) {
  return folder / fmt::format("worker-{}{}.safetensors", worker, suffix);
}

Json read_state(const fs::path& folder) {
  Json state = Json::parse(read_text(folder / "state.json"), nullptr, false);
  if (state.is_discarded()) {
    fail("{} is not valid JSON; remove {} and name an older one in {}", (folder / "state.json").string(),
         folder.string(), (folder.parent_path() / "latest").string());
  }
  return state;
}

bool is_complete(const Json& state) {
  return state.at("workers").size() == state.at("identity").at("workers").get<std::size_t>();
}

std::optional<fs::path> newest_complete(const fs::path& run) {
  for (const fs::path& folder : checkpoints(run)) {
    // The index is the leader's; a node that keeps only its own workers' files has none.
    if (!fs::exists(folder / "state.json")) continue;
    if (is_complete(read_state(folder))) return folder;
  }
  return std::nullopt;
}

std::vector<std::string> superfluous_checkpoints(const fs::path& run, int keep) {
  const std::vector<fs::path> folders = checkpoints(run);
  const auto kept = static_cast<std::size_t>(std::max(1, keep));
  std::vector<std::string> names;
  if (folders.size() <= kept) return names;
  const auto complete = newest_complete(run);
  for (std::size_t i = kept; i < folders.size(); ++i) {
    if (folders[i] != complete) names.push_back(folders[i].filename().string());
  }
  return names;
}

void create_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("cannot create {}: {}", folder.string(), error.message());
}

void finish_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  fs::rename(unfinished(folder), folder, error);
  if (error)
    fail("cannot rename {} to {}: {}", unfinished(folder).string(), folder.string(), error.message());
  sync_folder(folder.parent_path());
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

}  // namespace alder::train
