#include "train/wait_watch.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.hpp"

namespace alder::train {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};

}  // namespace

void WaitSlot::begin(std::string_view what, Generation generation, std::optional<Bucket> bucket,
                     std::span<const Rank> neighbours) {
  const std::lock_guard lock(mutex_);
  note_.what = what;
  note_.generation = generation;
  note_.bucket = bucket;
  note_.neighbours.assign(neighbours.begin(), neighbours.end());
  note_.since_ns = monotonic_ns();
  waiting_ = true;
  warned_ = false;
}

void WaitSlot::end() {
  const std::lock_guard lock(mutex_);
  waiting_ = false;
}

std::optional<WaitSlot::Note> WaitSlot::look() {
  const std::lock_guard lock(mutex_);
  if (!waiting_) return std::nullopt;
  return note_;
}

void WaitSlot::overdue(const std::string& outcome) {
  const auto note = look();
  if (!note) return;
  const std::vector<EdgeState> edges = watch_.settings_.edges();
  watch_.settings_.tell(watch_.describe(*this, *note, monotonic_ns(), edges) + "\n  " + outcome);
}

WaitWatch::WaitWatch(Settings settings) : settings_(std::move(settings)) {}

WaitWatch::~WaitWatch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

WaitSlot& WaitWatch::add(Rank worker) {
  return *slots_.emplace_back(std::make_unique<WaitSlot>(worker, *this));
}

void WaitWatch::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "alder-watch");
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kLookEvery, [this] { return stop_; })) {
      lock.unlock();
      look(monotonic_ns());
      lock.lock();
    }
  });
}

void WaitWatch::look(int64_t now_ns) {
  if (settings_.requested != nullptr && settings_.requested->exchange(false, std::memory_order_relaxed)) {
    settings_.tell(describe(now_ns));
  }
  for (const auto& slot : slots_) {
    WaitSlot::Note note;
    {
      const std::lock_guard lock(slot->mutex_);
      if (!slot->waiting_ || slot->warned_) continue;
      if (seconds_between(slot->note_.since_ns, now_ns) < settings_.warn_seconds) continue;
      slot->warned_ = true;
      note = slot->note_;
    }
    settings_.tell("warning: " + describe(*slot, note, now_ns, settings_.edges()) + "\n  it goes on waiting");
  }
}

// One wait, and the edges to those that are waited for.
std::string WaitWatch::describe(const WaitSlot& slot, const WaitSlot::Note& note, int64_t now_ns,
                                const std::vector<EdgeState>& edges) const {
  const std::string bucket = note.bucket ? fmt::format(" {}", note.bucket->value()) : "";
  std::string text =
      fmt::format("worker {} has waited {:.1f} s for {}{} of generation {}: worker{} {}", slot.worker_,
                  seconds_between(note.since_ns, now_ns), note.what, bucket, note.generation.value(),
                  note.neighbours.size() == 1 ? "" : "s", fmt::join(note.neighbours, ", "));
  for (const EdgeState& edge : edges) {
    if (edge.worker != slot.worker_ ||
        std::ranges::find(note.neighbours, edge.neighbour) == note.neighbours.end())
      continue;
    text += "\n  " + edge.text;
  }
  return text;
}

std::string WaitWatch::describe(int64_t now_ns) {
  std::string text = "state on request:";
  for (const auto& slot : slots_) {
    const auto note = slot->look();
    text += "\n  " + (note ? describe(*slot, *note, now_ns, {})
                           : fmt::format("worker {} waits for nobody", slot->worker_));
  }
  for (const EdgeState& edge : settings_.edges()) text += "\n  " + edge.text;
  return text;
}

}  // namespace alder::train
