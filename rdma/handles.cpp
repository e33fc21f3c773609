#include "rdma/handles.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

// The device list as the library lends it.
class DeviceList {
 public:
  explicit DeviceList(Verbs& verbs) : verbs_(verbs), list_(verbs.get_device_list(&count_)) {}
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;
  ~DeviceList() {
    if (list_ != nullptr) verbs_.free_device_list(list_);
  }
  bool valid() const { return list_ != nullptr; }
  std::span<ibv_device* const> devices() const { return {list_, static_cast<std::size_t>(count_)}; }

 private:
  Verbs& verbs_;
  int count_ = 0;
  ibv_device** list_;
};

// Whether an extended call failed because the device does not know it, so that the plain one is worth a try.
bool is_unsupported(int error) {
  return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL;
}

constexpr const char* kLockedMemoryHint =
    "; often the limit on locked memory: see `ulimit -l`, raise it in limits.conf, by --ulimit memlock=-1 in "
    "containers, or in Slurm by PropagateResourceLimitsExcept=MEMLOCK";

}  // namespace

std::string errno_text(int error) {
  if (error == -1) error = errno;
  return fmt::format("{} ({})", std::generic_category().message(error), error);
}

std::vector<std::string> device_names(Verbs& verbs) {
  errno = 0;
  const DeviceList list(verbs);
  // Without the kernel's verbs the library answers ENOSYS: a machine without RDMA, not an error.
  if (!list.valid()) {
    if (errno == ENOSYS || errno == ENOENT) return {};
    fail("ibv_get_device_list: {}", errno_text(-1));
  }
  std::vector<std::string> names;
  for (ibv_device* device : list.devices()) names.emplace_back(verbs.get_device_name(device));
  return names;
}

Context open_device(Verbs& verbs, std::string_view name) {
  errno = 0;
  const DeviceList list(verbs);
  if (list.valid()) {
    for (ibv_device* device : list.devices()) {
      if (verbs.get_device_name(device) != name) continue;
      errno = 0;
      Context context(verbs, verbs.open_device(device));
      if (!context) {
        fail("ibv_open_device {}: {}; the user needs access to /dev/infiniband", name, errno_text(-1));
      }
      const int flags = fcntl(context->async_fd, F_GETFL);
      if (flags < 0 || fcntl(context->async_fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        fail("device {}: its event descriptor cannot be made non-blocking: {}", name, errno_text(-1));
      }
      return context;
    }
  }
  const std::vector<std::string> names = device_names(verbs);
  fail("there is no RDMA device '{}'; {}", name,
       names.empty() ? "this machine has none" : fmt::format("there are: {}", fmt::join(names, ", ")));
}

ProtectionDomain alloc_pd(const Context& context) {
  errno = 0;
  ProtectionDomain pd(context.verbs(), context.verbs().alloc_pd(context.get()));
  if (!pd) fail("ibv_alloc_pd: {}", errno_text(-1));
  return pd;
}

MemoryRegion register_memory(const ProtectionDomain& pd, void* address, std::size_t bytes, int access) {
  errno = 0;
  MemoryRegion region(pd.verbs(), pd.verbs().reg_mr(pd.get(), address, bytes, access));
  if (region) return region;
  const int error = errno;
  fail("ibv_reg_mr of {} bytes at {}, access {:#x}: {}{}", bytes, fmt::ptr(address), access,
       errno_text(error), error == ENOMEM || error == EPERM || error == EAGAIN ? kLockedMemoryHint : "");
}

CompletionChannel create_channel(const Context& context) {
  errno = 0;
  CompletionChannel channel(context.verbs(), context.verbs().create_comp_channel(context.get()));
  if (!channel) fail("ibv_create_comp_channel: {}", errno_text(-1));
  const int flags = fcntl(channel->fd, F_GETFL);
  if (flags < 0 || fcntl(channel->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    fail("the completion channel cannot be made non-blocking: {}", errno_text(-1));
  }
  return channel;
}

CompletionQueue create_cq(const Context& context, int entries, const CompletionChannel& channel) {
  Verbs& verbs = context.verbs();
  ibv_cq_init_attr_ex attributes{};
  attributes.cqe = static_cast<uint32_t>(entries);
  attributes.channel = channel.get();
  attributes.wc_flags = IBV_WC_EX_WITH_BYTE_LEN | IBV_WC_EX_WITH_IMM | IBV_WC_EX_WITH_QP_NUM;
  errno = 0;
  if (ibv_cq_ex* extended = verbs.create_cq_ex(context.get(), &attributes)) {
    return {PlainCompletionQueue(verbs, ibv_cq_ex_to_cq(extended)), extended};
  }
  if (is_unsupported(errno)) {
    errno = 0;
    PlainCompletionQueue plain(verbs, verbs.create_cq(context.get(), entries, channel.get()));
    if (plain) return {std::move(plain), nullptr};
  }
  fail("ibv_create_cq of {} entries: {}", entries, errno_text(-1));
}

QueuePair create_qp(const ProtectionDomain& pd, const CompletionQueue& cq, QueuePairSize& size) {
  Verbs& verbs = pd.verbs();
  ibv_qp_init_attr_ex attributes{};
  attributes.send_cq = attributes.recv_cq = cq.get();
  attributes.qp_type = IBV_QPT_RC;
  attributes.cap = {.max_send_wr = size.send_requests,
                    .max_recv_wr = size.receive_requests,
                    .max_send_sge = 1,
                    .max_recv_sge = 1,
                    .max_inline_data = size.inline_bytes};
  attributes.pd = pd.get();
  attributes.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
  attributes.send_ops_flags =
      IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | IBV_QP_EX_WITH_RDMA_READ;
  const auto grant = [&size](const ibv_qp_cap& cap) {
    size = {.send_requests = cap.max_send_wr,
            .receive_requests = cap.max_recv_wr,
            .inline_bytes = cap.max_inline_data};
  };
  errno = 0;
  PlainQueuePair extended(verbs, verbs.create_qp_ex(pd->context, &attributes));
  if (extended) {
    grant(attributes.cap);
    ibv_qp_ex* ex = verbs.qp_to_qp_ex(extended.get());
    return {std::move(extended), ex};
  }
  if (is_unsupported(errno)) {
    ibv_qp_init_attr plain_attributes{};
    plain_attributes.send_cq = plain_attributes.recv_cq = cq.get();
    plain_attributes.qp_type = IBV_QPT_RC;
    plain_attributes.cap = {.max_send_wr = size.send_requests,
                            .max_recv_wr = size.receive_requests,
                            .max_send_sge = 1,
                            .max_recv_sge = 1,
                            .max_inline_data = size.inline_bytes};
    errno = 0;
    PlainQueuePair plain(verbs, verbs.create_qp(pd.get(), &plain_attributes));
    if (plain) {
      grant(plain_attributes.cap);
      return {std::move(plain), nullptr};
    }
  }
  fail("ibv_create_qp with {} send and {} receive requests, {} bytes inline: {}", size.send_requests,
       size.receive_requests, size.inline_bytes, errno_text(-1));
}

}  // namespace alder::rdma
