// How processes that run freely come to stop before the same step.
//
// Whoever wants a stop tells the leader. The leader asks everybody; each answers, from a thread that is
// always there to answer, with a *bound*: a step that its trainer will not begin until it knows the verdict.
// The verdict is the highest bound: nobody has passed it, so everybody can run up to it and stop. While
// nobody asks, the trainer only stores its step and loads a flag.
//
// Threads: pass() by the trainer; the others by the thread that serves the control plane.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "base/types.hpp"

namespace alder::train {

class StepGate {
 public:
  // Whether to begin this step. Waits where the step is at the bound and the verdict is not known yet, until
  // `until`; `give_up` is asked meanwhile and may throw. Throws Error when the time is over.
  bool pass(Step step, std::chrono::steady_clock::time_point until, const std::function<void()>& give_up);
  // From now on no step from the returned bound on begins without a verdict. Asking again repeats the answer.
  Step hold();
  // Steps below `end` may begin, no others.
  void decide(Step end);

 private:
  std::atomic<Step> newest_{-1};  // the last step that has begun, or is about to
  std::atomic<bool> asked_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Step> bound_, end_;  // guarded by mutex_
};

}  // namespace alder::train
