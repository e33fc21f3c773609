#include "cuda/emulator/options.hpp"

#include <charconv>
#include <cstdlib>
#include <vector>

#include "base/error.hpp"

namespace alder::emulator {
namespace {

thread_local const Options* scoped = nullptr;

int64_t number(std::string_view key, std::string_view text, int64_t low, int64_t high) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    usage_error("emulator option {}={}: a whole number from {} to {} is wanted", key, text, low, high);
  }
  return value;
}

template <typename Enum>
Enum choice(std::string_view key, std::string_view text, const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
  }
  usage_error("{}", unknown_name(fmt::format("emulator {}", key), text, names));
}

const std::vector<std::string> kOrders = {"forward", "reverse", "random"};
const std::vector<std::string> kCopies = {"lazy", "eager", "random"};
const std::vector<std::string> kKeys = {"order",      "copies",          "seed", "threads",
                                        "capability", "multiprocessors", "bytes"};

void apply(Options& options, std::string_view key, std::string_view value) {
  if (key == "order") {
    options.order = choice<Order>(key, value, kOrders);
  } else if (key == "copies") {
    options.copies = choice<Copies>(key, value, kCopies);
  } else if (key == "seed") {
    options.seed = static_cast<uint64_t>(number(key, value, 0, INT64_MAX));
  } else if (key == "threads") {
    options.threads = static_cast<int>(number(key, value, 0, 1024));
  } else if (key == "capability") {
    options.compute_capability = static_cast<int>(number(key, value, 80, 90));
  } else if (key == "multiprocessors") {
    options.multiprocessors = static_cast<int>(number(key, value, 1, 1024));
  } else if (key == "bytes") {
    options.device_bytes = number(key, value, 0, INT64_MAX);
  } else {
    usage_error("{}", unknown_name("emulator option", key, kKeys));
  }
}

}  // namespace

std::string to_string(const Options& options) {
  return fmt::format("order={},copies={},seed={},threads={},capability={},multiprocessors={},bytes={}",
                     kOrders[static_cast<std::size_t>(options.order)],
                     kCopies[static_cast<std::size_t>(options.copies)], options.seed, options.threads,
                     options.compute_capability, options.multiprocessors, options.device_bytes);
}

Options parse_options(std::string_view text, Options base) {
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      usage_error("emulator option '{}': key=value is wanted; keys: {}", part, fmt::join(kKeys, ", "));
    }
    apply(base, part.substr(0, equals), part.substr(equals + 1));
  }
  return base;
}

const Options& options() {
  if (scoped != nullptr) return *scoped;
  static const Options from_environment = [] {
    const char* text = std::getenv("ALDER_EMULATOR");
    return text == nullptr ? Options{} : parse_options(text);
  }();
  return from_environment;
}

ScopedOptions::ScopedOptions(const Options& options) : options_(options), outer_(scoped) {
  scoped = &options_;
}
ScopedOptions::~ScopedOptions() {
  scoped = outer_;
}

}  // namespace alder::emulator
