// Who waits for whom, and since when: told when a wait takes long, and at any time on request (SIGUSR1).
//
// Every worker of the process writes down what it waits for (WaitSlot), which costs a lock that nobody else
// holds. One thread of the watch looks at these notes ten times a second, and asks the exchange what its
// edges are doing when there is something to tell.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "exchange/exchange.hpp"

namespace alder::train {

class WaitWatch;

// What one worker waits for. Threads: begin, end, overdue by the worker's thread of the moment.
class WaitSlot {
 public:
  WaitSlot(Rank worker, WaitWatch& watch) : worker_(worker), watch_(watch) {}

  // `what`: a literal, "bucket"; `neighbours` stays where it is until end().
  void begin(std::string_view what, Generation generation, std::optional<Bucket> bucket,
             std::span<const Rank> neighbours);
  void end();
  // The deadline of a wait has passed: tells the whole story at once, with `outcome` at its end.
  void overdue(const std::string& outcome);

 private:
  friend class WaitWatch;
  struct Note {
    std::string_view what;
    Generation generation{};
    std::optional<Bucket> bucket;
    std::vector<Rank> neighbours;
    int64_t since_ns = 0;
  };
  std::optional<Note> look();

  Rank worker_;
  WaitWatch& watch_;
  std::mutex mutex_;
  bool waiting_ = false, warned_ = false;
  Note note_;  // its vector keeps its memory
};

// As long as something waits: from construction to destruction.
class Waiting {
 public:
  Waiting(WaitSlot* slot, std::string_view what, Generation generation, std::optional<Bucket> bucket,
          std::span<const Rank> neighbours)
      : slot_(slot) {
    if (slot_ != nullptr) slot_->begin(what, generation, bucket, neighbours);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    if (slot_ != nullptr) slot_->end();
  }

 private:
  WaitSlot* slot_;
};

class WaitWatch {
 public:
  struct Settings {
    double warn_seconds = 60;                       // of a wait, before it is told; once a wait
    std::function<std::vector<EdgeState>()> edges;  // what they do now; any thread
    std::function<void(const std::string&)> tell;   // a text of one or several lines; any thread
    std::atomic<bool>* requested = nullptr;         // set by a signal handler, taken back here; may be null
  };
  explicit WaitWatch(Settings settings);
  WaitWatch(const WaitWatch&) = delete;
  WaitWatch& operator=(const WaitWatch&) = delete;
  ~WaitWatch();

  WaitSlot& add(Rank worker);  // before start()
  void start();
  // One look, as the thread does it; `now_ns` of monotonic_ns().
  void look(int64_t now_ns);
  // Everything there is to know.
  std::string describe(int64_t now_ns);

 private:
  friend class WaitSlot;
  std::string describe(const WaitSlot& slot, const WaitSlot::Note& note, int64_t now_ns,
                       const std::vector<EdgeState>& edges) const;

  Settings settings_;
  std::vector<std::unique_ptr<WaitSlot>> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace alder::train
