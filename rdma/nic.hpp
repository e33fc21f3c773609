// An opened port and what all lanes on it share: protection domain, completion queue, asynchronous events.
//
// Threads: constructed by the trainer's thread; then poll, poll_events, add and remove belong to its progress
// thread. pd() may be used by both (registration).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rdma/handles.hpp"
#include "rdma/lane.hpp"
#include "rdma/path.hpp"

namespace alder::rdma {

class Nic {
 public:
  // `entries`: completions that can be outstanding at once, over all lanes. Throws Error.
  Nic(Verbs& verbs, Path path, uint32_t entries);

  Verbs& verbs() const { return *verbs_; }
  const Path& path() const { return path_; }
  const ProtectionDomain& pd() const { return pd_; }
  const CompletionQueue& cq() const { return cq_; }

  uint32_t add(Lane& lane);
  void remove(uint32_t index);

  // Hands completions to their lanes; whether there were any.
  bool poll();
  // Asynchronous events of the device: cheap, but a system call, so not at every poll.
  void poll_events(int64_t now_ns);

  bool port_active() const { return port_active_; }
  // Asks the device: its event may come later than what the event is about. For when something broke.
  void look_at_port();
  // Not empty once the device or its completion queue is of no use any more: why.
  const std::string& broken() const { return broken_; }
  // "port error 1.2 s ago, GID change 0.3 s ago"; empty if there were none. Part of every failure's message.
  std::string recent_events(int64_t now_ns) const;

  // For sleeping until something happens: readable after the next completion, if armed.
  int completion_fd() const { return channel_->fd; }
  int event_fd() const { return context_->async_fd; }
  // Asks for one completion event; poll() once more afterwards, before sleeping. False: sleep is not
  // possible.
  bool arm();

  uint64_t completions() const { return completions_; }

 private:
  struct Event {
    ibv_event_type type;
    int64_t when_ns;
  };
  void handle(const ibv_async_event& event, int64_t now_ns);

  Verbs* verbs_;
  Path path_;
  Context context_;
  ProtectionDomain pd_;
  CompletionChannel channel_;
  CompletionQueue cq_;

  std::vector<Lane*> lanes_;  // by index; null once removed, and never used again
  bool port_active_ = true;
  std::string broken_;
  std::vector<Event> events_;  // the last few
  std::string changed_gid_;
  uint64_t completions_ = 0;
};

// The lane's index within a request id (rdma/lane.cpp).
uint32_t lane_of(uint64_t id);

}  // namespace alder::rdma
