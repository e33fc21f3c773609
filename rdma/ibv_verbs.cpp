// libibverbs behind the seam. No decisions here: each function is its call.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "rdma/verbs.hpp"

namespace alder::rdma {
namespace {

// ibv_wr_*: requests are written straight into the send queue between start and complete.
int post_extended(ibv_qp_ex* qp, std::span<const WorkRequest> requests) {
  ibv_wr_start(qp);
  for (const WorkRequest& request : requests) {
    qp->wr_id = request.id;
    qp->wr_flags = request.flags;
    if (request.opcode == IBV_WR_RDMA_READ) {
      ibv_wr_rdma_read(qp, request.remote_key, request.remote);
    } else if (request.opcode == IBV_WR_RDMA_WRITE_WITH_IMM) {
      ibv_wr_rdma_write_imm(qp, request.remote_key, request.remote, htonl(request.immediate));
    } else {
      ibv_wr_rdma_write(qp, request.remote_key, request.remote);
    }
    if (request.length == 0) {
      ibv_wr_set_sge_list(qp, 0, nullptr);
    } else if ((request.flags & IBV_SEND_INLINE) != 0) {
      ibv_wr_set_inline_data(qp, reinterpret_cast<void*>(request.local), request.length);
    } else {
      ibv_wr_set_sge(qp, request.local_key, request.local, request.length);
    }
  }
  return ibv_wr_complete(qp);
}

// ibv_post_send: requests are chained in memory first, a fixed number at a time to need no allocation.
int post_plain(ibv_qp* qp, std::span<const WorkRequest> requests) {
  constexpr std::size_t kChain = 32;
  std::array<ibv_send_wr, kChain> chain;
  std::array<ibv_sge, kChain> memory;
  while (!requests.empty()) {
    const std::size_t count = std::min(requests.size(), kChain);
    for (std::size_t k = 0; k < count; ++k) {
      const WorkRequest& request = requests[k];
      memory[k] = {.addr = request.local, .length = request.length, .lkey = request.local_key};
      chain[k] = {.wr_id = request.id,
                  .next = k + 1 < count ? &chain[k + 1] : nullptr,
                  .sg_list = &memory[k],
                  .num_sge = request.length == 0 ? 0 : 1,
                  .opcode = request.opcode,
                  .send_flags = request.flags,
                  .imm_data = htonl(request.immediate),
                  .wr = {.rdma = {.remote_addr = request.remote, .rkey = request.remote_key}}};
    }
    ibv_send_wr* bad = nullptr;
    if (const int error = ibv_post_send(qp, chain.data(), &bad)) return error;
    requests = requests.subspan(count);
  }
  return 0;
}

// One completion a round: after ibv_next_poll has found nothing more, Soft-RoCE has already ended the round,
// and the ibv_end_poll that others need would skip a completion there.
int poll_extended(ibv_cq_ex* cq, std::span<Completion> completions) {
  std::size_t count = 0;
  while (count < completions.size()) {
    ibv_poll_cq_attr attributes{};
    const int error = ibv_start_poll(cq, &attributes);
    if (error == ENOENT) break;
    if (error != 0) return -error;
    Completion& completion = completions[count++];
    completion = {.id = cq->wr_id,
                  .status = cq->status,
                  .vendor_error = ibv_wc_read_vendor_err(cq),
                  .qp_number = ibv_wc_read_qp_num(cq)};
    if (cq->status == IBV_WC_SUCCESS) {
      completion.opcode = ibv_wc_read_opcode(cq);
      completion.bytes = ibv_wc_read_byte_len(cq);
      completion.has_immediate = (ibv_wc_read_wc_flags(cq) & IBV_WC_WITH_IMM) != 0;
      if (completion.has_immediate) completion.immediate = ntohl(ibv_wc_read_imm_data(cq));
    }
    ibv_end_poll(cq);
  }
  return static_cast<int>(count);
}

int poll_plain(ibv_cq* cq, std::span<Completion> completions) {
  std::array<ibv_wc, 32> raw;
  const int count = ibv_poll_cq(cq, static_cast<int>(std::min(raw.size(), completions.size())), raw.data());
  for (int k = 0; k < count; ++k) {
    const ibv_wc& wc = raw[static_cast<std::size_t>(k)];
    Completion& completion = completions[static_cast<std::size_t>(k)];
    completion = {.id = wc.wr_id, .status = wc.status, .vendor_error = wc.vendor_err, .qp_number = wc.qp_num};
    if (wc.status != IBV_WC_SUCCESS) continue;
    completion.opcode = wc.opcode;
    completion.bytes = wc.byte_len;
    completion.has_immediate = (wc.wc_flags & IBV_WC_WITH_IMM) != 0;
    if (completion.has_immediate) completion.immediate = ntohl(wc.imm_data);
  }
  return count;
}

class IbvVerbs final : public Verbs {
 public:
  int fork_init() override { return ibv_fork_init(); }
  ibv_device** get_device_list(int* count) override { return ibv_get_device_list(count); }
  void free_device_list(ibv_device** list) override { ibv_free_device_list(list); }
  const char* get_device_name(ibv_device* device) override { return ibv_get_device_name(device); }
  ibv_context* open_device(ibv_device* device) override { return ibv_open_device(device); }
  int close_device(ibv_context* context) override { return ibv_close_device(context); }

  int query_device_ex(ibv_context* context, ibv_device_attr_ex* attributes) override {
    return ibv_query_device_ex(context, nullptr, attributes);
  }
  int query_port(ibv_context* context, uint8_t port, ibv_port_attr* attributes) override {
    return ibv_query_port(context, port, attributes);
  }
  int query_gid_ex(ibv_context* context, uint32_t port, uint32_t index, ibv_gid_entry* entry) override {
    return ibv_query_gid_ex(context, port, index, entry, 0);
  }
  ssize_t query_gid_table(ibv_context* context, std::span<ibv_gid_entry> entries) override {
    return ibv_query_gid_table(context, entries.data(), entries.size(), 0);
  }
  int query_pkey(ibv_context* context, uint8_t port, int index, uint16_t* big_endian_pkey) override {
    return ibv_query_pkey(context, port, index, big_endian_pkey);
  }

  ibv_pd* alloc_pd(ibv_context* context) override { return ibv_alloc_pd(context); }
  int dealloc_pd(ibv_pd* pd) override { return ibv_dealloc_pd(pd); }
  ibv_mr* reg_mr(ibv_pd* pd, void* address, std::size_t length, int access) override {
    return ibv_reg_mr(pd, address, length, static_cast<unsigned>(access));
  }
  ibv_mr* reg_dmabuf_mr(ibv_pd* pd, uint64_t offset, std::size_t length, uint64_t iova, int fd,
                        int access) override {
    return ibv_reg_dmabuf_mr(pd, offset, length, iova, fd, access);
  }
  int dereg_mr(ibv_mr* mr) override { return ibv_dereg_mr(mr); }

  ibv_comp_channel* create_comp_channel(ibv_context* context) override {
    return ibv_create_comp_channel(context);
  }
  int destroy_comp_channel(ibv_comp_channel* channel) override { return ibv_destroy_comp_channel(channel); }
  ibv_cq_ex* create_cq_ex(ibv_context* context, ibv_cq_init_attr_ex* attributes) override {
    return ibv_create_cq_ex(context, attributes);
  }
  ibv_cq* create_cq(ibv_context* context, int entries, ibv_comp_channel* channel) override {
    return ibv_create_cq(context, entries, nullptr, channel, 0);
  }
  int destroy_cq(ibv_cq* cq) override { return ibv_destroy_cq(cq); }
  int req_notify_cq(ibv_cq* cq) override { return ibv_req_notify_cq(cq, 0); }
  int get_cq_event(ibv_comp_channel* channel, ibv_cq** cq) override {
    void* context = nullptr;
    return ibv_get_cq_event(channel, cq, &context);
  }
  void ack_cq_events(ibv_cq* cq, unsigned count) override { ibv_ack_cq_events(cq, count); }
  int poll_cq(const Cq& cq, std::span<Completion> completions) override {
    return cq.extended != nullptr ? poll_extended(cq.extended, completions)
                                  : poll_plain(cq.plain, completions);
  }

  ibv_qp* create_qp_ex(ibv_context* context, ibv_qp_init_attr_ex* attributes) override {
    return ibv_create_qp_ex(context, attributes);
  }
  ibv_qp_ex* qp_to_qp_ex(ibv_qp* qp) override { return ibv_qp_to_qp_ex(qp); }
  ibv_qp* create_qp(ibv_pd* pd, ibv_qp_init_attr* attributes) override {
    return ibv_create_qp(pd, attributes);
  }
  int modify_qp(ibv_qp* qp, ibv_qp_attr* attributes, int mask) override {
    return ibv_modify_qp(qp, attributes, mask);
  }
  int query_qp(ibv_qp* qp, ibv_qp_attr* attributes, int mask, ibv_qp_init_attr* initial) override {
    return ibv_query_qp(qp, attributes, mask, initial);
  }
  int destroy_qp(ibv_qp* qp) override { return ibv_destroy_qp(qp); }
  int post_send(const Qp& qp, std::span<const WorkRequest> requests) override {
    return qp.extended != nullptr ? post_extended(qp.extended, requests) : post_plain(qp.plain, requests);
  }
  int post_recv(ibv_qp* qp, ibv_recv_wr* first) override {
    ibv_recv_wr* bad = nullptr;
    return ibv_post_recv(qp, first, &bad);
  }

  int get_async_event(ibv_context* context, ibv_async_event* event) override {
    return ibv_get_async_event(context, event);
  }
  void ack_async_event(ibv_async_event* event) override { ibv_ack_async_event(event); }
};

}  // namespace

std::unique_ptr<Verbs> make_ibv_verbs() {
  return std::make_unique<IbvVerbs>();
}

}  // namespace alder::rdma
