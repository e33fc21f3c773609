#include "base/error.hpp"

#include <algorithm>
#include <vector>

namespace alder {
namespace {

// Levenshtein distance, one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

bool near(std::string_view word, std::string_view name) {
  if (word.size() >= 2 && (name.starts_with(word) || word.starts_with(name))) return true;
  return edit_distance(word, name) <= std::max<std::size_t>(1, word.size() / 3);
}

}  // namespace

std::string unknown_name(std::string_view kind, std::string_view word, std::span<const std::string> known) {
  std::vector<std::string> close;
  for (const std::string& name : known) {
    if (near(word, name)) close.push_back(name);
  }
  if (close.empty()) {
    return fmt::format("unknown {} '{}'; known: {}", kind, word, fmt::join(known, ", "));
  }
  std::ranges::stable_sort(close, {}, [&](const std::string& name) { return edit_distance(word, name); });
  if (close.size() > 3) close.resize(3);
  return fmt::format("unknown {} '{}'; did you mean {}?", kind, word, fmt::join(close, ", "));
}

}  // namespace alder
