// The seam to libibverbs: one virtual function for each call that Alder makes, and nothing else.
//
// Behind it stand the real library (make_ibv_verbs, no logic of its own) and a software fabric for tests
// (rdma/fabric). Plain data (ibv_port_attr, ibv_qp_attr, ...) keeps the library's types, so that whoever
// knows verbs knows this page.
//
// Conventions are the library's: a pointer is null on failure with errno set; an int is 0 on success, else an
// errno value (or -1 with errno set), except where a comment says otherwise. Owners of what these calls hand
// out, and checks of what they return, are in rdma/handles.hpp.
//
// Threads: as libibverbs; objects of different queue pairs and completion queues may be used by different
// threads at once. The engine uses each of them from one thread.
#pragma once

#include <infiniband/verbs.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>

namespace alder::rdma {

// A completion queue: `extended` where the device offers ibv_start_poll and its kin.
struct Cq {
  ibv_cq* plain = nullptr;
  ibv_cq_ex* extended = nullptr;
};

// A queue pair: `extended` where the device offers ibv_wr_*.
struct Qp {
  ibv_qp* plain = nullptr;
  ibv_qp_ex* extended = nullptr;
};

// One work request of a send queue. The opcodes in use: IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM,
// IBV_WR_RDMA_READ.
struct WorkRequest {
  uint64_t id = 0;
  ibv_wr_opcode opcode = IBV_WR_RDMA_WRITE;
  unsigned flags = 0;      // ibv_send_flags: SIGNALED, INLINE, FENCE
  uint64_t local = 0;      // address here; with INLINE it is read before post_send returns
  uint32_t length = 0;     // bytes; 0 carries nothing, and `local` and `local_key` are not looked at
  uint32_t local_key = 0;  // not looked at with INLINE
  uint64_t remote = 0;
  uint32_t remote_key = 0;
  uint32_t immediate = 0;  // host byte order; big-endian on the wire
};

struct Completion {
  uint64_t id = 0;
  ibv_wc_status status = IBV_WC_SUCCESS;
  uint32_t vendor_error = 0;
  uint32_t qp_number = 0;
  // What follows is defined for IBV_WC_SUCCESS only.
  ibv_wc_opcode opcode = IBV_WC_RDMA_WRITE;
  uint32_t bytes = 0;
  bool has_immediate = false;
  uint32_t immediate = 0;  // host byte order
};

class Verbs {
 public:
  virtual ~Verbs() = default;

  // Devices. The list is freed with free_device_list; an opened device outlives it.
  virtual int fork_init() = 0;
  virtual ibv_device** get_device_list(int* count) = 0;
  virtual void free_device_list(ibv_device** list) = 0;
  virtual const char* get_device_name(ibv_device* device) = 0;
  virtual ibv_context* open_device(ibv_device* device) = 0;
  virtual int close_device(ibv_context* context) = 0;

  // Questions.
  virtual int query_device_ex(ibv_context* context, ibv_device_attr_ex* attributes) = 0;
  virtual int query_port(ibv_context* context, uint8_t port, ibv_port_attr* attributes) = 0;
  virtual int query_gid_ex(ibv_context* context, uint32_t port, uint32_t index, ibv_gid_entry* entry) = 0;
  // All valid entries of all ports; the number written, or a negative errno value.
  virtual ssize_t query_gid_table(ibv_context* context, std::span<ibv_gid_entry> entries) = 0;
  virtual int query_pkey(ibv_context* context, uint8_t port, int index, uint16_t* big_endian_pkey) = 0;

  // Memory.
  virtual ibv_pd* alloc_pd(ibv_context* context) = 0;
  virtual int dealloc_pd(ibv_pd* pd) = 0;
  virtual ibv_mr* reg_mr(ibv_pd* pd, void* address, std::size_t length, int access) = 0;
  virtual ibv_mr* reg_dmabuf_mr(ibv_pd* pd, uint64_t offset, std::size_t length, uint64_t iova, int fd,
                                int access) = 0;
  virtual int dereg_mr(ibv_mr* mr) = 0;

  // Completions. A channel's `fd` is readable when an armed queue got a completion.
  virtual ibv_comp_channel* create_comp_channel(ibv_context* context) = 0;
  virtual int destroy_comp_channel(ibv_comp_channel* channel) = 0;
  virtual ibv_cq_ex* create_cq_ex(ibv_context* context, ibv_cq_init_attr_ex* attributes) = 0;
  virtual ibv_cq* create_cq(ibv_context* context, int entries, ibv_comp_channel* channel) = 0;
  virtual int destroy_cq(ibv_cq* cq) = 0;
  virtual int req_notify_cq(ibv_cq* cq) = 0;
  virtual int get_cq_event(ibv_comp_channel* channel, ibv_cq** cq) = 0;  // 0, or -1 with errno
  virtual void ack_cq_events(ibv_cq* cq, unsigned count) = 0;
  // The number of completions written, or negative when the queue is broken (overrun).
  virtual int poll_cq(const Cq& cq, std::span<Completion> completions) = 0;

  // Queue pairs.
  virtual ibv_qp* create_qp_ex(ibv_context* context, ibv_qp_init_attr_ex* attributes) = 0;
  virtual ibv_qp_ex* qp_to_qp_ex(ibv_qp* qp) = 0;  // null unless created with send operations
  virtual ibv_qp* create_qp(ibv_pd* pd, ibv_qp_init_attr* attributes) = 0;
  virtual int modify_qp(ibv_qp* qp, ibv_qp_attr* attributes, int mask) = 0;
  virtual int query_qp(ibv_qp* qp, ibv_qp_attr* attributes, int mask, ibv_qp_init_attr* initial) = 0;
  virtual int destroy_qp(ibv_qp* qp) = 0;
  // All requests with one doorbell. After an error none, some or all of them may have been taken.
  virtual int post_send(const Qp& qp, std::span<const WorkRequest> requests) = 0;
  // The chain starts at `first`; requests carry no memory, they only feed immediates.
  virtual int post_recv(ibv_qp* qp, ibv_recv_wr* first) = 0;

  // Events of the device; `context->async_fd` is readable when there is one. 0, or -1 with errno.
  virtual int get_async_event(ibv_context* context, ibv_async_event* event) = 0;
  virtual void ack_async_event(ibv_async_event* event) = 0;
};

// libibverbs itself.
std::unique_ptr<Verbs> make_ibv_verbs();

}  // namespace alder::rdma
