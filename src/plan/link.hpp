// A way out and in that messages of one size share.
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.hpp"

namespace alder::plan {

struct Message {
  Rank from = 0, to = 0;
  int64_t generation = 0;
  double posted_ms = 0;
};

// A port of NICs, or a GPU's link inside its node. Outgoing messages share the rate evenly, as a card serves
// its queue pairs in turn; incoming ones are taken one after another. Both at full rate at the same time.
//
// All messages are of one size, so that the first to come is the first to leave, and a clock of the work
// that each of them has got so far tells when: it runs the slower the more there are.
class Link {
 public:
  // What one message takes alone, and from the departure of a byte to its arrival.
  Link(double message_ms, double latency_ms) : message_ms_(message_ms), latency_ms_(latency_ms) {}

  double latency_ms() const { return latency_ms_; }
  bool idle() const { return out_.empty(); }
  // Times do not run back.
  void put(const Message& message, double now);
  // When the next message leaves if no other is put before. Not idle.
  double next_departure(double now) const;
  // At that time: moves those that leave now, in order of putting, to `departing`.
  void depart(double now, std::vector<Message>& departing);

  // A message whose first byte came at `first_ms` and whose last one comes at `last_ms` if nothing is in
  // its way: when it is all here.
  double take(double first_ms, double last_ms);

 private:
  struct Outgoing {
    Message message;
    double leaves_at = 0;  // on the clock
  };

  double message_ms_, latency_ms_;
  std::vector<Outgoing> out_;
  double clock_ = 0, clock_ms_ = 0;  // the clock, and the time at which it showed that
  double free_in_ms_ = 0;            // when all that has come in is taken
};

}  // namespace alder::plan
