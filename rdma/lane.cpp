#include "rdma/lane.hpp"

#include <algorithm>
#include <array>
#include <random>

#include "base/error.hpp"
#include "rdma/nic.hpp"

namespace alder::rdma {
namespace {

// A request's id: | lane 23 | receiving 1 | sequence 40 |.
constexpr int kLaneShift = 41, kReceivingShift = 40;
constexpr uint64_t kSequenceMask = (uint64_t{1} << kReceivingShift) - 1;

// Random, so that a packet of an earlier connection between the same ends cannot pass for one of this.
uint32_t random_psn() {
  std::random_device device;
  return device() & kTwentyFourBits;
}

}  // namespace

uint32_t lane_of(uint64_t id) {
  return static_cast<uint32_t>(id >> kLaneShift);
}

// Devices may grant longer queues than asked for; the completion queue is sized for what was asked.
Lane::Lane(Nic& nic, LaneOwner& owner, QueuePairSize size, unsigned remote_access)
    : nic_(nic),
      owner_(owner),
      send_depth_(size.send_requests),
      receive_depth_(size.receive_requests),
      qp_(create_qp(nic.pd(), nic.cq(), size)),
      inline_bytes_(size.inline_bytes),
      psn_(random_psn()),
      remote_access_(remote_access) {
  index_ = nic_.add(*this);
}

Lane::~Lane() {
  nic_.remove(index_);
}

uint64_t Lane::id(bool receiving, uint64_t sequence) const {
  return uint64_t{index_} << kLaneShift | uint64_t{receiving} << kReceivingShift | (sequence & kSequenceMask);
}

void Lane::connect(const RemoteLane& remote, const Tuning& tuning) {
  const Path& path = nic_.path();
  const auto change = [&](const char* to, ibv_qp_attr attributes, int mask) {
    const int error = nic_.verbs().modify_qp(qp_.get(), &attributes, mask);
    if (error == 0) return;
    fail(
        "ibv_modify_qp of queue pair {:#x} on {} (LID {}, GID {} {}) to {}, towards queue pair {:#x} "
        "(LID {}, GID {}), MTU {}: {}{}",
        qp_.number(), name_of(path), path.lid, path.gid_index, to_string(path.gid), to, remote.address.number,
        remote.lid, to_string(remote.gid), mtu_bytes(remote.mtu), errno_text(error),
        error == EINVAL || error == ENETUNREACH || error == ETIMEDOUT
            ? "; likely causes: the GID index is wrong or its address is gone, or there is no route"
            : "");
  };

  ibv_qp_attr initial{};
  initial.qp_state = IBV_QPS_INIT;
  initial.pkey_index = path.pkey_index;
  initial.port_num = path.port;
  initial.qp_access_flags = remote_access_;
  change("INIT", initial, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);

  // Before the neighbour can send anything.
  if (const int error = refill()) fail("ibv_post_recv on {}: {}", name_of(path), errno_text(error));

  ibv_qp_attr receive{};
  receive.qp_state = IBV_QPS_RTR;
  receive.path_mtu = remote.mtu;
  receive.dest_qp_num = remote.address.number;
  receive.rq_psn = remote.address.psn;
  receive.max_dest_rd_atomic = 1;
  receive.min_rnr_timer = tuning.rnr_timer;
  receive.ah_attr.port_num = path.port;
  receive.ah_attr.sl = path.service_level;
  receive.ah_attr.dlid = remote.lid;
  if (path.global_route) {
    receive.ah_attr.is_global = 1;
    receive.ah_attr.grh = {.dgid = remote.gid,
                           .flow_label = 0,
                           .sgid_index = path.gid_index,
                           .hop_limit = 255,
                           .traffic_class = path.traffic_class};
  }
  change("RTR", receive,
         IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
             IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);

  ibv_qp_attr send{};
  send.qp_state = IBV_QPS_RTS;
  send.timeout = tuning.ack_timeout;
  send.retry_cnt = tuning.retry_count;
  send.rnr_retry = tuning.rnr_retry;
  send.sq_psn = psn_;
  send.max_rd_atomic = 1;
  change("RTS", send,
         IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
             IBV_QP_MAX_QP_RD_ATOMIC);
}

int Lane::post(std::span<WorkRequest> requests) {
  uint64_t sequence = posted_;
  for (WorkRequest& request : requests) request.id = id(false, ++sequence);
  requests.back().flags |= IBV_SEND_SIGNALED;
  const int error = nic_.verbs().post_send(qp_.qp(), requests);
  if (error == 0) posted_ = sequence;
  return error;
}

int Lane::refill() {
  constexpr uint32_t kBatch = 16;
  std::array<ibv_recv_wr, kBatch> chain;
  while (receives_ < receive_depth_) {
    const uint32_t count = std::min(kBatch, receive_depth_ - receives_);
    for (uint32_t k = 0; k < count; ++k) {
      chain[k] = {.wr_id = id(true, 0),
                  .next = k + 1 < count ? &chain[k + 1] : nullptr,
                  .sg_list = nullptr,
                  .num_sge = 0};
    }
    if (const int error = nic_.verbs().post_recv(qp_.get(), chain.data())) return error;
    receives_ += count;
  }
  return 0;
}

void Lane::close() {
  if (closed_) return;
  closed_ = true;
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_ERR;
  nic_.verbs().modify_qp(qp_.get(), &attributes, IBV_QP_STATE);
}

void Lane::handle(const Completion& completion) {
  const bool receiving = (completion.id >> kReceivingShift & 1) != 0;
  const uint64_t sequence = completion.id & kSequenceMask;
  if (receiving) {
    --receives_;
  } else {
    sent_ = std::max(sent_, sequence);
  }
  if (completion.status == IBV_WC_WR_FLUSH_ERR) ++flushed_;
  if (closed_) return;
  if (completion.status != IBV_WC_SUCCESS) {
    owner_.on_error(*this, completion, receiving);
  } else if (receiving) {
    owner_.on_received(*this, completion.immediate, completion.bytes);
  } else {
    owner_.on_sent(*this, sequence);
  }
}

}  // namespace alder::rdma
