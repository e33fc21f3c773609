#include "cuda/engine/device_spans.hpp"

#include <algorithm>

#include "base/clock.hpp"

namespace alder::ALDER_BACKEND {

void DeviceSpans::begin(Block& block, const Stream& stream) {
  block.begun = trace::recording();
  block.ended = false;
  if (!block.begun) return;
  block.about = trace::context();
  block.begin.record(stream);
}
void DeviceSpans::end(Block& block, const Stream& stream) {
  if (!block.begun) return;
  block.end.record(stream);
  block.ended = true;
}

void DeviceSpans::pass_begins(const Stream& stream) {
  loss_ns_ = 0;
  begin(pass_, stream);
}
void DeviceSpans::pass_ends(const Stream& stream) {
  end(pass_, stream);
}
void DeviceSpans::loss_is_known() {
  if (pass_.begun) loss_ns_ = monotonic_ns();
}
void DeviceSpans::mixing_begins(const Stream& stream) {
  begin(mixing_, stream);
}
void DeviceSpans::mixing_ends(const Stream& stream) {
  end(mixing_, stream);
}

// Events only know distances; one that is reached now, on an empty stream, ties them to the host's clock.
void DeviceSpans::settle(const Stream& stream) {
  if (!pass_.ended && !mixing_.ended) return;
  now_.record(stream);
  now_.synchronize();
  const int64_t now = monotonic_ns();
  const auto time_of = [&](const Event& event) {
    return now - static_cast<int64_t>(Event::milliseconds(event, now_) * 1e6);
  };
  if (pass_.ended) {
    const int64_t from = time_of(pass_.begin), to = time_of(pass_.end);
    const int64_t loss = std::clamp(loss_ns_, from, to);
    trace::append(trace::Kind::forward, pass_.about, from, loss);
    trace::append(trace::Kind::backward, pass_.about, loss, to);
  }
  if (mixing_.ended) {
    trace::append(trace::Kind::mixing, mixing_.about, time_of(mixing_.begin), time_of(mixing_.end));
  }
  pass_.begun = pass_.ended = mixing_.begun = mixing_.ended = false;
}

}  // namespace alder::ALDER_BACKEND
