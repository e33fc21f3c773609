#include "rdma/arrival_words.hpp"

#include <algorithm>

namespace alder::rdma {

ArrivalWords::Watch& ArrivalWords::find_or_add(Generation generation) {
  const auto it = std::ranges::find(watches_, generation.value(), &Watch::generation);
  if (it != watches_.end()) return *it;
  return watches_.emplace_back(Watch{.generation = generation.value(),
                                     .missing = std::vector<uint32_t>(words_.size()),
                                     .stored = std::vector<bool>(words_.size())});
}

void ArrivalWords::opened(Generation generation, std::span<const uint32_t> buckets) {
  Watch& watch = find_or_add(generation);
  watch.complete_list = true;
  watch.left = buckets.size();
  for (const uint32_t b : buckets) store(b);
}

void ArrivalWords::arrived(uint32_t edge, Generation generation, uint32_t bucket) {
  const auto it = std::ranges::find(watches_, generation.value(), &Watch::generation);
  if (it == watches_.end() || std::ranges::find(it->edges, edge) == it->edges.end()) return;
  if (it->missing[bucket] > 0) --it->missing[bucket];
  store(bucket);
}

void ArrivalWords::proceed(Generation generation, uint32_t bucket) {
  const auto it = std::ranges::find(watches_, generation.value(), &Watch::generation);
  if (it == watches_.end()) return;
  it->missing[bucket] = 0;
  store(bucket);
}

// A word says "this generation and all before it", so it never passes one that is not complete.
void ArrivalWords::store(uint32_t bucket) {
  for (Watch& watch : watches_) {
    if (watch.stored[bucket]) continue;
    if (!watch.complete_list || watch.missing[bucket] > 0) break;
    // Release: what arrived is visible to whoever sees the word.
    words_[bucket]->store(watch.generation + 1, std::memory_order_release);
    watch.stored[bucket] = true;
    --watch.left;
  }
  while (!watches_.empty() && watches_.front().complete_list && watches_.front().left == 0)
    watches_.pop_front();
}

}  // namespace alder::rdma
