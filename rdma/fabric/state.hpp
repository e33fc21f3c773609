// What the fabric consists of. Every function here is called with State::mutex held.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/philox.hpp"
#include "rdma/fabric/fabric.hpp"

namespace alder::rdma::fabric {

// The library's structs are the base classes, so that a handle is a pointer to ours and back.
struct Device : ibv_device {
  Host host = 0;
  bool port_active = true;
  uint16_t lid = 0;
  ibv_gid gid{};
};
struct Context : ibv_context {
  Device* owner = nullptr;
  std::deque<ibv_async_event> events;
};
struct Domain : ibv_pd {};
struct Region : ibv_mr {
  int access = 0;
};
struct Cq;
struct Channel : ibv_comp_channel {
  std::deque<Cq*> ready;
};
struct Entry {
  Completion completion;
  uint64_t reclaims = 0;  // requests of the queue pair's send queue, once polled
};
struct Cq : ibv_cq {
  std::size_t capacity = 0;
  std::deque<Entry> entries;
  bool armed = false, overrun = false;
};
// A request on its way.
struct Message {
  WorkRequest request;
  std::vector<std::byte> payload;  // of inline requests and forged ones
  uint64_t number = 0;             // in its queue pair, from 1
  uint32_t psn = 0;
  int tries = 0, not_ready = 0;
  bool executed = false;
  std::optional<ibv_wc_status> fails;  // by order
};
struct Pair : ibv_qp {
  ibv_qp_cap cap{};
  ibv_qp_attr attributes{};
  std::deque<Message> sends;
  std::deque<uint64_t> receives;
  uint64_t posted = 0, reclaimed = 0;
  uint32_t next_psn = 0, expected_psn = 0;
  uint64_t life = 0;     // changes with every reset: events of an earlier life mean nothing
  bool on_wire = false;  // an arrival is scheduled
  int64_t last_arrival_ns = 0, last_ack_ns = 0;
};

// A fault that waits for the k-th of something.
struct Countdown {
  uint64_t left = 0;
  int value = 0;
  bool armed = false;
  // Counts one; the fault's value when it is the one.
  std::optional<int> count() {
    if (!armed) return std::nullopt;
    if (left-- > 0) return std::nullopt;
    armed = false;
    return value;
  }
};

struct HostState {
  std::deque<Device> devices;
  std::unique_ptr<Verbs> verbs;
  bool dead = false;
  Countdown request, post, registration;
  uint32_t queue_limit = 0;
  uint64_t receives_to_lose = 0;
};

struct LateMemory {
  Host host;
  uint64_t begin, end;
  int64_t max_delay_ns;
};
struct LateWrite {
  uint64_t address;
  std::vector<std::byte> bytes;
};

struct State {
  explicit State(Options wanted);
  ~State();

  // Time.
  int64_t now() const;
  void at(int64_t when_ns, std::function<void()> what);
  void run_due();  // the thread of real time
  int64_t draw(int64_t below);
  bool chance(double probability);

  // Queue pairs and completions (queue_pair.cpp).
  int modify(Pair& pair, const ibv_qp_attr& attributes, int mask);
  int post(Pair& pair, std::span<const WorkRequest> requests);
  int post_receives(Pair& pair, const ibv_recv_wr* first);
  void complete(Pair& pair, const Message& message, ibv_wc_status status);
  void complete_receive(Pair& pair, uint64_t id, ibv_wc_status status, uint32_t bytes, uint32_t immediate);
  void push(ibv_cq* cq, const Entry& entry);
  void stop(Pair& pair, ibv_wc_status first);  // the oldest request ends so, all others are flushed
  void tell(ibv_context* context, ibv_event_type type, std::function<void(ibv_async_event&)> fill);

  // The wire (wire.cpp).
  void send_next(Pair& pair);
  void arrive(uint32_t number, uint64_t life);
  void acknowledge(uint32_t number, uint64_t life);
  void retry(Pair& pair, Message& message);
  Pair* find(uint32_t number);
  Pair* destination(const Pair& pair);
  bool path_is_open(const Pair& from, const Pair& to);
  enum class Outcome : uint8_t { done, not_ready, refused };
  Outcome execute(Pair& from, Pair& to, Message& message);

  // Memory (memory.cpp).
  Region* find_region(ibv_pd* pd, uint32_t key, uint64_t address, uint64_t length, bool remote);
  bool read_source(Pair& pair, const Message& message, std::vector<std::byte>& bytes);
  void write(Host host, uint64_t address, std::vector<std::byte> bytes);
  void put(uint64_t address, std::span<const std::byte> bytes);
  void make_visible(Host host);

  Device* device_of(const ibv_qp& pair) { return static_cast<Context*>(pair.context)->owner; }
  HostState& host_of(const ibv_context& context) {
    return hosts[static_cast<std::size_t>(static_cast<const Context&>(context).owner->host)];
  }

  const Options options;
  mutable std::mutex mutex;
  double loss;
  std::deque<HostState> hosts;
  std::set<std::pair<Host, Host>> unreachable;  // lower first

  std::unordered_map<uint32_t, std::unique_ptr<Pair>> pairs;  // by number
  std::map<uint32_t, std::unique_ptr<Region>> regions;        // by key
  std::map<const void*, std::shared_ptr<void>> others;        // contexts, domains, channels, queues
  std::set<ibv_context*> contexts;                            // those among them
  uint32_t next_pair = 0x11, next_key = 0x100;

  int64_t virtual_now_ns = 1'000'000'000;
  uint64_t sequence = 0, draws = 0, run = 0;
  std::map<std::pair<int64_t, uint64_t>, std::function<void()>> events;

  std::vector<LateMemory> late_memory;
  std::multimap<Host, LateWrite> late_writes;
  struct Reading {
    uint64_t begin, end;
  };
  std::map<uint64_t, Reading> readings;
  uint64_t next_reading = 1;
  std::vector<std::string> violations;
  uint64_t not_ready = 0, carried = 0;

  // Of real time.
  std::condition_variable due;
  bool stopping = false;
  std::thread clockwork;
};

}  // namespace alder::rdma::fabric
