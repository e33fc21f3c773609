// The trace file of one process (docs/trace.md has the format).
//
// A file is a magic line and blocks, each with its kind and length, appended as the run goes on: what a crash
// leaves is whole up to its last block, and a file without its last block is known to be unfinished.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "trace/record.hpp"

namespace alder::trace {

// What records alone do not tell.
struct Description {
  std::string run_id;  // the same for all processes of a run, and for no other run
  std::string run_name, model, host;
  int64_t process = 0;
  int workers = 0;
  std::vector<Rank> local;             // whose records are here
  std::vector<uint64_t> bucket_bytes;  // payload on the wire, by bucket
  int exchanges_per_step = 1;          // generation = step * this + exchange
  std::string exchange;                // "local", "verbs", "none"
  double line_bytes_per_second = 0;    // of all ports of a worker together; 0: not known, or there is no wire
  Step first_step = 0;                 // of this part of the run
  Step window_begin = 0, window_end = 0;  // steps [begin, end) are recorded
  std::string clock;                      // where times come from, for a reader
};

// How far the leader's clock is ahead of this process's, at a moment of this process's clock. The truth lies
// within offset_ns +- error_ns: half of the round trip that it was measured by.
struct ClockReading {
  int64_t at_ns = 0, offset_ns = 0, error_ns = 0;
};

struct File {
  std::filesystem::path path;
  Description description;
  std::vector<Record> records;  // in order of writing; nanoseconds
  std::vector<ClockReading> clock;
  std::map<uint32_t, std::string> threads;  // by number, as the system names them
  uint64_t dropped = 0;                     // records that found a ring full
  bool complete = false;                    // ended as it should
};

// Throws Error naming the file and what is wrong with it: no trace, another version, a description that
// cannot be, a record that cannot be. An end in the middle of a block is no error: `complete` is false then.
File read_trace_file(const std::filesystem::path& path);

class FileWriter {
 public:
  // Throws Error, as all that writes.
  FileWriter(const std::filesystem::path& path, const Description& description);
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter();

  void thread(uint32_t number, const std::string& name);
  void records(std::span<const Record> records);
  void dropped(uint64_t total);  // so far
  void clock(const ClockReading& reading);
  void flush();
  void end();

 private:
  void block(uint32_t kind, std::span<const std::byte> payload);

  std::filesystem::path path_;
  std::FILE* file_;
  uint64_t records_ = 0;
};

}  // namespace alder::trace
