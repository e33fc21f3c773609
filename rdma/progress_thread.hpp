// The thread that turns a rail.
//
// It polls while there is something to do, yields its core after a few empty polls, and then sleeps until the
// device, the trainer or the clock has something: spinning is for cores that nobody else needs.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "rdma/rail.hpp"
#include "rdma/time_source.hpp"
#include "rdma/tuning.hpp"

namespace alder::rdma {

class ProgressThread {
 public:
  // Starts. `cpus`: where it may run, if tuning.pin; empty: anywhere. All of these outlive it.
  ProgressThread(Rail& rail, const TimeSource& time, const Tuning& tuning, std::vector<int> cpus);
  ~ProgressThread();  // stops and joins
  ProgressThread(const ProgressThread&) = delete;
  ProgressThread& operator=(const ProgressThread&) = delete;

 private:
  void run();
  void sleep();

  Rail& rail_;
  const TimeSource& time_;
  const Tuning& tuning_;
  std::vector<int> cpus_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace alder::rdma
