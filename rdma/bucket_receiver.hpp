// Puts the parts of arriving buckets together: a bucket has arrived when every lane that carries a part of it
// has told so.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "rdma/immediate.hpp"
#include "rdma/striping.hpp"

namespace alder::rdma {

class BucketReceiver {
 public:
  BucketReceiver(const SlotLayout& layout, const Striping& striping);

  enum class Part : uint8_t { more_to_come, complete, impossible };
  // A part told by an immediate on this lane. Everything in the immediate is the neighbour's word and may be
  // anything; `impossible`: why() says what was expected.
  Part add(uint32_t lane, const Immediate& immediate);
  const std::string& why() const { return why_; }
  void forget_all();

 private:
  struct Arriving {
    uint16_t tag = 0;
    uint32_t lanes = 0;  // that have told, a bit each
  };
  const Striping& striping_;
  uint32_t buckets_;
  std::array<std::vector<Arriving>, 2> arriving_;  // by parity of the generation, and bucket
  std::string why_;
};

}  // namespace alder::rdma
