#include "config_file.hpp"

#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"

namespace alder::tools {
namespace {

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  return names;
}

void apply(CLI::App& command, const std::string& path, const CLI::ConfigItem& item) {
  if (item.name == "++" || item.name == "--") return;  // CLI11's marks for the ends of a section
  if (!item.parents.empty() && item.parents != std::vector{command.get_name()}) return;
  CLI::Option* option = item.name == "config" ? nullptr : command.get_option_no_throw("--" + item.name);
  if (option == nullptr) {
    throw UsageError(path + ": " + unknown_name("option", item.name, option_names(command)));
  }
  if (option->count() > 0) return;
  if (option->get_items_expected_max() == 0) {
    const bool on = CLI::detail::to_flag_value(item.inputs.empty() ? "true" : item.inputs.front()) > 0;
    if (!on) return;
    option->add_result("true");
  } else {
    option->add_result(item.inputs);
  }
  option->run_callback();
}

}  // namespace

void add_config_option(CLI::App& command) {
  const auto read = [&command](const std::string& path) {
    read_text(path);  // for its error: CLI11 would not say why
    for (const CLI::ConfigItem& item : CLI::ConfigTOML().from_file(path)) apply(command, path, item);
  };
  command
      .add_option_function<std::string>("--config", read,
                                        "Read options from a TOML file (the command line wins)")
      ->configurable(false);
}

}  // namespace alder::tools
