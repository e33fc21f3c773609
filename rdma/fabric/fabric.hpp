// A network of network cards in memory: the Verbs of many hosts in one process, for tests.
//
// It does what reliable connections do (ordered queues, packet sequence numbers, keys and access rights,
// receives that are used up, retries, completions, asynchronous events), checks what drivers leave to luck
// (queue overruns, lengths, states), and can be told to misbehave. It also watches the memory that tests say
// is being read: a write into it is a violation.
//
// Time is virtual, unless `real_time`: then a thread of its own delivers in step with the steady clock, so
// that progress threads can run over it. Everything random comes from the seed.
//
// Threads: every function may be called by any thread.
#pragma once

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rdma/path.hpp"
#include "rdma/time_source.hpp"
#include "rdma/verbs.hpp"

namespace alder::rdma::fabric {

using Host = int;

struct Options {
  uint64_t seed = 1;
  bool real_time = false;
  int64_t latency_ns = 2'000;  // one way
  int64_t jitter_ns = 0;       // added at random to each message: messages of different queue pairs overtake
  double ns_per_byte = 0.02;
  double loss = 0;       // of each message, at each try
  bool ethernet = true;  // else InfiniBand
  bool extended = true;  // devices have ibv_wr_* and extended completion queues
  uint32_t inline_limit = 256;
  uint32_t max_message_bytes = 8U << 20;
  int max_cqe = 1 << 20;
  // A port that goes down: the requests of its own queue pairs end at once (as in Soft-RoCE), or are retried.
  bool port_down_ends_requests = false;
};

struct State;  // fabric/state.hpp

class Fabric : public TimeSource {
 public:
  explicit Fabric(Options options);
  ~Fabric() override;

  // Hosts 0, 1, ...; devices are called as given, each with one port and one GID of its own.
  Host add_host(const std::vector<std::string>& devices);
  Verbs& verbs(Host host);
  // As a person would choose it.
  Path path(Host host, std::size_t device = 0) const;

  // Time.
  int64_t now_ns() const override;
  bool threads() const override;
  // The next event, if it is due by then; else only time passes. Whether there was one.
  bool run_next(int64_t until_ns);
  uint64_t events_run() const;

  // ---- faults ----
  void set_port(Host host, bool active, std::size_t device = 0);
  void set_reachable(Host a, Host b, bool reachable);
  void set_loss(double loss);
  // The process ends: its queue pairs are gone, and its calls fail.
  void kill(Host host);
  bool killed(Host host) const;
  // The port's address changes; nothing reaches the old one any more.
  void change_gid(Host host, std::size_t device = 0);
  // The k-th request posted from now on (0: the next) ends with this status instead of being carried out.
  void fail_request(Host host, uint64_t k, ibv_wc_status status);
  // The k-th call of post_send from now on returns this errno value.
  void fail_post(Host host, uint64_t k, int error);
  // The k-th registration from now on fails with this errno value.
  void refuse_registration(Host host, uint64_t k, int error);
  // Completion queues made from now on are this short, whatever was asked for. 0: as asked for.
  void shorten_queues(Host host, uint32_t entries);
  // Receives posted from now on are lost, this many of them.
  void lose_receives(Host host, uint64_t count);
  // Writes into this memory become visible up to max_delay_ns after their completion, in any order, or when
  // the same device reads from that memory.
  void delay_visibility(Host host, const void* memory, std::size_t bytes, int64_t max_delay_ns);
  // Puts a message with this immediate on the wire to a queue pair, as if its neighbour had sent it: what
  // only a broken or hostile neighbour would. The neighbour's own next messages are then out of sequence.
  void forge(uint32_t queue_pair, uint32_t immediate, uint64_t remote_address, uint32_t remote_key,
             std::vector<std::byte> payload);

  // ---- what it saw ----
  // Memory that is being read from now on, until the returned number is given back.
  uint64_t begin_read(const void* memory, std::size_t bytes);
  void end_read(uint64_t number);
  std::vector<std::string> violations() const;
  uint64_t receivers_not_ready() const;
  uint64_t bytes_carried() const;
  // Objects that were made and not destroyed, by kind; empty: none.
  std::string leaks() const;
  // Queue pairs of a host that are ready to send, in the order in which they were made.
  std::vector<uint32_t> queue_pairs(Host host) const;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace alder::rdma::fabric
