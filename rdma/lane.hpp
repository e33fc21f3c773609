// One queue pair and the books of its two queues.
//
// Requests are numbered as they are posted, and the number comes back in the completion, so that one
// signalled completion retires all requests before it. The last request of every post is signalled: then the
// last one posted always completes, with success or flushed, and that is how a lane knows that it has
// drained.
//
// Threads: the progress thread of its Nic, after construction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "rdma/descriptor.hpp"
#include "rdma/handles.hpp"
#include "rdma/path.hpp"
#include "rdma/tuning.hpp"

namespace alder::rdma {

class Lane;
class Nic;

// Who is told of a lane's completions.
class LaneOwner {
 public:
  virtual ~LaneOwner() = default;
  // All requests up to and with this one have been sent.
  virtual void on_sent(Lane& lane, uint64_t sequence) = 0;
  // A WRITE_WITH_IMM of `bytes` has arrived. The receive it used is posted again by Lane::refill.
  virtual void on_received(Lane& lane, uint32_t immediate, uint32_t bytes) = 0;
  // Anything but success; a lane that is being closed on purpose reports nothing.
  virtual void on_error(Lane& lane, const Completion& completion, bool receiving) = 0;
};

// Where a lane of the neighbour is.
struct RemoteLane {
  QueuePairAddress address;
  uint16_t lid = 0;
  ibv_gid gid{};
  ibv_mtu mtu = IBV_MTU_1024;  // the smaller of both ends
};

class Lane {
 public:
  // `size`: requests and receives that may be in flight, and bytes inline, of which fewer may be granted.
  // `remote_access`: ibv_access_flags. Throws Error.
  Lane(Nic& nic, LaneOwner& owner, QueuePairSize size, unsigned remote_access);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  QueuePairAddress address() const { return {.number = qp_.number(), .psn = psn_}; }
  uint32_t number() const { return qp_.number(); }
  uint32_t inline_bytes() const { return inline_bytes_; }

  // To ready-to-send, with all receives posted. Throws Error with the call and both ends' addresses.
  void connect(const RemoteLane& remote, const Tuning& tuning);

  uint32_t room() const { return send_depth_ - static_cast<uint32_t>(posted_ - sent_); }
  // At most room() requests. Fills in ids, and signals the last one. 0 or an errno value.
  int post(std::span<WorkRequest> requests);
  uint64_t posted() const { return posted_; }  // number of the last request; the first is 1
  uint64_t sent() const { return sent_; }      // of the last one known to have been sent
  // Whether enough receives were used for a batch of new ones.
  bool refill_due() const { return receive_depth_ - receives_ >= std::min(receive_depth_ / 2, 16U); }
  // Posts the receives that arrivals have used. 0 or an errno value.
  int refill();

  // Stops both queues: from now on the memory of this lane is neither read nor written by the device, and
  // nothing is reported.
  void close();
  bool drained() const { return sent_ >= posted_ && receives_ == 0; }
  uint64_t flushed() const { return flushed_; }

  ibv_qp* queue_pair() const { return qp_.get(); }
  void handle(const Completion& completion);  // by Nic

 private:
  uint64_t id(bool receiving, uint64_t sequence) const;

  Nic& nic_;
  LaneOwner& owner_;
  uint32_t send_depth_, receive_depth_;
  QueuePair qp_;
  uint32_t inline_bytes_;  // granted
  uint32_t psn_;
  unsigned remote_access_;
  uint32_t index_ = 0;     // in the Nic's register
  uint32_t receives_ = 0;  // posted and not completed
  uint64_t posted_ = 0, sent_ = 0, flushed_ = 0;
  bool closed_ = false;
};

}  // namespace alder::rdma
