// Whatever the text: the edge-list parser throws alder::Error or returns a simple graph with ranks in range.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"
#include "gossip/graph.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  constexpr int kWorkers = 8;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const alder::gossip::Graph graph = alder::gossip::parse_edge_list(text, "fuzz.txt", kWorkers);
    if (graph.nodes != kWorkers || !std::is_sorted(graph.edges.begin(), graph.edges.end())) std::abort();
    for (const auto& [a, b] : graph.edges) {
      if (a < 0 || a >= b || b >= kWorkers) std::abort();
    }
    if (std::adjacent_find(graph.edges.begin(), graph.edges.end()) != graph.edges.end()) std::abort();
  } catch (const alder::Error&) {
  }
  return 0;
}
