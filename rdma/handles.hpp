// Owners of what the verbs library hands out: move-only, destroyed through the same Verbs.
//
// The library insists on an order of teardown: queue pairs before completion queues and memory regions, these
// before protection domains, all before the device. Members are destroyed in reverse, so declare them from
// the device downwards:
//
//     Context context; ProtectionDomain pd; MemoryRegion region; CompletionQueue cq; QueuePair qp;
//
// The functions that make them throw alder::Error naming the call, its arguments and the errno text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rdma/verbs.hpp"

namespace alder::rdma {

// One pointer and the Verbs call that gives it back. A failure to give it back is not reported: there is
// nothing a caller could do about it, and teardown has to go on.
template <typename Object, int (Verbs::*Destroy)(Object*)>
class Handle {
 public:
  Handle() = default;
  Handle(Verbs& verbs, Object* object) : verbs_(&verbs), object_(object) {}
  Handle(Handle&& other) noexcept : verbs_(other.verbs_), object_(std::exchange(other.object_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      verbs_ = other.verbs_;
      object_ = std::exchange(other.object_, nullptr);
    }
    return *this;
  }
  ~Handle() { reset(); }

  Object* get() const { return object_; }
  Object* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  Verbs& verbs() const { return *verbs_; }
  void reset() {
    if (object_ != nullptr) (verbs_->*Destroy)(std::exchange(object_, nullptr));
  }

 private:
  Verbs* verbs_ = nullptr;
  Object* object_ = nullptr;
};

using Context = Handle<ibv_context, &Verbs::close_device>;
using ProtectionDomain = Handle<ibv_pd, &Verbs::dealloc_pd>;
using MemoryRegion = Handle<ibv_mr, &Verbs::dereg_mr>;
using CompletionChannel = Handle<ibv_comp_channel, &Verbs::destroy_comp_channel>;
using PlainCompletionQueue = Handle<ibv_cq, &Verbs::destroy_cq>;
using PlainQueuePair = Handle<ibv_qp, &Verbs::destroy_qp>;

// A completion queue of either kind.
class CompletionQueue {
 public:
  CompletionQueue() = default;
  CompletionQueue(PlainCompletionQueue plain, ibv_cq_ex* extended)
      : plain_(std::move(plain)), extended_(extended) {}
  Cq cq() const { return {plain_.get(), extended_}; }
  ibv_cq* get() const { return plain_.get(); }

 private:
  PlainCompletionQueue plain_;
  ibv_cq_ex* extended_ = nullptr;  // the same object, seen as its larger kind
};

// A queue pair of either kind.
class QueuePair {
 public:
  QueuePair() = default;
  QueuePair(PlainQueuePair plain, ibv_qp_ex* extended) : plain_(std::move(plain)), extended_(extended) {}
  Qp qp() const { return {plain_.get(), extended_}; }
  ibv_qp* get() const { return plain_.get(); }
  uint32_t number() const { return plain_->qp_num; }
  explicit operator bool() const { return static_cast<bool>(plain_); }
  void reset() { plain_.reset(); }

 private:
  PlainQueuePair plain_;
  ibv_qp_ex* extended_ = nullptr;  // the same object, seen as its larger kind
};

// Names of all devices, in the library's order. Empty where there are none, or no verbs at all (no
// /dev/infiniband); throws Error for any other reason.
std::vector<std::string> device_names(Verbs& verbs);

// Exactly this name; the message lists what there is. Its asynchronous events never block.
Context open_device(Verbs& verbs, std::string_view name);

ProtectionDomain alloc_pd(const Context& context);

// A registered range of host memory. ENOMEM and EPERM mostly speak of the locked-memory limit; the message
// says so.
MemoryRegion register_memory(const ProtectionDomain& pd, void* address, std::size_t bytes, int access);

CompletionChannel create_channel(const Context& context);

// ibv_create_cq_ex where the device has it, else ibv_create_cq. `channel` may be empty.
CompletionQueue create_cq(const Context& context, int entries, const CompletionChannel& channel);

struct QueuePairSize {
  uint32_t send_requests = 0, receive_requests = 0, inline_bytes = 0;
};
// A reliable connection without shared receive queue, signalled selectively, one piece of memory a request;
// ibv_create_qp_ex where the device has it, else ibv_create_qp. `size` is set to what was granted.
QueuePair create_qp(const ProtectionDomain& pd, const CompletionQueue& cq, QueuePairSize& size);

// "ibv_modify_qp: Invalid argument (22)"; 'error' an errno value, or -1 for errno itself.
std::string errno_text(int error);

}  // namespace alder::rdma
