// One process's recording: from the rings of its threads into its trace file.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "trace/file.hpp"
#include "trace/ticks.hpp"

namespace alder::trace {

// One a process at a time. A thread of its own empties the rings every 50 ms and keeps the file up
// to date, so that a crash costs that much and no more. What cannot be written (a full disk) ends the
// recording, not the run: finish() tells.
//
// Threads: the one that made it.
class Session {
 public:
  // Begins with the recording off. Throws Error when the file cannot be made, std::logic_error when there is
  // another session.
  Session(const std::filesystem::path& file, const Description& description);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();  // as finish(), without its answer

  // Turns the recording on or off; by the window of steps.
  void record(bool on);
  void add(const ClockReading& reading);
  // Writes what is left and ends the file. What was wrong, or "".
  std::string finish();

 private:
  void serve();
  void drain();
  void give_up(const std::string& why);

  std::mutex mutex_;  // of all below, which the thread uses too
  FileWriter writer_;
  TickClock clock_;
  std::map<uint32_t, uint64_t> dropped_;  // by thread, as it stands in the file
  std::map<uint32_t, uint64_t> dropped_before_;
  std::vector<Record> batch_;
  std::string problem_;
  bool stop_ = false, finished_ = false;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace alder::trace
