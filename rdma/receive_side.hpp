// The receiving half of an edge: which generations may arrive in which slot, and when a slot is given back.
//
// Pure bookkeeping: no link, no clock, no threads. Everything that comes from the neighbour (tags, buckets,
// headers) may be anything; what cannot be is refused with both values.
//
// The rule of a slot (one a parity):
//
//     free  --first arrival of generation g-->  taken by g  --all of g arrived, and g released here--> credit
//     g
//      ^                                                                                                  |
//      +---------------------------------------- next = g + 2 --------------------------------------------+
//
// The credit waits for arrival as well as for release, so that credits in flight never exceed two, and a
// worker that gave up on a generation cannot have its slot written while it does so.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "exchange/exchange.hpp"
#include "rdma/control_records.hpp"

namespace alder::rdma {

class ReceiveSide {
 public:
  // `first`: no generation below it will arrive. `buckets`: those that make a generation whole on this rail.
  // `header`: whether a header belongs to it too.
  ReceiveSide(Generation first, std::vector<uint32_t> buckets, bool header);

  struct Verdict {
    Generation generation;  // what the tag stands for
    std::string error;      // empty: all is well
  };
  Verdict bucket(uint16_t tag, uint32_t bucket);
  Verdict header(uint16_t tag, const Header& header);

  // This worker has released every generation below.
  void release(uint64_t below);
  // A generation whose slot is to be given back, once each.
  std::optional<Generation> take_credit();

  const ReceiveState& state() const { return state_; }

 private:
  Verdict find(uint16_t tag);

  std::vector<uint32_t> buckets_;
  bool header_;
  ReceiveState state_;
  std::array<std::size_t, 2> arrived_{};  // buckets, by parity
  uint64_t released_below_ = 0;
};

}  // namespace alder::rdma
