// Sleeping until another thread has something, without losing the moment and without a lock where nobody
// sleeps.
//
// The sleeper says that it will sleep, looks once more, then sleeps; the other side acts, then looks whether
// somebody sleeps. Both "say" and "look" are one read-modify-write of the same flag, so one of the two sees
// the other.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace alder::rdma {

// For the trainer's thread, which sleeps until a point in time.
class Bell {
 public:
  // Sleeper: prepare(), look for work, and if there is none, sleep().
  void prepare() { asleep_.exchange(true); }
  void cancel() { asleep_.exchange(false); }
  void sleep_until(std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [this] { return !asleep_.load(); });
    asleep_.store(false);
  }
  // The other side, after it has done something.
  void ring() {
    if (!asleep_.exchange(false)) return;
    const std::lock_guard lock(mutex_);  // not between the sleeper's look at the flag and its sleep
    changed_.notify_one();
  }

 private:
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
};

// For the progress thread, which sleeps in poll(2) together with the device's descriptors.
class Wakeup {
 public:
  Wakeup();  // throws Error
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  ~Wakeup();

  int fd() const { return fd_; }
  void prepare() { asleep_.exchange(true); }
  void finish();  // after sleep, or instead of it
  void wake();    // the other side

 private:
  int fd_;
  std::atomic<bool> asleep_{false};
};

}  // namespace alder::rdma
