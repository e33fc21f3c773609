#include "rdma/fabric/host_verbs.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "rdma/fabric/state.hpp"

namespace alder::rdma::fabric {
namespace {

class HostVerbs final : public Verbs {
 public:
  HostVerbs(State& state, Host host) : state_(state), host_(host) {}

  int fork_init() override { return 0; }

  ibv_device** get_device_list(int* count) override {
    const std::lock_guard lock(state_.mutex);
    auto& devices = own().devices;
    auto** list = new ibv_device*[devices.size() + 1];
    *std::ranges::transform(devices, list, [](Device& device) { return &device; }).out = nullptr;
    *count = static_cast<int>(devices.size());
    return list;
  }
  void free_device_list(ibv_device** list) override { delete[] list; }
  const char* get_device_name(ibv_device* device) override { return device->name; }

  ibv_context* open_device(ibv_device* device) override {
    const std::lock_guard lock(state_.mutex);
    auto context = std::make_shared<Context>();
    context->device = device;
    context->async_fd = eventfd(0, EFD_CLOEXEC);
    context->num_comp_vectors = 1;
    context->owner = static_cast<Device*>(device);
    state_.contexts.insert(context.get());
    return keep(context);
  }
  int close_device(ibv_context* context) override {
    const std::lock_guard lock(state_.mutex);
    close(context->async_fd);
    state_.contexts.erase(context);
    return drop(context);
  }

  int query_device_ex(ibv_context*, ibv_device_attr_ex* attributes) override {
    *attributes = {};
    attributes->orig_attr.max_qp_wr = 16384;
    attributes->orig_attr.max_cqe = state_.options.max_cqe;
    attributes->orig_attr.max_qp_rd_atom = 16;
    attributes->orig_attr.phys_port_cnt = 1;
    return 0;
  }
  int query_port(ibv_context* context, uint8_t port, ibv_port_attr* attributes) override {
    const std::lock_guard lock(state_.mutex);
    if (port != 1) return EINVAL;
    const Device& device = *static_cast<Context*>(context)->owner;
    *attributes = {};
    attributes->state = device.port_active ? IBV_PORT_ACTIVE : IBV_PORT_DOWN;
    attributes->max_mtu = attributes->active_mtu = IBV_MTU_4096;
    attributes->gid_tbl_len = 2;
    attributes->max_msg_sz = state_.options.max_message_bytes;
    attributes->pkey_tbl_len = 1;
    attributes->lid = device.lid;
    attributes->link_layer = state_.options.ethernet ? IBV_LINK_LAYER_ETHERNET : IBV_LINK_LAYER_INFINIBAND;
    attributes->active_width = 2;
    attributes->active_speed = 32;
    return 0;
  }
  int query_gid_ex(ibv_context* context, uint32_t port, uint32_t index, ibv_gid_entry* entry) override {
    const std::lock_guard lock(state_.mutex);
    if (port != 1 || index != 1) return EINVAL;
    *entry = {.gid = static_cast<Context*>(context)->owner->gid,
              .gid_index = index,
              .port_num = port,
              .gid_type = state_.options.ethernet ? IBV_GID_TYPE_ROCE_V2 : IBV_GID_TYPE_IB};
    return 0;
  }
  ssize_t query_gid_table(ibv_context* context, std::span<ibv_gid_entry> entries) override {
    if (entries.empty()) return -EINVAL;
    return query_gid_ex(context, 1, 1, entries.data()) == 0 ? 1 : -EINVAL;
  }
  int query_pkey(ibv_context*, uint8_t, int index, uint16_t* big_endian_pkey) override {
    *big_endian_pkey = 0xFFFF;
    return index == 0 ? 0 : EINVAL;
  }

  ibv_pd* alloc_pd(ibv_context* context) override {
    const std::lock_guard lock(state_.mutex);
    auto domain = std::make_shared<Domain>();
    domain->context = context;
    return keep(domain);
  }
  int dealloc_pd(ibv_pd* pd) override {
    const std::lock_guard lock(state_.mutex);
    for (const auto& [key, region] : state_.regions) {
      if (region->pd == pd) return EBUSY;
    }
    return drop(pd);
  }

  ibv_mr* reg_mr(ibv_pd* pd, void* address, std::size_t length, int access) override {
    const std::lock_guard lock(state_.mutex);
    if (const auto error = own().registration.count()) {
      errno = *error;
      return nullptr;
    }
    // Two keys a region, two entries, one owner: the entry of the local key owns nothing more than a copy.
    auto region = std::make_unique<Region>();
    region->context = pd->context;
    region->pd = pd;
    region->addr = address;
    region->length = length;
    region->lkey = state_.next_key++;
    region->rkey = state_.next_key++;
    region->access = access;
    auto twin = std::make_unique<Region>(*region);
    Region* const result = region.get();
    state_.regions.emplace(region->lkey, std::move(region));
    state_.regions.emplace(twin->rkey, std::move(twin));
    return result;
  }
  ibv_mr* reg_dmabuf_mr(ibv_pd*, uint64_t, std::size_t, uint64_t, int, int) override {
    errno = EOPNOTSUPP;
    return nullptr;
  }
  int dereg_mr(ibv_mr* mr) override {
    const std::lock_guard lock(state_.mutex);
    const uint32_t local = mr->lkey, remote = mr->rkey;
    state_.regions.erase(remote);
    return state_.regions.erase(local) == 1 ? 0 : EINVAL;
  }

  ibv_comp_channel* create_comp_channel(ibv_context* context) override {
    const std::lock_guard lock(state_.mutex);
    auto channel = std::make_shared<Channel>();
    channel->context = context;
    channel->fd = eventfd(0, EFD_CLOEXEC);
    return keep(channel);
  }
  int destroy_comp_channel(ibv_comp_channel* channel) override {
    const std::lock_guard lock(state_.mutex);
    close(channel->fd);
    return drop(channel);
  }

  ibv_cq_ex* create_cq_ex(ibv_context* context, ibv_cq_init_attr_ex* attributes) override {
    if (!state_.options.extended) {
      errno = EOPNOTSUPP;
      return nullptr;
    }
    // The two kinds begin alike, and nobody looks further into this one.
    return reinterpret_cast<ibv_cq_ex*>(
        create_cq(context, static_cast<int>(attributes->cqe), attributes->channel));
  }
  ibv_cq* create_cq(ibv_context* context, int entries, ibv_comp_channel* channel) override {
    const std::lock_guard lock(state_.mutex);
    if (entries < 1 || entries > state_.options.max_cqe) {
      errno = EINVAL;
      return nullptr;
    }
    auto cq = std::make_shared<Cq>();
    cq->context = context;
    cq->channel = channel;
    cq->cqe = entries;
    cq->capacity = own().queue_limit > 0 ? own().queue_limit : static_cast<std::size_t>(entries);
    return keep(cq);
  }
  int destroy_cq(ibv_cq* cq) override {
    const std::lock_guard lock(state_.mutex);
    for (const auto& [number, pair] : state_.pairs) {
      if (pair->send_cq == cq || pair->recv_cq == cq) return EBUSY;
    }
    if (cq->channel != nullptr) std::erase(static_cast<Channel*>(cq->channel)->ready, static_cast<Cq*>(cq));
    return drop(cq);
  }
  int req_notify_cq(ibv_cq* cq) override {
    const std::lock_guard lock(state_.mutex);
    static_cast<Cq*>(cq)->armed = true;
    return 0;
  }
  int get_cq_event(ibv_comp_channel* channel, ibv_cq** cq) override {
    const std::lock_guard lock(state_.mutex);
    auto& ready = static_cast<Channel*>(channel)->ready;
    if (ready.empty()) {
      errno = EAGAIN;
      return -1;
    }
    *cq = ready.front();
    ready.pop_front();
    if (ready.empty()) drain(channel->fd);
    return 0;
  }
  void ack_cq_events(ibv_cq*, unsigned) override {}
  int poll_cq(const rdma::Cq& queue, std::span<Completion> completions) override {
    const std::lock_guard lock(state_.mutex);
    Cq& cq = *static_cast<Cq*>(queue.plain);
    if (own().dead) return 0;
    if (cq.overrun) return -EIO;
    const std::size_t count = std::min(completions.size(), cq.entries.size());
    for (std::size_t k = 0; k < count; ++k) {
      const Entry& entry = cq.entries.front();
      completions[k] = entry.completion;
      if (Pair* pair = state_.find(entry.completion.qp_number)) {
        pair->reclaimed = std::max(pair->reclaimed, entry.reclaims);
      }
      cq.entries.pop_front();
    }
    return static_cast<int>(count);
  }

  ibv_qp* create_qp_ex(ibv_context* context, ibv_qp_init_attr_ex* attributes) override {
    if (!state_.options.extended) {
      errno = EOPNOTSUPP;
      return nullptr;
    }
    return make_pair_of(context, attributes->pd, *attributes);
  }
  ibv_qp_ex* qp_to_qp_ex(ibv_qp* qp) override { return reinterpret_cast<ibv_qp_ex*>(qp); }
  ibv_qp* create_qp(ibv_pd* pd, ibv_qp_init_attr* attributes) override {
    return make_pair_of(pd->context, pd, *attributes);
  }
  int modify_qp(ibv_qp* qp, ibv_qp_attr* attributes, int mask) override {
    const std::lock_guard lock(state_.mutex);
    return own().dead ? EIO : state_.modify(*static_cast<Pair*>(qp), *attributes, mask);
  }
  int query_qp(ibv_qp* qp, ibv_qp_attr* attributes, int, ibv_qp_init_attr* initial) override {
    const std::lock_guard lock(state_.mutex);
    *attributes = static_cast<Pair*>(qp)->attributes;
    attributes->qp_state = qp->state;
    *initial = {};
    initial->cap = static_cast<Pair*>(qp)->cap;
    return 0;
  }
  int destroy_qp(ibv_qp* qp) override {
    const std::lock_guard lock(state_.mutex);
    return state_.pairs.erase(qp->qp_num) == 1 ? 0 : EINVAL;
  }
  int post_send(const Qp& qp, std::span<const WorkRequest> requests) override {
    const std::lock_guard lock(state_.mutex);
    return state_.post(*static_cast<Pair*>(qp.plain), requests);
  }
  int post_recv(ibv_qp* qp, ibv_recv_wr* first) override {
    const std::lock_guard lock(state_.mutex);
    return state_.post_receives(*static_cast<Pair*>(qp), first);
  }

  int get_async_event(ibv_context* context, ibv_async_event* event) override {
    const std::lock_guard lock(state_.mutex);
    auto& events = static_cast<Context*>(context)->events;
    if (events.empty()) {
      errno = EAGAIN;
      return -1;
    }
    *event = events.front();
    events.pop_front();
    if (events.empty()) drain(context->async_fd);
    return 0;
  }
  void ack_async_event(ibv_async_event*) override {}

 private:
  HostState& own() { return state_.hosts[static_cast<std::size_t>(host_)]; }

  template <typename Object>
  Object* keep(std::shared_ptr<Object> object) {
    Object* const result = object.get();
    state_.others.emplace(result, std::move(object));
    return result;
  }
  int drop(const void* object) { return state_.others.erase(object) == 1 ? 0 : EINVAL; }

  static void drain(int fd) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t bytes = read(fd, &count, sizeof count);
  }

  template <typename Attributes>
  ibv_qp* make_pair_of(ibv_context* context, ibv_pd* pd, Attributes& attributes) {
    const std::lock_guard lock(state_.mutex);
    if (attributes.qp_type != IBV_QPT_RC || own().dead) {
      errno = EINVAL;
      return nullptr;
    }
    attributes.cap.max_inline_data = std::min(attributes.cap.max_inline_data, state_.options.inline_limit);
    auto pair = std::make_unique<Pair>();
    pair->context = context;
    pair->pd = pd;
    pair->send_cq = attributes.send_cq;
    pair->recv_cq = attributes.recv_cq;
    pair->qp_num = state_.next_pair++;
    pair->state = IBV_QPS_RESET;
    pair->qp_type = IBV_QPT_RC;
    pair->cap = attributes.cap;
    Pair* const result = pair.get();
    state_.pairs.emplace(result->qp_num, std::move(pair));
    return result;
  }

  State& state_;
  const Host host_;
};

}  // namespace

std::unique_ptr<Verbs> make_host_verbs(State& state, Host host) {
  return std::make_unique<HostVerbs>(state, host);
}

}  // namespace alder::rdma::fabric
