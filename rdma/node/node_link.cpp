#include "rdma/node/node_link.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

constexpr int64_t kLookEveryNs = 20'000'000;  // whether the neighbour's process is still there

int64_t to_ns(std::chrono::milliseconds time) {
  return std::chrono::nanoseconds(time).count();
}

}  // namespace

NodeLink::NodeLink(NodeLinkPlan plan, SharedSegment own, LinkEvents& events)
    : plan_(std::move(plan)), own_(std::move(own)), events_(events) {}

void NodeLink::connect(SharedSegment theirs, std::unique_ptr<SlotWriter> writer, std::function<void()> wake) {
  theirs_ = std::move(theirs);
  writer_ = std::move(writer);
  wake_ = std::move(wake);
  records(theirs_).mapped.store(1, std::memory_order_release);
  state_ = State::greeting;
}

std::string NodeLink::ends() const {
  return fmt::format("worker {} and worker {} on {}, {}", plan_.self, plan_.neighbour, plan_.host,
                     plan_.memory);
}

std::string NodeLink::state(int64_t now_ns) const {
  constexpr std::array<const char*, 5> kStates{"not begun", "greeting", "up", "failing", "failed"};
  return fmt::format("{} over {}, {} messages wait; last sign of life {:.1f} s ago",
                     kStates[static_cast<std::size_t>(state_)], plan_.memory, waiting_.size(),
                     static_cast<double>(now_ns - last_heard_ns_) * 1e-9);
}

void NodeLink::fail(const std::string& why) {
  if (state_ == State::failing || state_ == State::failed) return;
  why_ = fmt::format("edge {}-{} ({}): {}", plan_.self, plan_.neighbour, ends(), why);
  state_ = State::failing;
}

// ---- out ----

void NodeLink::add(const NodeMessage& message, Generation generation) {
  waiting_.push_back({message, started_, generation});
}

void NodeLink::post_bucket(Generation generation, uint32_t bucket, const Source& source) {
  writer_->start(plan_.layout->offset(generation, bucket), source, plan_.layout->bytes(bucket));
  ++started_;
  add({.kind = NodeMessage::Kind::bucket, .tag = tag_of(generation.value()), .bucket = bucket}, generation);
}

void NodeLink::post_header(Generation generation, const Header& header) {
  add({.kind = NodeMessage::Kind::header, .tag = tag_of(generation.value()), .header = header}, generation);
}

void NodeLink::post_credit(Generation generation) {
  add({.kind = NodeMessage::Kind::credit, .tag = tag_of(generation.value())});
}

void NodeLink::post_farewell(bool failed) {
  add({.kind = NodeMessage::Kind::farewell, .tag = failed ? 1U : 0U});
}

// Messages whose copies are finished go into the neighbour's mailbox, as far as it has room.
void NodeLink::give() {
  NodeRecords& there = records(theirs_);
  const uint64_t finished = writer_ ? writer_->finished() : 0;
  uint64_t given = there.given.load(std::memory_order_relaxed);
  const uint64_t before = given;
  while (!waiting_.empty() && waiting_.front().copies <= finished) {
    const uint64_t taken = there.taken.load(std::memory_order_acquire);
    if (given - taken >= plan_.capacity) break;
    const Outgoing out = std::move(waiting_.front());
    waiting_.pop_front();
    messages_of(there)[given % plan_.capacity] = out.message;
    there.given.store(++given, std::memory_order_release);
    if (out.message.kind == NodeMessage::Kind::bucket)
      events_.on_bucket_sent(out.generation, out.message.bucket);
    if (out.message.kind == NodeMessage::Kind::header) events_.on_header_sent(out.generation);
    if (state_ != State::up) return;
  }
  if (given == before) return;
  last_said_ns_ = now_ns_;
  // Either we see that it is going to sleep, or its last look before that sees the message.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (wake_ && there.sleeping.load(std::memory_order_relaxed) != 0 && there.sleeping.exchange(0) != 0)
    wake_();
}

// ---- in ----

void NodeLink::arm() {
  records(own_).sleeping.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void NodeLink::take() {
  NodeRecords& here = records(own_);
  while (state_ == State::up) {
    const uint64_t taken = here.taken.load(std::memory_order_relaxed);
    const uint64_t given = here.given.load(std::memory_order_acquire);
    if (given == taken) return;
    if (given - taken > plan_.capacity) {
      fail(fmt::format("the neighbour claims {} messages in a mailbox of {}", given - taken, plan_.capacity));
      return;
    }
    last_heard_ns_ = now_ns_;
    // A copy: what is checked must not change any more.
    const NodeMessage message = messages_of(here)[taken % plan_.capacity];
    here.taken.store(taken + 1, std::memory_order_release);
    obey(message);
  }
}

void NodeLink::obey(const NodeMessage& message) {
  const auto tag = static_cast<uint16_t>(message.tag);
  switch (message.kind) {
    case NodeMessage::Kind::bucket:
      if (message.bucket >= plan_.layout->buckets()) {
        fail(fmt::format("the neighbour speaks of bucket {} of {}", message.bucket, plan_.layout->buckets()));
      } else if (!plan_.receives) {
        fail("a bucket arrived from a worker that never sends to this one");
      } else {
        events_.on_bucket(tag, message.bucket);
      }
      return;
    case NodeMessage::Kind::header:
      events_.on_header(tag, message.header);
      return;
    case NodeMessage::Kind::credit:
      events_.on_credit(tag);
      return;
    case NodeMessage::Kind::farewell:
      events_.on_farewell(message.tag != 0);
      return;
  }
  fail(fmt::format("a message of unknown kind {} from the neighbour", static_cast<uint32_t>(message.kind)));
}

// ---- life ----

void NodeLink::progress(int64_t now_ns) {
  now_ns_ = now_ns;
  if (state_ == State::made || state_ == State::failed) return;
  if (begun_ns_ == 0) {
    begun_ns_ = last_heard_ns_ = now_ns;
    greet();
  }
  if (state_ == State::greeting) hear_hello();
  if (state_ == State::up) {
    take();
    if (state_ == State::up) give();
  }
  if (state_ == State::greeting || state_ == State::up) watch();
  // Copies that are on their way still read our memory.
  if (state_ == State::failing &&
      (!writer_ || writer_->finished() == started_ || !writer_->broken().empty())) {
    state_ = State::failed;
    waiting_.clear();
    events_.on_failed(why_);
  }
}

// There is one connection, so one hello: it says that everything before it stands.
void NodeLink::greet() {
  NodeRecords& there = records(theirs_);
  there.hello = to_wire(Hello{.epoch = 0, .heard = true, .state = events_.receive_state()});
  there.mapped.store(2, std::memory_order_release);
  if (wake_) wake_();
}

void NodeLink::hear_hello() {
  NodeRecords& here = records(own_);
  const uint32_t mapped = here.mapped.load(std::memory_order_acquire);
  if (mapped >= 1) own_.unlink();
  if (mapped < 2) return;
  const HelloWire wire = here.hello;
  try {
    const Hello hello = parse_hello(std::as_bytes(std::span(&wire, 1)), plan_.layout->buckets());
    state_ = State::up;
    last_heard_ns_ = now_ns_;
    events_.on_up(hello.state);
  } catch (const Error& error) {
    fail(error.what());
  }
}

void NodeLink::watch() {
  NodeRecords& there = records(theirs_);
  if (now_ns_ - last_said_ns_ > to_ns(plan_.tuning->heartbeat)) {
    there.beat.fetch_add(1, std::memory_order_relaxed);
    last_said_ns_ = now_ns_;
  }
  const uint64_t beat = records(own_).beat.load(std::memory_order_relaxed);
  if (std::exchange(last_beat_heard_, beat) != beat) last_heard_ns_ = now_ns_;
  if (writer_ && !writer_->broken().empty()) {
    fail(fmt::format("copying to the neighbour's slots: {}", writer_->broken()));
    return;
  }
  if (now_ns_ - last_look_ns_ > kLookEveryNs) {
    last_look_ns_ = now_ns_;
    if (!theirs_.maker_lives()) {
      take();  // its last words may have come since we looked
      fail(fmt::format("the process of worker {} has ended", plan_.neighbour));
      return;
    }
  }
  const auto limit = state_ == State::greeting ? plan_.tuning->connect_deadline : plan_.tuning->grace;
  if (now_ns_ - last_heard_ns_ <= to_ns(limit)) return;
  const double silent = static_cast<double>(now_ns_ - last_heard_ns_) * 1e-9;
  fail(state_ == State::greeting
           ? fmt::format("worker {} did not say hello within {:.1f} s", plan_.neighbour, silent)
           : fmt::format(
                 "no sign of life from worker {} for {:.1f} s: its process is stopped, hangs, or gets no "
                 "CPU",
                 plan_.neighbour, silent));
}

}  // namespace alder::rdma
