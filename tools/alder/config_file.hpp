// --config FILE of a subcommand.
#pragma once

#include <CLI/CLI.hpp>

namespace alder::tools {

// Adds --config: a TOML file whose keys are the command's long options without dashes, at the top or in a
// section named like the command ([train]); other sections are for other commands. What the command line
// gives wins. An unknown key is a UsageError that names the file, the key and the near ones. (CLI11 2.1 reads
// config files for the top command only, hence this.)
void add_config_option(CLI::App& command);

}  // namespace alder::tools
