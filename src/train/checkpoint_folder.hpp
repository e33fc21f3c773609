// The folders of checkpoints: names, what is newest, what is removed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.hpp"
#include "train/metrics.hpp"

namespace alder::train {

std::filesystem::path checkpoint_folder(const std::filesystem::path& run, Step step);
// The name under which it is written.
std::filesystem::path unfinished(const std::filesystem::path& folder);
// `suffix`: "" for the model, ".optimizer" for the momentum.
std::filesystem::path worker_file(const std::filesystem::path& folder, Rank worker, std::string_view suffix);

// state.json of a checkpoint. Throws Error when it is not there or no JSON.
Json read_state(const std::filesystem::path& folder);
// Whether the files of all workers of its run belong to it.
bool is_complete(const Json& state);
// The newest one with all workers.
std::optional<std::filesystem::path> newest_complete(const std::filesystem::path& run);

// Names of all but the newest `keep`, and not of the newest complete one.
std::vector<std::string> superfluous_checkpoints(const std::filesystem::path& run, int keep);

void create_folder(const std::filesystem::path& folder);  // and its parents; Error
// Gives `folder` its final name; what had it before is removed. Error.
void finish_folder(const std::filesystem::path& folder);

}  // namespace alder::train
