// Which bucket has arrived from everyone: counts arrivals of the open generations and stores the words that a
// GPU's stream waits for.
//
// Threads: belongs to one progress thread, which is the only writer of the words.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/types.hpp"

namespace alder::rdma {

class ArrivalWords {
 public:
  void set_words(std::span<std::atomic<uint64_t>* const> words) { words_.assign(words.begin(), words.end()); }
  bool wanted() const { return !words_.empty(); }

  // A generation is made known edge by edge, then closed with opened(). `arrived(b)`: whether bucket b has.
  template <typename Arrived>
  void expect(Generation generation, uint32_t edge, std::span<const uint32_t> buckets, Arrived arrived) {
    Watch& watch = find_or_add(generation);
    watch.edges.push_back(edge);
    for (const uint32_t b : buckets) watch.missing[b] += arrived(b) ? 0 : 1;
  }
  void opened(Generation generation, std::span<const uint32_t> buckets);
  void arrived(uint32_t edge, Generation generation, uint32_t bucket);
  // The stream may go on with this bucket, whoever is missing.
  void proceed(Generation generation, uint32_t bucket);

 private:
  struct Watch {
    uint64_t generation = 0;
    std::vector<uint32_t> edges;
    std::vector<uint32_t> missing;  // arrivals, by bucket
    std::vector<bool> stored;       // by bucket
    std::size_t left = 0;           // buckets whose word is still behind
    bool complete_list = false;     // of edges
  };
  Watch& find_or_add(Generation generation);
  void store(uint32_t bucket);

  std::vector<std::atomic<uint64_t>*> words_;  // by bucket
  std::deque<Watch> watches_;                  // open generations, in order
};

}  // namespace alder::rdma
