// Edge-list files: one "a b" pair a line, '#' begins a comment.
#include <charconv>

#include "base/error.hpp"
#include "base/file.hpp"
#include "gossip/graph.hpp"

namespace alder::gossip {
namespace {

constexpr std::string_view kBlank = " \t\r";

// Cuts the next word off the front of `line`; empty at its end.
std::string_view next_word(std::string_view& line) {
  const size_t begin = line.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return line = {};
  const size_t end = std::min(line.find_first_of(kBlank, begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

// What an error message shows of a line or word: short and free of control characters.
std::string shown(std::string_view text) {
  constexpr size_t kLongest = 40;
  std::string result(text.substr(0, kLongest));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
  }
  return text.size() > kLongest ? result + "..." : result;
}

struct Place {
  std::string_view origin;
  int line = 0;
};

Rank parse_rank(std::string_view word, int workers, Place place) {
  Rank rank = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), rank);
  if (error == std::errc::invalid_argument || end != word.data() + word.size()) {
    usage_error("{}, line {}: '{}' is no rank; write two whole numbers a line", place.origin, place.line,
                shown(word));
  }
  if (error != std::errc{} || rank < 0 || rank >= workers) {
    usage_error("{}, line {}: rank {} is outside 0..{}; ranks stay below --workers {}", place.origin,
                place.line, shown(word), workers - 1, workers);
  }
  return rank;
}

}  // namespace

Graph parse_edge_list(std::string_view text, std::string_view origin, int workers) {
  std::vector<Edge> edges;
  Place place{.origin = origin, .line = 0};
  while (!text.empty()) {
    ++place.line;
    const size_t newline = std::min(text.find('\n'), text.size());
    const std::string_view whole = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));

    std::string_view rest = whole.substr(0, whole.find('#'));
    const std::string_view first = next_word(rest);
    if (first.empty()) continue;
    const std::string_view second = next_word(rest);
    if (second.empty() || !next_word(rest).empty()) {
      usage_error("{}, line {}: '{}' is no pair of ranks; write two whole numbers a line", place.origin,
                  place.line, shown(whole));
    }
    const Edge edge{parse_rank(first, workers, place), parse_rank(second, workers, place)};
    if (edge.a == edge.b) {
      usage_error("{}, line {}: edge {}-{} is a self-loop; remove it", place.origin, place.line, edge.a,
                  edge.b);
    }
    edges.push_back(edge);
  }
  return make_graph(std::string(origin), workers, std::move(edges));
}

Graph read_edge_list(const std::filesystem::path& path, int workers) {
  return parse_edge_list(read_text(path), path.string(), workers);
}

}  // namespace alder::gossip
