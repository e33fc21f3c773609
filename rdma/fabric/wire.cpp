// How messages travel between queue pairs of the fabric: in order within one, at their own pace among
// several.
#include <algorithm>
#include <cstring>

#include "rdma/fabric/state.hpp"

namespace alder::rdma::fabric {
namespace {

constexpr int64_t kNotReadyNs = 640'000;  // between tries at a receiver that is not ready
constexpr uint32_t kPsnMask = 0xFFFFFF, kPsnHalf = 0x800000;

int64_t timeout_ns(const Pair& pair) {
  return int64_t{4096} << pair.attributes.timeout;
}

}  // namespace

Pair* State::find(uint32_t number) {
  const auto it = pairs.find(number);
  return it == pairs.end() ? nullptr : it->second.get();
}

// Schedules the arrival of the first message that has not been carried out, unless one is on its way.
void State::send_next(Pair& pair) {
  if (pair.on_wire || pair.state != IBV_QPS_RTS) return;
  const auto next = std::ranges::find(pair.sends, false, &Message::executed);
  if (next == pair.sends.end()) return;
  const auto carrying = static_cast<int64_t>(options.ns_per_byte * next->request.length);
  const int64_t when =
      std::max(now(), pair.last_arrival_ns) + options.latency_ns + carrying + draw(options.jitter_ns + 1);
  pair.on_wire = true;
  pair.last_arrival_ns = when;
  at(when, [this, number = pair.qp_num, life = pair.life] { arrive(number, life); });
}

// Where a queue pair's messages go: the port of its address, and there the queue pair that is connected to
// it.
Pair* State::destination(const Pair& pair) {
  Pair* to = find(pair.attributes.dest_qp_num);
  if (to == nullptr) return nullptr;
  const Device& device = *device_of(*to);
  const ibv_ah_attr& address = pair.attributes.ah_attr;
  const bool there = address.is_global != 0
                         ? std::memcmp(address.grh.dgid.raw, device.gid.raw, sizeof device.gid.raw) == 0
                         : address.dlid == device.lid;
  return there ? to : nullptr;
}

bool State::path_is_open(const Pair& from, const Pair& to) {
  const Device& a = *device_of(from);
  const Device& b = *device_of(to);
  if (!a.port_active || !b.port_active) return false;
  if (hosts[static_cast<std::size_t>(a.host)].dead || hosts[static_cast<std::size_t>(b.host)].dead)
    return false;
  return !unreachable.contains(std::minmax(a.host, b.host)) && destination(to) == &from;
}

void State::arrive(uint32_t number, uint64_t life) {
  Pair* const pair = find(number);
  if (pair == nullptr || pair->life != life || pair->state != IBV_QPS_RTS) return;
  pair->on_wire = false;
  const auto next = std::ranges::find(pair->sends, false, &Message::executed);
  if (next == pair->sends.end()) return;
  Message& message = *next;
  if (message.fails) {
    stop(*pair, *message.fails);
    return;
  }
  if (options.port_down_ends_requests && !device_of(*pair)->port_active) {
    stop(*pair, IBV_WC_LOC_QP_OP_ERR);
    return;
  }
  Pair* const to = destination(*pair);
  const bool receives = to != nullptr && (to->state == IBV_QPS_RTR || to->state == IBV_QPS_RTS);
  if (!receives || !path_is_open(*pair, *to) || chance(loss)) {
    retry(*pair, message);
    return;
  }
  const uint32_t ahead = (message.psn - to->expected_psn) & kPsnMask;
  if (ahead >= kPsnHalf) {
    // A number of the past is taken for a repetition: acknowledged, and not carried out again.
    message.executed = true;
  } else if (ahead > 0) {
    retry(*pair, message);
    return;
  } else {
    switch (execute(*pair, *to, message)) {
      case Outcome::not_ready:
        ++not_ready;
        if (pair->attributes.rnr_retry != 7 && ++message.not_ready > pair->attributes.rnr_retry) {
          stop(*pair, IBV_WC_RNR_RETRY_EXC_ERR);
          return;
        }
        pair->on_wire = true;
        at(now() + kNotReadyNs, [this, number, life] { arrive(number, life); });
        return;
      case Outcome::refused:
        return;
      case Outcome::done:
        to->expected_psn = (to->expected_psn + 1) & kPsnMask;
        message.executed = true;
        break;
    }
  }
  message.tries = 0;
  pair->last_ack_ns = std::max(now(), pair->last_ack_ns) + options.latency_ns + draw(options.jitter_ns + 1);
  at(pair->last_ack_ns, [this, number, life] { acknowledge(number, life); });
  send_next(*pair);
}

void State::retry(Pair& pair, Message& message) {
  if (++message.tries > pair.attributes.retry_cnt) {
    stop(pair, IBV_WC_RETRY_EXC_ERR);
    return;
  }
  const auto again = message.executed ? &State::acknowledge : &State::arrive;
  if (!message.executed) pair.on_wire = true;
  at(now() + timeout_ns(pair),
     [this, again, number = pair.qp_num, life = pair.life] { (this->*again)(number, life); });
}

// The oldest message's acknowledgement reaches its sender.
void State::acknowledge(uint32_t number, uint64_t life) {
  Pair* const pair = find(number);
  if (pair == nullptr || pair->life != life || pair->state != IBV_QPS_RTS) return;
  if (pair->sends.empty() || !pair->sends.front().executed) return;
  Message& message = pair->sends.front();
  Pair* const to = destination(*pair);
  // The first acknowledgement left when the message was carried out, whatever has become of the queue pair
  // since; after it was lost, somebody has to be there to repeat it.
  const bool answers = to != nullptr && (to->state == IBV_QPS_RTR || to->state == IBV_QPS_RTS);
  const bool lost = to != nullptr && !path_is_open(*pair, *to);
  if (lost || (message.tries > 0 && !answers)) {
    retry(*pair, message);
    return;
  }
  const Message done = std::move(message);
  pair->sends.pop_front();
  complete(*pair, done, IBV_WC_SUCCESS);
}

// The responder's part: checks, memory, receive.
State::Outcome State::execute(Pair& from, Pair& to, Message& message) {
  const WorkRequest& request = message.request;
  const bool reads = request.opcode == IBV_WR_RDMA_READ;
  const bool tells = request.opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
  if (tells && to.receives.empty()) return Outcome::not_ready;
  const unsigned right = reads ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
  bool allowed = (to.attributes.qp_access_flags & right) != 0;
  if (request.length > 0) {
    const Region* region = find_region(to.pd, request.remote_key, request.remote, request.length, true);
    allowed = allowed && region != nullptr && (static_cast<unsigned>(region->access) & right) != 0;
  }
  if (!allowed) {
    Pair& pair = to;
    tell(pair.context, IBV_EVENT_QP_ACCESS_ERR, [&](ibv_async_event& event) { event.element.qp = &pair; });
    stop(to, IBV_WC_WR_FLUSH_ERR);
    stop(from, IBV_WC_REM_ACCESS_ERR);
    return Outcome::refused;
  }
  if (request.length > options.max_message_bytes) {
    stop(from, IBV_WC_LOC_LEN_ERR);
    return Outcome::refused;
  }
  const Host host = device_of(to)->host;
  if (reads) {
    make_visible(host);
    const Region* landing = find_region(from.pd, request.local_key, request.local, request.length, false);
    if (landing == nullptr || (landing->access & IBV_ACCESS_LOCAL_WRITE) == 0) {
      stop(from, IBV_WC_LOC_PROT_ERR);
      return Outcome::refused;
    }
    const auto* source = reinterpret_cast<const std::byte*>(request.remote);
    put(request.local, {source, source + request.length});
    return Outcome::done;
  }
  std::vector<std::byte> bytes;
  if (!read_source(from, message, bytes)) {
    stop(from, IBV_WC_LOC_PROT_ERR);
    return Outcome::refused;
  }
  carried += bytes.size();
  if (!bytes.empty()) write(host, request.remote, std::move(bytes));
  if (tells) {
    const uint64_t id = to.receives.front();
    to.receives.pop_front();
    complete_receive(to, id, IBV_WC_SUCCESS, request.length, request.immediate);
  }
  return Outcome::done;
}

}  // namespace alder::rdma::fabric
