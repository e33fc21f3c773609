#include "rdma/progress_thread.hpp"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <utility>

#include "trace/span.hpp"

namespace alder::rdma {
namespace {

// Heartbeats and limits of time are kept to within this.
constexpr int kSleepMs = 20;
// Where something arrives that no descriptor tells of.
constexpr std::chrono::microseconds kNap{100};

// Best effort: a machine may have fewer CPUs than the topology says, or forbid it.
void pin(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(static_cast<std::size_t>(cpu), &set);
  }
  if (CPU_COUNT(&set) > 0) pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// What wakes us says nothing else.
void drain(int fd) {
  std::array<std::byte, 64> ignored;
  while (recv(fd, ignored.data(), ignored.size(), MSG_DONTWAIT) >= 0) {
  }
}

}  // namespace

ProgressThread::ProgressThread(Rail& rail, const TimeSource& time, const Tuning& tuning,
                               std::vector<int> cpus)
    : rail_(rail), time_(time), tuning_(tuning), cpus_(std::move(cpus)), thread_([this] { run(); }) {}

ProgressThread::~ProgressThread() {
  stop_.store(true);
  rail_.wakeup().wake();
  thread_.join();
}

void ProgressThread::run() {
  pthread_setname_np(pthread_self(), "alder-rdma");
  if (tuning_.pin) pin(cpus_);
  int idle = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    if (rail_.step(time_.now_ns())) {
      idle = 0;
    } else if (++idle <= tuning_.spin_polls) {
      continue;
    } else if (idle <= tuning_.spin_polls + tuning_.yield_polls) {
      std::this_thread::yield();
    } else {
      sleep();
    }
  }
}

void ProgressThread::sleep() {
  if (!rail_.can_sleep()) {
    std::this_thread::sleep_for(kNap);
    return;
  }
  const trace::Span span(trace::Kind::progress_sleep, {.worker = rail_.worker()});
  Nic* nic = rail_.nic();
  Wakeup& wakeup = rail_.wakeup();
  wakeup.prepare();
  // Whatever came before the card was armed and the trainer was told has to be found by this last look.
  if (rail_.arm() && !rail_.step(time_.now_ns()) && !stop_.load()) {
    const auto watch = [](int fd) { return pollfd{.fd = fd, .events = POLLIN, .revents = 0}; };
    std::array<pollfd, 4> descriptors = {watch(wakeup.fd()), watch(rail_.wake_fd()),
                                         watch(nic != nullptr ? nic->completion_fd() : -1),
                                         watch(nic != nullptr ? nic->event_fd() : -1)};
    if (poll(descriptors.data(), descriptors.size(), kSleepMs) > 0 && descriptors[1].revents != 0)
      drain(rail_.wake_fd());
  }
  wakeup.finish();
}

}  // namespace alder::rdma
