// How well each two workers of a job reach each other: time, rate and correctness of what arrives, over the
// exchange that training would use.
//
// All pairs are met in n - 1 rounds (n for odd n), each a perfect matching, so that no worker is in two pairs
// at once; the pairs of a round run at the same time, as the edges of a training step do.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "exchange/exchange.hpp"
#include "launch/rendezvous.hpp"

namespace alder::rdma {

struct PairOptions {
  std::size_t bytes = std::size_t{8} << 20;    // of a transfer; a multiple of 4
  int round_trips = 500;                       // of a message of 64 bytes and its header
  int transfers = 20;                          // in each direction, both at once
  std::chrono::milliseconds deadline{30'000};  // for one pair's one measurement
};

// What one worker saw of another.
struct PairResult {
  Rank rank = 0, partner = 0;
  double one_way_us = 0;            // half the median round trip
  double gigabytes_per_second = 0;  // received, while as much is sent
  int64_t wrong = 0;                // values that were not those that had been sent
  std::string trouble;              // why there are no figures; empty: there are
};

struct PairReport {
  std::vector<std::string> hosts;    // by rank
  std::vector<PairResult> results;   // by rank, then by partner
  std::vector<std::string> remarks;  // of the exchange: ports and ways, those of rank 0
};

// Partners of each round: rounds[r][rank], or nothing for who sits out. Every two ranks meet exactly once.
// The circle method: one stays, the others move on by a place.
std::vector<std::vector<std::optional<Rank>>> tournament(int workers);

// Makes the exchange of all pairs with buckets of that many floats. Called twice, with a rendezvous whose
// keys do not collide.
using PairExchange = std::function<std::unique_ptr<Exchange>(Rendezvous&, std::vector<std::size_t> buckets)>;

// All ranks together. The report on rank 0; nothing on the others. Throws Error when the workers cannot
// connect at all.
std::optional<PairReport> examine_pairs(Rendezvous& rendezvous, const PairExchange& make,
                                        const PairOptions& options);

// 0: all well; 3: a pair is much slower than the median pair; 4: wrong data, or a pair without figures.
int exit_code(const PairReport& report);
// Two matrices, a row for each receiver, and a line for each pair that stands out.
std::string to_text(const PairReport& report);
nlohmann::json to_json(const PairReport& report);

}  // namespace alder::rdma
