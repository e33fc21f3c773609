#include "trace/session.hpp"

#include <pthread.h>

#include <chrono>
#include <stdexcept>

#include "base/error.hpp"
#include "trace/rings.hpp"
#include "trace/span.hpp"

namespace alder::trace {
namespace {

constexpr std::chrono::milliseconds kPause{50};
std::atomic<bool> taken{false};

// Before anything else of a session is made.
const std::filesystem::path& claim(const std::filesystem::path& file) {
  if (taken.exchange(true)) throw std::logic_error("a second trace session in one process: " + file.string());
  return file;
}

void set_recording(bool on) {
  if (on) {
    detail::wanted.fetch_or(detail::kRecord, std::memory_order_relaxed);
  } else {
    detail::wanted.fetch_and(~detail::kRecord, std::memory_order_relaxed);
  }
}

}  // namespace

Session::Session(const std::filesystem::path& file, const Description& description) try
    : writer_(claim(file), description), clock_(read_anchor()) {
  // What a session before this one has left in the rings.
  for (const auto& ring : detail::all_rings()) {
    Record record;
    while (ring->records.pop(record)) {
    }
    dropped_before_[ring->number] = ring->dropped.load(std::memory_order_relaxed);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // for a first rate of the ticks
  clock_.advance(read_anchor());
  thread_ = std::thread([this] { serve(); });
} catch (const Error&) {
  taken.store(false);
}

Session::~Session() {
  finish();
  taken.store(false);
}

void Session::record(bool on) {
  const std::lock_guard lock(mutex_);
  set_recording(on && problem_.empty() && !finished_);
}

void Session::add(const ClockReading& reading) {
  const std::lock_guard lock(mutex_);
  if (!problem_.empty() || finished_) return;
  try {
    writer_.clock(reading);
  } catch (const Error& error) {
    give_up(error.what());
  }
}

// Under the mutex.
void Session::give_up(const std::string& why) {
  problem_ = why;
  set_recording(false);
}

void Session::serve() {
  pthread_setname_np(pthread_self(), "alder-trace");
  std::unique_lock lock(mutex_);
  while (!stop_) {
    wake_.wait_for(lock, kPause, [this] { return stop_; });
    drain();
  }
}

// Under the mutex. Ticks become nanoseconds along the line through the last two anchors.
void Session::drain() {
  if (!problem_.empty()) return;
  clock_.advance(read_anchor());
  try {
    bool any = false;
    for (const auto& ring : detail::all_rings()) {
      batch_.clear();
      for (Record record; ring->records.pop(record);) {
        if (record.in_nanoseconds == 0) {
          record.begin = clock_.ns(record.begin);
          record.end = clock_.ns(record.end);
          record.in_nanoseconds = 1;
        }
        batch_.push_back(record);
      }
      const uint64_t lost = ring->dropped.load(std::memory_order_relaxed) - dropped_before_[ring->number];
      if (batch_.empty() && lost == 0) continue;
      if (!dropped_.contains(ring->number)) writer_.thread(ring->number, ring->name);
      writer_.records(batch_);
      any = any || !batch_.empty();
      if (uint64_t& known = dropped_[ring->number]; lost != known) {
        known = lost;
        uint64_t total = 0;
        for (const auto& [number, count] : dropped_) total += count;
        writer_.dropped(total);
        any = true;
      }
    }
    if (any) writer_.flush();
  } catch (const Error& error) {
    give_up(error.what());
  }
}

std::string Session::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (finished_) return problem_;
    set_recording(false);
    stop_ = true;
    wake_.notify_one();
  }
  thread_.join();
  const std::lock_guard lock(mutex_);
  drain();
  finished_ = true;
  if (!problem_.empty()) return problem_;
  try {
    writer_.end();
  } catch (const Error& error) {
    give_up(error.what());
  }
  return problem_;
}

}  // namespace alder::trace
