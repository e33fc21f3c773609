#include "rdma/devices/assignment.hpp"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/successive_shortest_path_nonnegative_weights.hpp>
#include <cstdint>
#include <map>

namespace alder::rdma {
namespace {

using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
using Graph = boost::adjacency_list<
    boost::vecS, boost::vecS, boost::directedS, boost::no_property,
    boost::property<boost::edge_capacity_t, int64_t,
                    boost::property<boost::edge_residual_capacity_t, int64_t,
                                    boost::property<boost::edge_reverse_t, Traits::edge_descriptor,
                                                    boost::property<boost::edge_weight_t, int64_t>>>>>;

// An edge and the reverse one that the flow algorithm works with.
Traits::edge_descriptor connect(Graph& graph, std::size_t from, std::size_t to, int64_t capacity,
                                int64_t cost) {
  const auto there = boost::add_edge(from, to, graph).first;
  const auto back = boost::add_edge(to, from, graph).first;
  boost::put(boost::edge_capacity, graph, there, capacity);
  boost::put(boost::edge_capacity, graph, back, 0);
  boost::put(boost::edge_weight, graph, there, cost);
  boost::put(boost::edge_weight, graph, back, -cost);
  boost::put(boost::edge_reverse, graph, there, back);
  boost::put(boost::edge_reverse, graph, back, there);
  return there;
}

// The cost of each class. One pair in a class weighs more than all pairs of the next better class, and that
// more than all differences of order: sums then compare as words in a dictionary, worst class first. Classes
// that do not occur need no room of their own, which keeps the sums of several hundred pairs within 64 bits.
std::map<Distance, int64_t> class_costs(const DistanceTable& distances, int64_t pairs,
                                        int64_t largest_order) {
  std::map<Distance, int64_t> costs;
  for (const auto& row : distances) {
    for (const Distance distance : row) costs[distance] = 0;
  }
  int64_t next = 0;
  for (auto& [distance, cost] : costs) {  // from the best class on
    cost = next;
    next = next == 0 ? pairs * largest_order + 1 : next * (pairs + 1);
  }
  return costs;
}

}  // namespace

std::vector<std::vector<std::size_t>> assign_cards(const DistanceTable& distances, std::size_t rails) {
  const std::size_t workers = distances.size();
  std::vector<std::vector<std::size_t>> chosen(workers);
  if (workers == 0) return chosen;
  const std::size_t cards = distances.front().size();
  const auto seats = static_cast<int64_t>((workers * rails + cards - 1) / cards);  // of a card
  const auto pairs = static_cast<int64_t>(workers * rails);
  const auto costs = class_costs(distances, pairs, static_cast<int64_t>(workers + cards));

  // Cheapest flow of `rails` units from each worker, one at most to a card, `seats` at most through a card.
  // It exists: rails / cards of a unit on every pair is one.
  const std::size_t source = workers + cards;
  const std::size_t sink = source + 1;
  Graph graph(sink + 1);
  std::vector<std::vector<Traits::edge_descriptor>> edges(workers);
  for (std::size_t worker = 0; worker < workers; ++worker) {
    connect(graph, source, worker, static_cast<int64_t>(rails), 0);
    for (std::size_t card = 0; card < cards; ++card) {
      const auto order = static_cast<int64_t>(std::max(worker, card) - std::min(worker, card));
      const int64_t cost = costs.at(distances[worker][card]) + order;
      edges[worker].push_back(connect(graph, worker, workers + card, 1, cost));
    }
  }
  for (std::size_t card = 0; card < cards; ++card) connect(graph, workers + card, sink, seats, 0);
  boost::successive_shortest_path_nonnegative_weights(graph, source, sink);

  const auto residual = boost::get(boost::edge_residual_capacity, graph);
  for (std::size_t worker = 0; worker < workers; ++worker) {
    for (std::size_t card = 0; card < cards; ++card) {
      if (residual[edges[worker][card]] == 0) chosen[worker].push_back(card);
    }
    std::ranges::stable_sort(chosen[worker], {}, [&](std::size_t card) { return distances[worker][card]; });
  }
  return chosen;
}

}  // namespace alder::rdma
