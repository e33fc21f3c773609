// One edge's way to its neighbour: what carries buckets, headers and credits, below the protocol that says
// when they may be carried (rdma/edge.hpp).
//
// Implementations: queue pairs (rdma/verbs_link.hpp). Neighbours of one node can have others under the same
// protocol: the owner of the slots is always the receiver, the sender writes into them.
//
// Threads: a link and its events belong to one progress thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/types.hpp"
#include "exchange/exchange.hpp"
#include "rdma/control_records.hpp"

namespace alder::rdma {

// Where a published bucket stands: an address within the attached region of that index.
struct Source {
  uint64_t address = 0;
  uint32_t region = 0;
};

// What a link tells the protocol. Called from within Link::progress only.
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  // What has arrived here so far, for the neighbour to go on from.
  virtual ReceiveState receive_state() const = 0;
  // The link carries from now on; `peer` is what has arrived there. After a break whatever was posted and is
  // neither reported sent nor in `peer` has to be posted again.
  virtual void on_up(const ReceiveState& peer) = 0;
  // The link is broken and tries to come up again. Nothing that was posted will be reported any more.
  virtual void on_down() = 0;
  // Arrivals. Bucket numbers and tags are the neighbour's word: a bucket is below the number of buckets, a
  // tag may be any.
  virtual void on_bucket(uint16_t tag, uint32_t bucket) = 0;
  virtual void on_header(uint16_t tag, const Header& header) = 0;
  virtual void on_credit(uint16_t tag) = 0;
  virtual void on_farewell(bool neighbour_failed) = 0;
  // The source of a bucket is not read any more.
  virtual void on_bucket_sent(Generation generation, uint32_t bucket) = 0;
  virtual void on_header_sent(Generation generation) = 0;
  // For good. No memory of ours is read or written through the link any more. `why`: one paragraph for a
  // person.
  virtual void on_failed(const std::string& why) = 0;
};

class Link {
 public:
  virtual ~Link() = default;

  // Moves everything on that can move: connections, heartbeats, limits of time. Often.
  virtual void progress(int64_t now_ns) = 0;

  // Between on_up and on_down or on_failed only. None of them blocks or allocates; what does not fit into a
  // queue now goes out later, in order.
  virtual void post_bucket(Generation generation, uint32_t bucket, const Source& source) = 0;
  virtual void post_header(Generation generation, const Header& header) = 0;
  // Whether a credit can be posted. If not, the next receive_state() tells it.
  virtual bool takes_credits() const = 0;
  virtual void post_credit(Generation generation) = 0;

  // Says that nothing follows, where that can still be said; on_farewell at the other end.
  virtual void post_farewell(bool failed) = 0;
  // Whether all that was posted has been sent, or never will be.
  virtual bool idle() const = 0;
  // Ends the link: on_failed(why) follows, once no memory is touched any more. Only the first call counts.
  virtual void fail(const std::string& why) = 0;

  virtual bool is_up() const = 0;
  // Whether an arrival wakes a progress thread that sleeps on its network card; if not, it must not sleep
  // long.
  virtual bool wakes() const { return true; }
  // Before the last look of a progress thread that goes to sleep: from now on an arrival wakes it.
  virtual void arm() {}
  // "worker 3 (hosta mlx5_0:1, GID fe80::1, QPs 0x11 0x12) - worker 7 (...)", for messages.
  virtual std::string ends() const = 0;
  // How it is, in one clause: up or not, queue pairs, counters, the last sign of life.
  virtual std::string state(int64_t now_ns) const = 0;
  // What broke it last, in one sentence; empty if nothing did.
  virtual std::string trouble() const = 0;
};

}  // namespace alder::rdma
