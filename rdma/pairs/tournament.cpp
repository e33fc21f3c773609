#include "rdma/pairs/pairs.hpp"

namespace alder::rdma {

std::vector<std::vector<std::optional<Rank>>> tournament(int workers) {
  const int places = workers + workers % 2;  // with an odd number, the last place is empty
  std::vector<std::vector<std::optional<Rank>>> rounds;
  for (int round = 0; round + 1 < places; ++round) {
    std::vector<std::optional<Rank>> partners(static_cast<std::size_t>(workers));
    // Place 0 stays; the others stand on a circle of places - 1.
    const auto at = [&](int place) { return place == 0 ? 0 : 1 + (place - 1 + round) % (places - 1); };
    for (int i = 0; i < places / 2; ++i) {
      const Rank a = at(i), b = at(places - 1 - i);
      if (a >= workers || b >= workers) continue;
      partners[static_cast<std::size_t>(a)] = b;
      partners[static_cast<std::size_t>(b)] = a;
    }
    rounds.push_back(std::move(partners));
  }
  return rounds;
}

}  // namespace alder::rdma
