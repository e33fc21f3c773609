// When the device computed what, for traces: the host only asks for work, so that its own spans would show
// nothing. Costs four events a step while a trace is recorded, and nothing otherwise.
#pragma once

#include <cstdint>

#include "cuda/runtime.hpp"
#include "trace/span.hpp"

namespace alder::ALDER_BACKEND {

// Threads: the engine's.
class DeviceSpans {
 public:
  void pass_begins(const Stream& stream);
  void pass_ends(const Stream& stream);  // all of it has been asked for
  void loss_is_known();                  // where forward ends and backward begins, as the host sees it
  void mixing_begins(const Stream& stream);
  void mixing_ends(const Stream& stream);
  // When the stream has nothing left to do: appends forward, backward and mixing on the clock of the trace.
  void settle(const Stream& stream);

 private:
  struct Block {
    Event begin{Event::Timing::on}, end{Event::Timing::on};
    bool begun = false, ended = false;
    trace::About about;
  };
  static void begin(Block& block, const Stream& stream);
  static void end(Block& block, const Stream& stream);

  Block pass_, mixing_;
  Event now_{Event::Timing::on};
  int64_t loss_ns_ = 0;
};

}  // namespace alder::ALDER_BACKEND
