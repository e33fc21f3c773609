// An edge's link between two processes of one node, through memory that both have mapped.
//
// Each end owns a segment: the neighbour writes models into its slots and messages into its mailbox. There is
// no connection that could break and be mended: a link is up from the first hello to the end of one of the
// processes.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "rdma/link.hpp"
#include "rdma/node/mailbox.hpp"
#include "rdma/node/segment.hpp"
#include "rdma/node/slot_writer.hpp"
#include "rdma/tuning.hpp"

namespace alder::rdma {

struct NodeLinkPlan {
  Rank self = 0, neighbour = 0;
  std::string host;
  std::string memory;  // NodeMemory::description
  bool receives = true;
  uint32_t capacity = 0;  // of both mailboxes
  const SlotLayout* layout = nullptr;
  const Tuning* tuning = nullptr;
};

class NodeLink final : public Link {
 public:
  // `own`: this end's segment, its records filled in.
  NodeLink(NodeLinkPlan plan, SharedSegment own, LinkEvents& events);

  const SharedSegment& own() const { return own_; }
  // The neighbour's segment is here, and its records are those of this edge. `writer`: into its slots; null:
  // this worker never sends there. `wake`: makes the neighbour's progress thread look; may be null.
  void connect(SharedSegment theirs, std::unique_ptr<SlotWriter> writer, std::function<void()> wake);

  void progress(int64_t now_ns) override;
  void post_bucket(Generation generation, uint32_t bucket, const Source& source) override;
  void post_header(Generation generation, const Header& header) override;
  bool takes_credits() const override { return state_ == State::up; }
  void post_credit(Generation generation) override;
  void post_farewell(bool failed) override;
  bool idle() const override { return state_ != State::up || waiting_.empty(); }
  void fail(const std::string& why) override;
  bool is_up() const override { return state_ == State::up; }
  // The flag is taken back by whoever wakes us.
  void arm() override;
  std::string ends() const override;
  std::string state(int64_t now_ns) const override;
  std::string trouble() const override { return why_; }

 private:
  enum class State : uint8_t { made, greeting, up, failing, failed };
  // A message on its way out, and the copy that it tells of.
  struct Outgoing {
    NodeMessage message;
    uint64_t copies = 0;  // that have to be finished first
    Generation generation{};
  };

  static NodeRecords& records(const SharedSegment& segment) {
    return *reinterpret_cast<NodeRecords*>(segment.data());
  }
  void greet();
  void hear_hello();
  void give();
  void take();
  void obey(const NodeMessage& message);
  void watch();
  void add(const NodeMessage& message, Generation generation = {});

  NodeLinkPlan plan_;
  SharedSegment own_, theirs_;
  LinkEvents& events_;
  std::unique_ptr<SlotWriter> writer_;
  std::function<void()> wake_;
  State state_ = State::made;
  std::deque<Outgoing> waiting_;
  uint64_t started_ = 0;  // copies
  std::string why_;
  int64_t now_ns_ = 0, begun_ns_ = 0, last_heard_ns_ = 0, last_said_ns_ = 0, last_look_ns_ = 0;
  uint64_t last_beat_heard_ = 0;
};

}  // namespace alder::rdma
