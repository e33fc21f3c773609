// The options that were in force and where each came from.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace alder::tools {

// {option: {"value": text, "source": "default" | "command line" | "config FILE"}} for all options of a
// parsed command but --help and --config. An option on the command line wins over the config file.
nlohmann::ordered_json effective_config(const CLI::App& command, const std::string& command_line);

}  // namespace alder::tools
