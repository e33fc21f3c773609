// The sending half of an edge: what waits to be sent, what may be sent, and what has become of it.
//
// Pure bookkeeping: no link, no clock, no threads. The rule of flow control, always asserted: a generation is
// posted into a slot only when the previous one in that slot (same parity) has been credited. For consecutive
// generations that is `generation - consumed < 2`.
//
// Items leave in the order in which they were given, so a bucket of a later generation never overtakes that
// of an earlier one.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "exchange/exchange.hpp"
#include "rdma/control_records.hpp"
#include "rdma/link.hpp"

namespace alder::rdma {

class SendSide {
 public:
  // As for ReceiveSide.
  SendSide(Generation first, std::vector<uint32_t> buckets, bool header);

  struct Item {
    Generation generation;
    bool is_header = false;
    uint32_t bucket = 0;
    Source source{};  // of a bucket
    Header header{};  // sealed
  };
  void give(const Item& item) { waiting_.push_back(item); }

  // The next item, if it may be posted now; null otherwise. Then posted(), or nothing.
  const Item* next() const;
  void posted();

  // False: it was known to be sent before.
  bool bucket_sent(Generation generation, uint32_t bucket);
  void header_sent(Generation generation);
  // What cannot be is refused with both values; empty: all is well.
  std::string credit(uint16_t tag);

  struct SentBucket {
    Generation generation;
    uint32_t bucket = 0;
  };
  struct Reconciled {
    std::vector<SentBucket> sent;  // now known to have arrived
    std::size_t again = 0;         // items to be posted again
    std::string error;             // empty: all is well
  };
  // After a break: compares with what the neighbour has, and puts back at the head of the queue whatever was
  // posted and has not arrived.
  Reconciled reconcile(const ReceiveState& peer);

  bool idle() const { return waiting_.empty() && !slots_[0].held && !slots_[1].held; }
  // "generation 12: 3 of 4 posted, 2 sent, not read yet; 5 wait", or "nothing".
  std::string state() const;
  // Nothing waits for the link; a credit may still be outstanding.
  bool drained() const;
  // Generations posted and not credited: 0, 1 or 2.
  int outstanding() const { return slots_[0].held + slots_[1].held; }

 private:
  enum class Progress : uint8_t { none, posted, sent };
  struct Entry {
    Progress progress = Progress::none;
    Item item;
  };
  // What the neighbour's slot of one parity holds of ours.
  struct Slot {
    bool held = false;
    bool credited = false;  // the slot is free once our own completions are in, too
    uint64_t generation = 0;
    std::vector<Entry> entries;  // in the order of `buckets`, then the header
    uint64_t next = 0;           // no generation below it may be posted any more
  };
  std::size_t entry_of(const Item& item) const;
  void take(Slot& slot, Generation generation);
  void settle(Slot& slot);
  bool matches(const Slot& slot, Generation generation) const;

  std::vector<uint32_t> buckets_;
  bool header_;
  std::deque<Item> waiting_;
  std::array<Slot, 2> slots_;
};

}  // namespace alder::rdma
