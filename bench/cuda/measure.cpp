#include "measure.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace alder::ALDER_BACKEND {
namespace {

constexpr double kLongEnough_us = 200;
constexpr int kMostRepeats = 100;

// A body, several times in a row, ready to be launched.
class Repeated {
 public:
  Repeated(const Stream& stream, const std::function<void()>& body) : stream_(stream) {
    body();  // the first time may be slow: code is loaded, plans are made
    stream.synchronize();
    graph_ = capture(body, 1);
    run();
    const double once = run();
    repeats_ = std::clamp(static_cast<int>(std::ceil(kLongEnough_us / std::max(once, 1.0))), 1, kMostRepeats);
    if (repeats_ > 1) graph_ = capture(body, repeats_);
  }

  // Microseconds of one call.
  double run() {
    begin_.record(stream_);
    graph_.launch(stream_);
    end_.record(stream_);
    end_.synchronize();
    return Event::milliseconds(begin_, end_) * 1e3 / repeats_;
  }

 private:
  Graph capture(const std::function<void()>& body, int repeats) const {
    return Graph::capture(stream_, [&] {
      for (int i = 0; i < repeats; ++i) body();
    });
  }

  const Stream& stream_;
  Graph graph_;
  Event begin_{Event::Timing::on}, end_{Event::Timing::on};
  int repeats_ = 1;
};

}  // namespace

std::vector<Measurement> measure(const Stream& stream, const std::vector<std::function<void()>>& bodies,
                                 int rounds) {
  std::vector<Repeated> repeated;
  repeated.reserve(bodies.size());
  for (const auto& body : bodies) repeated.emplace_back(stream, body);
  std::vector<std::vector<double>> times(bodies.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < bodies.size(); ++i) times[i].push_back(repeated[i].run());
  }
  std::vector<Measurement> results;
  for (std::vector<double>& all : times) {
    std::sort(all.begin(), all.end());
    results.push_back({.median_us = all[all.size() / 2], .best_us = all.front()});
  }
  return results;
}

std::string describe_device() {
#ifdef ALDER_ON_DEVICE
  const DeviceProperties device = device_properties(0);
  return fmt::format("{}, capability {}.{}, {} multiprocessors, {:.1f} GB", device.name,
                     device.capability / 10, device.capability % 10, device.multiprocessors,
                     static_cast<double>(device.memory_bytes) * 1e-9);
#else
  return "the emulator: results are checked, times mean nothing";
#endif
}

void require_device() {
  const DeviceCount count = count_devices();
  if (count.devices == 0) fail("there is no GPU to measure: {}", count.why_none);
}

}  // namespace alder::ALDER_BACKEND
