#include "train/step_gate.hpp"

#include "base/error.hpp"

namespace alder::train {

// Sequentially consistent on both sides: either pass() sees the question, or hold() sees the step.
bool StepGate::pass(Step step, std::chrono::steady_clock::time_point until,
                    const std::function<void()>& give_up) {
  newest_.store(step);
  if (!asked_.load()) return true;
  std::unique_lock lock(mutex_);
  while (!end_ && (!bound_ || step >= *bound_)) {
    if (std::chrono::steady_clock::now() > until)
      fail("no verdict on the last step came from rank 0 before step {}", step);
    changed_.wait_for(lock, std::chrono::milliseconds(50));
    if (give_up) give_up();
  }
  return !end_ || step < *end_;
}

Step StepGate::hold() {
  asked_.store(true);
  const std::lock_guard lock(mutex_);
  if (!bound_) bound_ = newest_.load() + 1;
  changed_.notify_all();
  return *bound_;
}

void StepGate::decide(Step end) {
  asked_.store(true);
  const std::lock_guard lock(mutex_);
  end_ = end;
  changed_.notify_all();
}

}  // namespace alder::train
