#include "plan/link.hpp"

#include <algorithm>

namespace alder::plan {

void Link::put(const Message& message, double now) {
  if (!out_.empty()) clock_ += (now - clock_ms_) / static_cast<double>(out_.size());
  clock_ms_ = now;
  out_.push_back({message, clock_ + message_ms_});
}

double Link::next_departure(double now) const {
  const double shown = clock_ + (now - clock_ms_) / static_cast<double>(out_.size());
  return now + std::max(0.0, out_.front().leaves_at - shown) * static_cast<double>(out_.size());
}

void Link::depart(double now, std::vector<Message>& departing) {
  // Exactly what the first one's departure means, so that all that were put with it leave with it.
  clock_ = out_.front().leaves_at;
  clock_ms_ = now;
  const auto stays = std::ranges::find_if(out_, [&](const Outgoing& one) { return one.leaves_at > clock_; });
  departing.clear();
  for (auto one = out_.begin(); one != stays; ++one) departing.push_back(one->message);
  out_.erase(out_.begin(), stays);
}

double Link::take(double first_ms, double last_ms) {
  free_in_ms_ = std::max(free_in_ms_, first_ms) + message_ms_;
  return std::max(free_in_ms_, last_ms);
}

}  // namespace alder::plan
