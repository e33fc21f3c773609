#include "train/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/clock.hpp"

namespace alder::train {

Progress::Progress(ProgressStyle style)
    : live_(style == ProgressStyle::automatic && ::isatty(STDERR_FILENO) != 0),
      silent_(style == ProgressStyle::none) {}

void Progress::step(const ProgressPoint& point) {
  if (silent_) return;
  const int64_t now = monotonic_ns();
  const bool last = point.step == point.steps;
  if (!last_ns_) last_ns_ = live_ ? 0 : now;
  if (seconds_between(*last_ns_, now) < (live_ ? 0.1 : 10.0) && !(live_ && last)) return;
  last_ns_ = now;
  const std::string text = fmt::format("epoch {:.2f}/{:g}  step {}/{}  loss {:.3f}  {:.0f} images/s  ETA {}",
                                       point.epoch, point.epochs, point.step, point.steps, point.loss,
                                       point.images_per_second, duration(point.eta_seconds));
  if (live_) {
    constexpr int kBar = 24;
    const double fraction =
        point.steps > 0 ? static_cast<double>(point.step) / static_cast<double>(point.steps) : 1;
    const int filled = static_cast<int>(std::lround(fraction * kBar));
    fmt::print(stderr, "\r\033[K{:\u2588<{}}{:\u2591<{}} {}", "", filled, "", kBar - filled, text);
    drawn_ = true;
  } else {
    fmt::print(stderr, "{}\n", text);
  }
  std::fflush(stderr);
}

void Progress::line(const std::string& text) {
  if (silent_) return;
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
  fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
}

std::string duration(double seconds) {
  const auto whole = static_cast<long>(std::max(0.0, std::isfinite(seconds) ? seconds : 0.0) + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace alder::train
