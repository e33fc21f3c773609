#include "rdma/fabric/fabric.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.hpp"
#include "rdma/fabric/host_verbs.hpp"
#include "rdma/fabric/state.hpp"

namespace alder::rdma::fabric {

// ---- time and chance ----

State::State(Options wanted) : options(wanted), loss(wanted.loss) {
  if (options.real_time) clockwork = std::thread([this] { run_due(); });
}

State::~State() {
  if (!clockwork.joinable()) return;
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  due.notify_one();
  clockwork.join();
}

int64_t State::now() const {
  return options.real_time ? monotonic_ns() : virtual_now_ns;
}

void State::at(int64_t when_ns, std::function<void()> what) {
  const bool first = events.empty() || when_ns < events.begin()->first.first;
  events.emplace(std::pair(when_ns, sequence++), std::move(what));
  if (first && options.real_time) due.notify_one();
}

void State::run_due() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    if (events.empty()) {
      due.wait(lock);
      continue;
    }
    const int64_t when = events.begin()->first.first;
    if (when > monotonic_ns()) {
      due.wait_until(lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when)));
      continue;
    }
    const auto what = std::move(events.begin()->second);
    events.erase(events.begin());
    ++run;
    what();
  }
}

int64_t State::draw(int64_t below) {
  if (below <= 1) return 0;
  const auto block =
      philox4x32({static_cast<uint32_t>(draws), static_cast<uint32_t>(draws >> 32), 0, 0}, options.seed);
  ++draws;
  return static_cast<int64_t>((uint64_t{block[0]} << 32 | block[1]) % static_cast<uint64_t>(below));
}

bool State::chance(double probability) {
  return probability > 0 && static_cast<double>(draw(1 << 30)) < probability * (1 << 30);
}

Fabric::Fabric(Options options) : state_(std::make_unique<State>(options)) {}
Fabric::~Fabric() = default;

int64_t Fabric::now_ns() const {
  const std::lock_guard lock(state_->mutex);
  return state_->now();
}

bool Fabric::threads() const {
  return state_->options.real_time;
}

bool Fabric::run_next(int64_t until_ns) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.events.empty() || state.events.begin()->first.first > until_ns) {
    state.virtual_now_ns = std::max(state.virtual_now_ns, until_ns);
    return false;
  }
  state.virtual_now_ns = std::max(state.virtual_now_ns, state.events.begin()->first.first);
  const auto what = std::move(state.events.begin()->second);
  state.events.erase(state.events.begin());
  ++state.run;
  what();
  return true;
}

uint64_t Fabric::events_run() const {
  const std::lock_guard lock(state_->mutex);
  return state_->run;
}

// ---- hosts ----

namespace {

// fd00::<host>:<device>:<change>, unique for every port and time.
ibv_gid make_gid(Host host, std::size_t device, unsigned change) {
  ibv_gid gid{};
  gid.raw[0] = 0xFD;
  gid.raw[11] = static_cast<uint8_t>(host);
  gid.raw[13] = static_cast<uint8_t>(device);
  gid.raw[15] = static_cast<uint8_t>(change + 1);
  return gid;
}

}  // namespace

Host Fabric::add_host(const std::vector<std::string>& devices) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const auto host = static_cast<Host>(state.hosts.size());
  HostState& one = state.hosts.emplace_back();
  for (const std::string& name : devices) {
    Device& device = one.devices.emplace_back();
    device.node_type = IBV_NODE_CA;
    device.transport_type = IBV_TRANSPORT_IB;
    std::strncpy(device.name, name.c_str(), sizeof device.name - 1);
    device.host = host;
    device.lid = static_cast<uint16_t>(
        state.options.ethernet ? 0 : 1 + 8 * host + static_cast<int>(one.devices.size()));
    device.gid = make_gid(host, one.devices.size() - 1, 0);
  }
  one.verbs = make_host_verbs(state, host);
  return host;
}

Verbs& Fabric::verbs(Host host) {
  const std::lock_guard lock(state_->mutex);
  return *state_->hosts[static_cast<std::size_t>(host)].verbs;
}

Path Fabric::path(Host host, std::size_t device) const {
  const std::lock_guard lock(state_->mutex);
  const Device& one = state_->hosts[static_cast<std::size_t>(host)].devices[device];
  return {.device = one.name,
          .port = 1,
          .link_layer = static_cast<uint8_t>(state_->options.ethernet ? IBV_LINK_LAYER_ETHERNET
                                                                      : IBV_LINK_LAYER_INFINIBAND),
          .lid = one.lid,
          .mtu = IBV_MTU_4096,
          .max_message_bytes = state_->options.max_message_bytes,
          .gid_index = 1,
          .gid = one.gid,
          .global_route = state_->options.ethernet};
}

// ---- faults ----

void Fabric::set_port(Host host, bool active, std::size_t device) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  Device& one = state.hosts[static_cast<std::size_t>(host)].devices[device];
  if (one.port_active == active) return;
  one.port_active = active;
  for (ibv_context* context : state.contexts) {
    if (static_cast<Context*>(context)->owner != &one) continue;
    state.tell(context, active ? IBV_EVENT_PORT_ACTIVE : IBV_EVENT_PORT_ERR,
               [](ibv_async_event& event) { event.element.port_num = 1; });
  }
  if (active || !state.options.port_down_ends_requests) return;
  for (const auto& [number, pair] : state.pairs) {
    if (state.device_of(*pair) == &one && !pair->sends.empty()) state.stop(*pair, IBV_WC_LOC_QP_OP_ERR);
  }
}

void Fabric::set_reachable(Host a, Host b, bool reachable) {
  const std::lock_guard lock(state_->mutex);
  const auto pair = std::pair(std::min(a, b), std::max(a, b));
  if (reachable) {
    state_->unreachable.erase(pair);
  } else {
    state_->unreachable.insert(pair);
  }
}

void Fabric::set_loss(double loss) {
  const std::lock_guard lock(state_->mutex);
  state_->loss = loss;
}

void Fabric::kill(Host host) {
  const std::lock_guard lock(state_->mutex);
  state_->hosts[static_cast<std::size_t>(host)].dead = true;
}

bool Fabric::killed(Host host) const {
  const std::lock_guard lock(state_->mutex);
  return state_->hosts[static_cast<std::size_t>(host)].dead;
}

void Fabric::change_gid(Host host, std::size_t device) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  Device& one = state.hosts[static_cast<std::size_t>(host)].devices[device];
  one.gid = make_gid(host, device, one.gid.raw[15]);
  for (ibv_context* context : state.contexts) {
    if (static_cast<Context*>(context)->owner != &one) continue;
    state.tell(context, IBV_EVENT_GID_CHANGE, [](ibv_async_event& event) { event.element.port_num = 1; });
  }
}

void Fabric::fail_request(Host host, uint64_t k, ibv_wc_status status) {
  const std::lock_guard lock(state_->mutex);
  state_->hosts[static_cast<std::size_t>(host)].request = {.left = k, .value = status, .armed = true};
}

void Fabric::fail_post(Host host, uint64_t k, int error) {
  const std::lock_guard lock(state_->mutex);
  state_->hosts[static_cast<std::size_t>(host)].post = {.left = k, .value = error, .armed = true};
}

void Fabric::refuse_registration(Host host, uint64_t k, int error) {
  const std::lock_guard lock(state_->mutex);
  state_->hosts[static_cast<std::size_t>(host)].registration = {.left = k, .value = error, .armed = true};
}

void Fabric::shorten_queues(Host host, uint32_t entries) {
  const std::lock_guard lock(state_->mutex);
  state_->hosts[static_cast<std::size_t>(host)].queue_limit = entries;
}

void Fabric::lose_receives(Host host, uint64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->hosts[static_cast<std::size_t>(host)].receives_to_lose = count;
}

void Fabric::delay_visibility(Host host, const void* memory, std::size_t bytes, int64_t max_delay_ns) {
  const std::lock_guard lock(state_->mutex);
  const auto begin = reinterpret_cast<uint64_t>(memory);
  state_->late_memory.push_back({host, begin, begin + bytes, max_delay_ns});
}

void Fabric::forge(uint32_t queue_pair, uint32_t immediate, uint64_t remote_address, uint32_t remote_key,
                   std::vector<std::byte> payload) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  Pair* const to = state.find(queue_pair);
  Pair* const from = to == nullptr ? nullptr : state.destination(*to);
  if (from == nullptr) return;
  Message message{.request = {.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
                              .length = static_cast<uint32_t>(payload.size()),
                              .remote = remote_address,
                              .remote_key = remote_key,
                              .immediate = immediate},
                  .payload = std::move(payload)};
  if (state.execute(*from, *to, message) == State::Outcome::done) {
    to->expected_psn = (to->expected_psn + 1) & 0xFFFFFF;
  }
}

// ---- what it saw ----

uint64_t Fabric::begin_read(const void* memory, std::size_t bytes) {
  const std::lock_guard lock(state_->mutex);
  const auto begin = reinterpret_cast<uint64_t>(memory);
  state_->readings.emplace(state_->next_reading, State::Reading{begin, begin + bytes});
  return state_->next_reading++;
}

void Fabric::end_read(uint64_t number) {
  const std::lock_guard lock(state_->mutex);
  state_->readings.erase(number);
}

std::vector<std::string> Fabric::violations() const {
  const std::lock_guard lock(state_->mutex);
  return state_->violations;
}

uint64_t Fabric::receivers_not_ready() const {
  const std::lock_guard lock(state_->mutex);
  return state_->not_ready;
}

uint64_t Fabric::bytes_carried() const {
  const std::lock_guard lock(state_->mutex);
  return state_->carried;
}

std::string Fabric::leaks() const {
  const std::lock_guard lock(state_->mutex);
  std::string text;
  const auto add = [&](std::size_t count, const char* what) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  add(state_->pairs.size(), "queue pairs");
  add(state_->regions.size(), "keys of memory regions");
  add(state_->others.size(), "contexts, domains, channels or completion queues");
  return text;
}

std::vector<uint32_t> Fabric::queue_pairs(Host host) const {
  const std::lock_guard lock(state_->mutex);
  std::vector<uint32_t> numbers;
  for (const auto& [number, pair] : state_->pairs) {
    if (state_->device_of(*pair)->host == host && pair->state == IBV_QPS_RTS) numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

}  // namespace alder::rdma::fabric
