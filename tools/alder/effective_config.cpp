#include "effective_config.hpp"

#include <sstream>
#include <vector>

namespace alder::tools {
namespace {

bool typed(const std::vector<std::string>& words, const std::string& name) {
  for (const std::string& word : words) {
    if (word == name || word.starts_with(name + "=")) return true;
  }
  return false;
}

std::string value_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return option.count() > 0 ? "true" : "false";
  if (option.count() == 0) return option.get_default_str();
  std::string text;
  for (const std::string& part : option.results()) text += (text.empty() ? "" : ",") + part;
  return text;
}

}  // namespace

nlohmann::ordered_json effective_config(const CLI::App& command, const std::string& command_line) {
  std::istringstream stream(command_line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);

  const CLI::Option* file = command.get_option_no_throw("--config");
  nlohmann::ordered_json result = nlohmann::ordered_json::object();
  for (const CLI::Option* option : command.get_options()) {
    if (option == file || option == command.get_help_ptr()) continue;
    const std::string name = option->get_name();
    std::string source = "default";
    if (option->count() > 0) {
      source = typed(words, name) ? "command line" : "config " + file->as<std::string>();
    }
    result[name.substr(name.find_first_not_of('-'))] = {{"value", value_of(*option)}, {"source", source}};
  }
  return result;
}

}  // namespace alder::tools
