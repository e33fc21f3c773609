// Queue pairs and completion queues of the fabric.
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "rdma/fabric/state.hpp"

namespace alder::rdma::fabric {
namespace {

// A counter that makes a descriptor readable. Full only after 2^64 - 1 events.
void ring(int fd) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t bytes = ::write(fd, &one, sizeof one);
}

// What the specification wants beside the state, by transition.
int required(ibv_qp_state from, ibv_qp_state to) {
  if (to == IBV_QPS_ERR || to == IBV_QPS_RESET) return IBV_QP_STATE;
  if (from == IBV_QPS_RESET && to == IBV_QPS_INIT) {
    return IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
  }
  if (from == IBV_QPS_INIT && to == IBV_QPS_RTR) {
    return IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
           IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
  }
  if (from == IBV_QPS_RTR && to == IBV_QPS_RTS) {
    return IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
           IBV_QP_MAX_QP_RD_ATOMIC;
  }
  return -1;
}

}  // namespace

int State::modify(Pair& pair, const ibv_qp_attr& attributes, int mask) {
  if ((mask & IBV_QP_STATE) == 0) return EINVAL;
  const ibv_qp_state to = attributes.qp_state;
  if (required(pair.state, to) != mask) return EINVAL;
  ibv_qp_attr& now = pair.attributes;
  const Device& device = *device_of(pair);
  switch (to) {
    case IBV_QPS_INIT:
      if (attributes.port_num != 1) return EINVAL;
      now.port_num = attributes.port_num;
      now.qp_access_flags = attributes.qp_access_flags;
      break;
    case IBV_QPS_RTR:
      if (!device.port_active) return EINVAL;
      if (options.ethernet && attributes.ah_attr.is_global == 0) return EINVAL;
      if (attributes.ah_attr.is_global != 0 && attributes.ah_attr.grh.sgid_index != 1) return EINVAL;
      if (attributes.path_mtu < IBV_MTU_256 || attributes.path_mtu > IBV_MTU_4096) return EINVAL;
      now.ah_attr = attributes.ah_attr;
      now.path_mtu = attributes.path_mtu;
      now.dest_qp_num = attributes.dest_qp_num;
      pair.expected_psn = now.rq_psn = attributes.rq_psn;
      break;
    case IBV_QPS_RTS:
      now.timeout = attributes.timeout;
      now.retry_cnt = attributes.retry_cnt;
      now.rnr_retry = attributes.rnr_retry;
      pair.next_psn = now.sq_psn = attributes.sq_psn;
      break;
    case IBV_QPS_ERR:
      stop(pair, IBV_WC_WR_FLUSH_ERR);
      return 0;
    case IBV_QPS_RESET:
      pair.sends.clear();
      pair.receives.clear();
      pair.on_wire = false;
      ++pair.life;
      break;
    default:
      return EINVAL;
  }
  pair.state = now.qp_state = to;
  return 0;
}

int State::post(Pair& pair, std::span<const WorkRequest> requests) {
  HostState& host = host_of(*pair.context);
  if (host.dead) return EIO;
  if (const auto error = host.post.count()) return *error;
  if (pair.state != IBV_QPS_RTS && pair.state != IBV_QPS_ERR) return EINVAL;
  for (const WorkRequest& request : requests) {
    if (pair.posted - pair.reclaimed >= pair.cap.max_send_wr) return ENOMEM;
    if ((request.flags & IBV_SEND_INLINE) != 0 && request.length > pair.cap.max_inline_data) return EINVAL;
    Message message{.request = request, .number = ++pair.posted};
    if ((request.flags & IBV_SEND_INLINE) != 0) {
      const auto* source = reinterpret_cast<const std::byte*>(request.local);
      message.payload.assign(source, source + request.length);
    }
    if (const auto status = host.request.count()) message.fails = static_cast<ibv_wc_status>(*status);
    if (pair.state == IBV_QPS_ERR) {
      complete(pair, message, IBV_WC_WR_FLUSH_ERR);
      continue;
    }
    message.psn = pair.next_psn;
    pair.next_psn = (pair.next_psn + 1) & 0xFFFFFF;
    pair.sends.push_back(std::move(message));
  }
  send_next(pair);
  return 0;
}

int State::post_receives(Pair& pair, const ibv_recv_wr* first) {
  HostState& host = host_of(*pair.context);
  if (host.dead) return EIO;
  if (pair.state == IBV_QPS_RESET) return EINVAL;
  for (const ibv_recv_wr* one = first; one != nullptr; one = one->next) {
    if (pair.receives.size() >= pair.cap.max_recv_wr) return ENOMEM;
    if (pair.state == IBV_QPS_ERR) {
      complete_receive(pair, one->wr_id, IBV_WC_WR_FLUSH_ERR, 0, 0);
    } else if (host.receives_to_lose > 0) {
      --host.receives_to_lose;
    } else {
      pair.receives.push_back(one->wr_id);
    }
  }
  return 0;
}

// Success tells only if it was asked to; an error always tells. A completion that is polled gives back the
// queue's places up to its own, as drivers do.
void State::complete(Pair& pair, const Message& message, ibv_wc_status status) {
  if (status == IBV_WC_SUCCESS && (message.request.flags & IBV_SEND_SIGNALED) == 0) return;
  push(pair.send_cq,
       {.completion = {.id = message.request.id,
                       .status = status,
                       .vendor_error = status == IBV_WC_SUCCESS ? 0U : 0x80U + status,
                       .qp_number = pair.qp_num,
                       .opcode =
                           message.request.opcode == IBV_WR_RDMA_READ ? IBV_WC_RDMA_READ : IBV_WC_RDMA_WRITE},
        .reclaims = message.number});
}

void State::complete_receive(Pair& pair, uint64_t id, ibv_wc_status status, uint32_t bytes,
                             uint32_t immediate) {
  push(pair.recv_cq, {.completion = {.id = id,
                                     .status = status,
                                     .vendor_error = status == IBV_WC_SUCCESS ? 0U : 0x80U + status,
                                     .qp_number = pair.qp_num,
                                     .opcode = IBV_WC_RECV_RDMA_WITH_IMM,
                                     .bytes = bytes,
                                     .has_immediate = status == IBV_WC_SUCCESS,
                                     .immediate = immediate}});
}

void State::push(ibv_cq* queue, const Entry& entry) {
  Cq& cq = static_cast<Cq&>(*queue);
  if (cq.overrun) return;
  if (cq.entries.size() >= cq.capacity) {
    cq.overrun = true;
    tell(cq.context, IBV_EVENT_CQ_ERR, [&](ibv_async_event& event) { event.element.cq = &cq; });
    return;
  }
  cq.entries.push_back(entry);
  if (!cq.armed || cq.channel == nullptr) return;
  cq.armed = false;
  static_cast<Channel*>(cq.channel)->ready.push_back(&cq);
  ring(cq.channel->fd);
}

void State::stop(Pair& pair, ibv_wc_status first) {
  if (pair.state == IBV_QPS_ERR || pair.state == IBV_QPS_RESET) {
    pair.state = pair.attributes.qp_state = IBV_QPS_ERR;
    return;
  }
  pair.state = pair.attributes.qp_state = IBV_QPS_ERR;
  ++pair.life;
  pair.on_wire = false;
  for (const Message& message : pair.sends) {
    complete(pair, message, first);
    first = IBV_WC_WR_FLUSH_ERR;
  }
  pair.sends.clear();
  for (const uint64_t id : pair.receives) complete_receive(pair, id, IBV_WC_WR_FLUSH_ERR, 0, 0);
  pair.receives.clear();
}

void State::tell(ibv_context* context, ibv_event_type type, std::function<void(ibv_async_event&)> fill) {
  ibv_async_event event{};
  event.event_type = type;
  fill(event);
  static_cast<Context*>(context)->events.push_back(event);
  ring(context->async_fd);
}

}  // namespace alder::rdma::fabric
