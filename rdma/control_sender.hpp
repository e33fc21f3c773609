// Small messages on their way out over a connection's control lane, in order, as it has room.
#pragma once

#include <cstdint>
#include <deque>

#include "rdma/connection.hpp"

namespace alder::rdma {

class ControlSender {
 public:
  // What of the connection's outbox travels is written there by the caller, except headers.
  void hello(bool heard) { add({.what = Control::hello, .tag = static_cast<uint16_t>(heard)}); }
  void offer() { add({.what = Control::offer}); }
  void header(Generation generation, const Header& header) {
    add({.what = Control::header,
         .generation = generation,
         .tag = tag_of(generation.value()),
         .header = header});
  }
  void credit(Generation generation) { add({.what = Control::credit, .tag = tag_of(generation.value())}); }
  void farewell(bool failed) { add({.what = Control::farewell, .tag = static_cast<uint16_t>(failed)}); }
  void beat() { add({.beat = true}); }

  // Posts what waits. 0 or an errno value: then the connection is of no use any more.
  int post(Connection& connection);
  // All requests up to this one have been sent. True, once for every header among them.
  bool next_header_sent(uint64_t sequence, Generation& generation);
  bool waiting() const { return !waiting_.empty(); }
  void forget_all();

 private:
  struct Message {
    Control what = Control::hello;
    bool beat = false;  // instead: the sign of life, which notifies nobody
    Generation generation{};
    uint16_t tag = 0;
    Header header{};
  };
  struct PostedHeader {
    uint64_t sequence = 0;
    Generation generation;
  };
  void add(const Message& message) { waiting_.push_back(message); }
  static WorkRequest request(const Message& message, Connection& connection);

  std::deque<Message> waiting_;
  std::deque<PostedHeader> headers_;
};

}  // namespace alder::rdma
