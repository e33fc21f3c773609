#include "rdma/control_sender.hpp"

#include <atomic>
#include <cstddef>

namespace alder::rdma {

int ControlSender::post(Connection& connection) {
  Lane& lane = connection.control();
  while (!waiting_.empty() && lane.room() > 0) {
    const Message& message = waiting_.front();
    WorkRequest one = request(message, connection);
    if (const int error = lane.post({&one, 1})) return error;
    if (!message.beat && message.what == Control::header) {
      headers_.push_back({lane.posted(), message.generation});
    }
    waiting_.pop_front();
  }
  return 0;
}

// The records' places in the neighbour's inbox are those in our outbox. What fits goes inline; what does not
// stays unchanged in the outbox until the connection's rules let it be written again.
WorkRequest ControlSender::request(const Message& message, Connection& connection) {
  ControlRecords& outbox = connection.outbox();
  const ConnectionAddress& remote = connection.remote();
  WorkRequest request{.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
                      .flags = IBV_SEND_SIGNALED,
                      .local_key = connection.outbox_key(),
                      .remote = remote.inbox,
                      .remote_key = remote.inbox_key,
                      .immediate = pack({.generation = message.tag,
                                         .epoch = static_cast<uint32_t>(connection.epoch() % kEpochs),
                                         .bucket = static_cast<uint32_t>(message.what),
                                         .control = true})};
  const auto carry = [&](const auto& record) {
    request.local = reinterpret_cast<uint64_t>(&record);
    request.length = sizeof record;
    request.remote += static_cast<uint64_t>(reinterpret_cast<const std::byte*>(&record) -
                                            reinterpret_cast<const std::byte*>(&outbox));
    if (request.length <= connection.control().inline_bytes()) request.flags |= IBV_SEND_INLINE;
  };
  if (message.beat) {
    request.opcode = IBV_WR_RDMA_WRITE;
    std::atomic_ref beat(outbox.beat);
    beat.store(beat.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    carry(outbox.beat);
  } else if (message.what == Control::header) {
    // Its place is free: the credit of the generation that used it last has come.
    Header& place = outbox.header[message.tag & 1];
    place = message.header;
    carry(place);
  } else if (message.what == Control::hello) {
    carry(outbox.hello[message.tag]);
  } else if (message.what == Control::offer) {
    carry(outbox.offer);
  }
  return request;
}

bool ControlSender::next_header_sent(uint64_t sequence, Generation& generation) {
  if (headers_.empty() || headers_.front().sequence > sequence) return false;
  generation = headers_.front().generation;
  headers_.pop_front();
  return true;
}

void ControlSender::forget_all() {
  waiting_.clear();
  headers_.clear();
}

}  // namespace alder::rdma
