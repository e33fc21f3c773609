#include "exchange/edges.hpp"

namespace alder {
namespace {

void check_list(Rank self, int workers, const char* name, const std::vector<Rank>& ranks) {
  Rank previous = -1;
  for (const Rank rank : ranks) {
    if (rank < 0 || rank >= workers) {
      misuse("worker {} opens {} with worker {}, but workers are 0 .. {}", self, name, rank, workers - 1);
    }
    if (rank == self) misuse("worker {} opens {} with itself", self, name);
    if (rank <= previous)
      misuse("worker {} opens {} with worker {} after worker {}; sort by rank", self, name, rank, previous);
    previous = rank;
  }
}

}  // namespace

void check_live_edges(Rank self, int workers, const LiveEdges& live) {
  check_list(self, workers, "send_to", live.send_to);
  check_list(self, workers, "receive_from", live.receive_from);
}

}  // namespace alder
