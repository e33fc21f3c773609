// Real verbs that count what passes: requests, doorbells, completions, bytes registered. Whoever reads the
// counts while a progress thread works reads them a moment late.
#pragma once

#include <atomic>
#include <memory>

#include "rdma/verbs.hpp"

namespace alder::rdma {

class CountingVerbs final : public Verbs {
 public:
  struct Counts {
    uint64_t send_requests = 0, doorbells = 0, receive_requests = 0, completions = 0, registered_bytes = 0;
  };
  Counts counts() const {
    return {send_requests_.load(), doorbells_.load(), receive_requests_.load(), completions_.load(),
            registered_bytes_.load()};
  }

  int fork_init() override { return real_->fork_init(); }
  ibv_device** get_device_list(int* count) override { return real_->get_device_list(count); }
  void free_device_list(ibv_device** list) override { real_->free_device_list(list); }
  const char* get_device_name(ibv_device* device) override { return real_->get_device_name(device); }
  ibv_context* open_device(ibv_device* device) override { return real_->open_device(device); }
  int close_device(ibv_context* context) override { return real_->close_device(context); }
  int query_device_ex(ibv_context* context, ibv_device_attr_ex* attributes) override {
    return real_->query_device_ex(context, attributes);
  }
  int query_port(ibv_context* context, uint8_t port, ibv_port_attr* attributes) override {
    return real_->query_port(context, port, attributes);
  }
  int query_gid_ex(ibv_context* context, uint32_t port, uint32_t index, ibv_gid_entry* entry) override {
    return real_->query_gid_ex(context, port, index, entry);
  }
  ssize_t query_gid_table(ibv_context* context, std::span<ibv_gid_entry> entries) override {
    return real_->query_gid_table(context, entries);
  }
  int query_pkey(ibv_context* context, uint8_t port, int index, uint16_t* big_endian_pkey) override {
    return real_->query_pkey(context, port, index, big_endian_pkey);
  }
  ibv_pd* alloc_pd(ibv_context* context) override { return real_->alloc_pd(context); }
  int dealloc_pd(ibv_pd* pd) override { return real_->dealloc_pd(pd); }
  ibv_mr* reg_mr(ibv_pd* pd, void* address, std::size_t length, int access) override {
    return registered(real_->reg_mr(pd, address, length, access));
  }
  ibv_mr* reg_dmabuf_mr(ibv_pd* pd, uint64_t offset, std::size_t length, uint64_t iova, int fd,
                        int access) override {
    return registered(real_->reg_dmabuf_mr(pd, offset, length, iova, fd, access));
  }
  int dereg_mr(ibv_mr* mr) override {
    registered_bytes_ -= mr->length;
    return real_->dereg_mr(mr);
  }
  ibv_comp_channel* create_comp_channel(ibv_context* context) override {
    return real_->create_comp_channel(context);
  }
  int destroy_comp_channel(ibv_comp_channel* channel) override {
    return real_->destroy_comp_channel(channel);
  }
  ibv_cq_ex* create_cq_ex(ibv_context* context, ibv_cq_init_attr_ex* attributes) override {
    return real_->create_cq_ex(context, attributes);
  }
  ibv_cq* create_cq(ibv_context* context, int entries, ibv_comp_channel* channel) override {
    return real_->create_cq(context, entries, channel);
  }
  int destroy_cq(ibv_cq* cq) override { return real_->destroy_cq(cq); }
  int req_notify_cq(ibv_cq* cq) override { return real_->req_notify_cq(cq); }
  int get_cq_event(ibv_comp_channel* channel, ibv_cq** cq) override {
    return real_->get_cq_event(channel, cq);
  }
  void ack_cq_events(ibv_cq* cq, unsigned count) override { real_->ack_cq_events(cq, count); }
  int poll_cq(const Cq& cq, std::span<Completion> completions) override {
    const int count = real_->poll_cq(cq, completions);
    if (count > 0) completions_ += static_cast<uint64_t>(count);
    return count;
  }
  ibv_qp* create_qp_ex(ibv_context* context, ibv_qp_init_attr_ex* attributes) override {
    return real_->create_qp_ex(context, attributes);
  }
  ibv_qp_ex* qp_to_qp_ex(ibv_qp* qp) override { return real_->qp_to_qp_ex(qp); }
  ibv_qp* create_qp(ibv_pd* pd, ibv_qp_init_attr* attributes) override {
    return real_->create_qp(pd, attributes);
  }
  int modify_qp(ibv_qp* qp, ibv_qp_attr* attributes, int mask) override {
    return real_->modify_qp(qp, attributes, mask);
  }
  int query_qp(ibv_qp* qp, ibv_qp_attr* attributes, int mask, ibv_qp_init_attr* initial) override {
    return real_->query_qp(qp, attributes, mask, initial);
  }
  int destroy_qp(ibv_qp* qp) override { return real_->destroy_qp(qp); }
  int post_send(const Qp& qp, std::span<const WorkRequest> requests) override {
    send_requests_ += requests.size();
    ++doorbells_;
    return real_->post_send(qp, requests);
  }
  int post_recv(ibv_qp* qp, ibv_recv_wr* first) override {
    for (const ibv_recv_wr* one = first; one != nullptr; one = one->next) ++receive_requests_;
    return real_->post_recv(qp, first);
  }
  int get_async_event(ibv_context* context, ibv_async_event* event) override {
    return real_->get_async_event(context, event);
  }
  void ack_async_event(ibv_async_event* event) override { real_->ack_async_event(event); }

 private:
  ibv_mr* registered(ibv_mr* mr) {
    if (mr != nullptr) registered_bytes_ += mr->length;
    return mr;
  }

  std::unique_ptr<Verbs> real_ = make_ibv_verbs();
  std::atomic<uint64_t> send_requests_{0}, doorbells_{0}, receive_requests_{0}, completions_{0},
      registered_bytes_{0};
};

}  // namespace alder::rdma
