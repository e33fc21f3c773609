// The 8-node graph that the MATCHA and AL-DSGD releases ship, its relabelled copies and sparser variants.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "gossip/graph.hpp"

namespace alder::gossip {

// New label of node v in the release's second and third graph.
inline constexpr std::array<Rank, 8> kSecondLabels{3, 4, 7, 0, 1, 6, 5, 2};
inline constexpr std::array<Rank, 8> kThirdLabels{6, 3, 5, 1, 7, 2, 0, 4};

// The five matchings of g8 in the release's order: 12 edges of an Erdos-Renyi graph.
std::span<const Matching> release_matchings();

// "g8", its copies "g8-b" and "g8-c", and "g8-10", "g8-9", "g8-7", "g8-5" by number of edges; none for other
// names.
std::optional<Graph> release_graph(std::string_view name);

// Labels of the release's N-cycle (identity first) for g8 and its sparser variants; empty when the release
// has no such cycle: another graph, or more than three copies.
std::vector<std::vector<Rank>> release_cycle(std::string_view graph, int copies);

}  // namespace alder::gossip
