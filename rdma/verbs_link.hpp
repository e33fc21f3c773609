// An edge's link over queue pairs.
//
// Connections. The edge has a few, connected in advance, each an epoch. One is in use; when anything on it
// fails it is closed for good, the slots get a fresh key, and the next one is taken: nothing of the old one
// can reach the slots any more, and no message of the old one can be taken for one of the new. A connection
// begins with hellos:
//
//     hello (no `heard`)   ->     "I am at this epoch": the other side leaves its older connection
//     hello (`heard`)      <->    each side's last word before data: its slot key, and what it has received
//
// A side is up when it has the other's `heard` hello; it may send data then, since the other side has all of
// this one's. Both compare what was received with what they posted, and post the rest again.
//
// Data. A bucket is cut into chunks, dealt round to the data lanes; each lane's last write of the bucket
// carries an immediate (or is followed by an empty one that does). The receiver has the bucket when every
// lane that carries a part has told so.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "rdma/bucket_receiver.hpp"
#include "rdma/bucket_sender.hpp"
#include "rdma/connection.hpp"
#include "rdma/control_sender.hpp"
#include "rdma/failure.hpp"
#include "rdma/flusher.hpp"
#include "rdma/link.hpp"
#include "rdma/registrar.hpp"

namespace alder::rdma {

struct LinkPlan {
  Rank self = 0, neighbour = 0;
  std::string self_host, neighbour_host;
  const SlotLayout* layout = nullptr;
  const Tuning* tuning = nullptr;
  uint32_t chunk_bytes = 0;      // ours: the smaller of the knob and what the ports allow
  uint32_t rail = 0, rails = 1;  // this link carries the buckets b with b % rails == rail
  Region slots;                  // of this edge, at this end; no bytes: the neighbour never sends
  // Attached regions as this rail's device knows them, by index. Grows before anything of it is published.
  const std::deque<MemoryRegion>* sources = nullptr;
};

class VerbsLink final : public Link, public LaneOwner, public FlushWaiter {
 public:
  // `flusher`: null where arrivals are visible as they are. Throws Error.
  VerbsLink(Nic& nic, Registrar& registrar, Flusher* flusher, LinkPlan plan, LinkEvents& events);
  ~VerbsLink() override;

  // Setting up, before the progress thread runs.
  std::vector<ConnectionAddress> addresses() const;
  void connect(const RailAddress& theirs, uint32_t their_chunk_bytes);
  void start(int64_t now_ns);

  void progress(int64_t now_ns) override;
  void post_bucket(Generation generation, uint32_t bucket, const Source& source) override;
  void post_header(Generation generation, const Header& header) override;
  bool takes_credits() const override { return told_; }
  void post_credit(Generation generation) override;
  void post_farewell(bool failed) override;
  bool idle() const override;
  void fail(const std::string& why) override;
  bool is_up() const override { return state_ == State::up; }
  std::string ends() const override;
  std::string state(int64_t now_ns) const override;
  std::string trouble() const override { return first_.cause; }

 private:
  enum class State : uint8_t {
    made,      // before start
    waiting,   // for the last connection to drain, and for our port
    greeting,  // hello posted
    up,
    failing,  // draining
    failed,
  };
  // LaneOwner
  void on_sent(Lane& lane, uint64_t sequence) override;
  void on_received(Lane& lane, uint32_t immediate, uint32_t bytes) override;
  void on_error(Lane& lane, const Completion& completion, bool receiving) override;
  // FlushWaiter
  void on_flushed(uint16_t tag, uint32_t bucket) override;

  Connection* connection_of(const Lane& lane) const;
  Connection& current() { return *connections_.front(); }
  const Connection& current() const { return *connections_.front(); }
  std::unique_ptr<Connection> make_connection(uint64_t epoch);
  void begin();
  void greet();
  void leave(const std::string& cause, const std::string& likely);
  void retire();
  void receive_hello(Connection& connection, const Immediate& immediate, uint32_t bytes);
  void come_up(const ReceiveState& peer);
  void offer_spares();
  void receive_offer(uint32_t bytes);
  void start_failing(const FailureReport& report);
  void beat();
  void watch();
  void receive_control(Connection& connection, const Immediate& immediate, uint32_t bytes);
  void receive_part(uint32_t lane, const Immediate& immediate);
  void note_landed(uint16_t tag, uint32_t bucket) const;
  void refill(Lane& lane);
  void push_buckets(uint32_t lane);
  void push_control();
  std::string state_of(const Lane& lane) const;
  FailureReport report(std::string cause, std::string likely) const;

  Nic& nic_;
  Registrar& registrar_;
  Flusher* flusher_;
  LinkPlan plan_;
  LinkEvents& events_;
  Striping striping_;
  RailAddress remote_;

  State state_ = State::made;
  MemoryRegion slots_;                                   // registered anew in every epoch
  std::deque<std::unique_ptr<Connection>> connections_;  // the one in use, and the spare ones, by epoch
  std::vector<std::unique_ptr<Connection>> retired_;     // draining
  int64_t retired_since_ns_ = 0;
  uint64_t slot_address_ = 0;  // the neighbour's
  uint32_t slot_key_ = 0;
  bool heard_ = false;  // the neighbour's hello of this epoch
  bool told_ = false;   // our last hello of this epoch is posted
  bool offered_ = false;
  uint32_t unflushed_ = 0;  // buckets that arrived and are being made visible
  int32_t farewell_ = -1;   // the neighbour's, if it has come: 1 if it failed

  BucketSender buckets_out_;
  BucketReceiver buckets_in_;
  ControlSender control_out_;

  int64_t now_ns_ = 0, last_heard_ns_ = 0, last_said_ns_ = 0;
  int64_t not_before_ns_ = 0;  // the next connection is begun, unless the neighbour asks for it
  uint64_t last_beat_heard_ = 0;
  std::string why_;      // of failing
  FailureReport first_;  // what began the trouble that has not ended yet
  bool in_trouble_ = false;
  int64_t trouble_since_ns_ = 0;
  uint64_t breaks_ = 0, flushed_ = 0;
  FailureReport counters_;  // only its counters are used
};

}  // namespace alder::rdma
