// The rows that one worker used in an epoch, on their way to the leader.
#pragma once

#include <span>
#include <vector>

#include "gossip/noise.hpp"
#include "gossip/recipe.hpp"
#include "launch/bytes.hpp"
#include "train/metrics.hpp"

namespace alder::train {

class RowLog {
 public:
  void add(std::span<const gossip::RowEntry> row);
  // All rows since the last call, packed.
  Json take();

 private:
  ByteWriter packed_;
};

// One row a step. Throws Error when the record is damaged.
std::vector<std::vector<gossip::WeightedRank>> unpack_rows(const Json& packed);

}  // namespace alder::train
