// Errors that a person reads: one line that names what, where, the value seen and the remedy.
#pragma once

#include <fmt/format.h>

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace alder {

// A run that failed: unreadable data, full disk, non-finite loss. The `alder` command exits with 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A request that cannot be meant: unknown name, value out of range. The `alder` command exits with 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void usage_error(fmt::format_string<Args...> format, Args&&... args) {
  throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}

// The sentence for a word that is none of `known`: names the near ones (edit distance at most a
// third of the word, or a common prefix), or all of them when none is near.
// unknown_name("model", "resnet20", {"resnet-20", ...})
//   -> "unknown model 'resnet20'; did you mean resnet-20?"
std::string unknown_name(std::string_view kind, std::string_view word, std::span<const std::string> known);

}  // namespace alder
