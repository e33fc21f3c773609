// A verbs library of made-up devices: answers questions and registers memory, and keeps a record of both. It
// has no queue pairs and moves nothing.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "rdma/verbs.hpp"

namespace alder::rdma::test {

inline ibv_gid gid_of(const std::string& address) {
  ibv_gid gid{};
  if (inet_pton(AF_INET6, address.c_str(), gid.raw) != 1) throw std::logic_error("no GID: " + address);
  return gid;
}

struct FakeGid {
  uint32_t index = 0;
  std::string address;
  uint32_t type = IBV_GID_TYPE_ROCE_V2;
  uint32_t ifindex = 0;
};

struct FakePort {
  ibv_port_attr attributes{};
  std::vector<FakeGid> gids;
  std::vector<uint16_t> pkeys{0xffff};
};

struct FakeDevice {
  std::string name;
  std::string firmware = "28.39.1002";
  std::vector<FakePort> ports;
  int open_error = 0;        // errno value of ibv_open_device
  int gid_table_error = 0;   // errno value of ibv_query_gid_table
  int dmabuf_error = EBADF;  // what ibv_reg_dmabuf_mr answers to the descriptor -1
  int reg_error = 0;         // of ibv_reg_mr
  int reg_dmabuf_error = 0;  // of ibv_reg_dmabuf_mr with a descriptor
};

inline FakePort infiniband_port() {
  FakePort port;
  port.attributes = {.state = IBV_PORT_ACTIVE,
                     .max_mtu = IBV_MTU_4096,
                     .active_mtu = IBV_MTU_4096,
                     .gid_tbl_len = 8,
                     .max_msg_sz = 1U << 30,
                     .pkey_tbl_len = 1,
                     .lid = 12,
                     .sm_lid = 1,
                     .active_width = 2,    // 4X
                     .active_speed = 128,  // NDR
                     .phys_state = 5,
                     .link_layer = IBV_LINK_LAYER_INFINIBAND};
  port.gids = {{.index = 0, .address = "fe80::e8eb:d303:89:d3a0", .type = IBV_GID_TYPE_IB}};
  return port;
}

inline FakePort roce_port(const std::string& ipv4, uint32_t ifindex = 0) {
  FakePort port = infiniband_port();
  port.attributes.link_layer = IBV_LINK_LAYER_ETHERNET;
  port.attributes.lid = port.attributes.sm_lid = 0;
  port.gids = {{.index = 0, .address = "fe80::1", .type = IBV_GID_TYPE_ROCE_V1, .ifindex = ifindex},
               {.index = 1, .address = "fe80::1", .type = IBV_GID_TYPE_ROCE_V2, .ifindex = ifindex},
               {.index = 2, .address = "::ffff:" + ipv4, .type = IBV_GID_TYPE_ROCE_V1, .ifindex = ifindex},
               {.index = 3, .address = "::ffff:" + ipv4, .type = IBV_GID_TYPE_ROCE_V2, .ifindex = ifindex}};
  return port;
}

class FakeVerbs final : public Verbs {
 public:
  struct Registration {
    std::string device;
    bool dmabuf = false;
    int fd = -1;
    uint64_t address = 0;  // iova for a dma-buf
    uint64_t offset = 0;
    std::size_t bytes = 0;
    int access = 0;
    bool alive = true;
  };

  std::vector<FakeDevice> devices;
  int list_error = 0;  // errno value of ibv_get_device_list
  std::vector<Registration> registrations;
  std::vector<std::string>* log =
      nullptr;  // registrations are noted there too, in order with other fakes' calls

  int fork_init() override { return 0; }
  ibv_device** get_device_list(int* count) override {
    if (list_error != 0) {
      errno = list_error;
      return nullptr;
    }
    handles_.resize(devices.size());
    list_.clear();
    for (std::size_t i = 0; i < devices.size(); ++i) list_.push_back(&handles_[i]);
    *count = static_cast<int>(list_.size());
    list_.push_back(nullptr);
    return list_.data();
  }
  void free_device_list(ibv_device**) override {}
  const char* get_device_name(ibv_device* device) override { return of(device).name.c_str(); }
  ibv_context* open_device(ibv_device* device) override {
    if (of(device).open_error != 0) {
      errno = of(device).open_error;
      return nullptr;
    }
    auto context = std::make_unique<ibv_context>();
    context->device = device;
    context->async_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return context.release();
  }
  int close_device(ibv_context* context) override {
    ::close(context->async_fd);
    delete context;
    return 0;
  }

  int query_device_ex(ibv_context* context, ibv_device_attr_ex* attributes) override {
    *attributes = {};
    const FakeDevice& device = of(context->device);
    attributes->orig_attr.phys_port_cnt = static_cast<uint8_t>(device.ports.size());
    device.firmware.copy(attributes->orig_attr.fw_ver, sizeof attributes->orig_attr.fw_ver - 1);
    return 0;
  }
  int query_port(ibv_context* context, uint8_t port, ibv_port_attr* attributes) override {
    *attributes = of(context->device).ports.at(port - 1U).attributes;
    return 0;
  }
  int query_gid_ex(ibv_context*, uint32_t, uint32_t, ibv_gid_entry*) override { return EOPNOTSUPP; }
  ssize_t query_gid_table(ibv_context* context, std::span<ibv_gid_entry> entries) override {
    const FakeDevice& device = of(context->device);
    if (device.gid_table_error != 0) return -device.gid_table_error;
    std::size_t count = 0;
    for (std::size_t port = 0; port < device.ports.size(); ++port) {
      for (const FakeGid& gid : device.ports[port].gids) {
        entries[count++] = {.gid = gid_of(gid.address),
                            .gid_index = gid.index,
                            .port_num = static_cast<uint32_t>(port + 1),
                            .gid_type = gid.type,
                            .ndev_ifindex = gid.ifindex};
      }
    }
    return static_cast<ssize_t>(count);
  }
  int query_pkey(ibv_context* context, uint8_t port, int index, uint16_t* big_endian_pkey) override {
    *big_endian_pkey =
        htons(of(context->device).ports.at(port - 1U).pkeys.at(static_cast<std::size_t>(index)));
    return 0;
  }

  ibv_pd* alloc_pd(ibv_context* context) override { return new ibv_pd{.context = context}; }
  int dealloc_pd(ibv_pd* pd) override {
    delete pd;
    return 0;
  }
  ibv_mr* reg_mr(ibv_pd* pd, void* address, std::size_t length, int access) override {
    const FakeDevice& device = of(pd->context->device);
    const auto at = reinterpret_cast<uint64_t>(address);
    return add(pd, {.device = device.name, .address = at, .bytes = length, .access = access},
               device.reg_error);
  }
  ibv_mr* reg_dmabuf_mr(ibv_pd* pd, uint64_t offset, std::size_t length, uint64_t iova, int fd,
                        int access) override {
    const FakeDevice& device = of(pd->context->device);
    const int error = fd < 0 ? device.dmabuf_error : device.reg_dmabuf_error;
    return add(pd,
               {.device = device.name,
                .dmabuf = true,
                .fd = fd,
                .address = iova,
                .offset = offset,
                .bytes = length,
                .access = access},
               error);
  }
  int dereg_mr(ibv_mr* mr) override {
    const std::scoped_lock lock(mutex_);
    registrations[mr->handle].alive = false;
    delete mr;
    return 0;
  }

  ibv_comp_channel* create_comp_channel(ibv_context*) override { absent(); }
  int destroy_comp_channel(ibv_comp_channel*) override { absent(); }
  ibv_cq_ex* create_cq_ex(ibv_context*, ibv_cq_init_attr_ex*) override { absent(); }
  ibv_cq* create_cq(ibv_context*, int, ibv_comp_channel*) override { absent(); }
  int destroy_cq(ibv_cq*) override { absent(); }
  int req_notify_cq(ibv_cq*) override { absent(); }
  int get_cq_event(ibv_comp_channel*, ibv_cq**) override { absent(); }
  void ack_cq_events(ibv_cq*, unsigned) override { absent(); }
  int poll_cq(const Cq&, std::span<Completion>) override { absent(); }
  ibv_qp* create_qp_ex(ibv_context*, ibv_qp_init_attr_ex*) override { absent(); }
  ibv_qp_ex* qp_to_qp_ex(ibv_qp*) override { absent(); }
  ibv_qp* create_qp(ibv_pd*, ibv_qp_init_attr*) override { absent(); }
  int modify_qp(ibv_qp*, ibv_qp_attr*, int) override { absent(); }
  int query_qp(ibv_qp*, ibv_qp_attr*, int, ibv_qp_init_attr*) override { absent(); }
  int destroy_qp(ibv_qp*) override { absent(); }
  int post_send(const Qp&, std::span<const WorkRequest>) override { absent(); }
  int post_recv(ibv_qp*, ibv_recv_wr*) override { absent(); }
  int get_async_event(ibv_context*, ibv_async_event*) override { absent(); }
  void ack_async_event(ibv_async_event*) override { absent(); }

 private:
  [[noreturn]] static void absent() { throw std::logic_error("the fake verbs library has no queue pairs"); }

  const FakeDevice& of(const ibv_device* device) const {
    return devices.at(static_cast<std::size_t>(std::ranges::find(list_, device) - list_.begin()));
  }

  ibv_mr* add(ibv_pd* pd, const Registration& registration, int error) {
    const std::scoped_lock lock(mutex_);
    if (log != nullptr && (!registration.dmabuf || registration.fd >= 0)) {
      log->push_back((registration.dmabuf ? "reg_dmabuf_mr " : "reg_mr ") + registration.device +
                     (error != 0 ? ": " + std::string(std::strerror(error)) : ""));
    }
    if (error != 0) {
      errno = error;
      return nullptr;
    }
    registrations.push_back(registration);
    auto* mr = new ibv_mr{};
    mr->context = pd->context;
    mr->pd = pd;
    mr->addr = reinterpret_cast<void*>(registration.address);
    mr->length = registration.bytes;
    mr->handle = static_cast<uint32_t>(registrations.size() - 1);
    mr->lkey = mr->rkey = mr->handle + 100;
    return mr;
  }

  std::mutex mutex_;  // guards registrations and the log
  std::vector<ibv_device> handles_;
  std::vector<ibv_device*> list_;
};

}  // namespace alder::rdma::test
