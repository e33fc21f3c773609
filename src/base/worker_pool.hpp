// A few threads that run the same phase for many workers.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace alder {

// Runs task(0) .. task(count-1), each once, over `threads` threads, the caller among them. A phase ends when
// all tasks have; the first exception is thrown again to the caller then. One caller at a time.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool();

  int threads() const { return static_cast<int>(threads_.size()) + 1; }
  void run(int count, const std::function<void(int)>& task);

 private:
  void serve();
  void work();

  std::mutex mutex_;
  std::condition_variable start_, done_;
  // All below are guarded by mutex_.
  const std::function<void(int)>* task_ = nullptr;
  int count_ = 0, next_ = 0, running_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

}  // namespace alder
