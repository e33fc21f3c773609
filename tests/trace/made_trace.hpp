// Trace files that a test makes up.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "trace/file.hpp"
#include "trace/merge.hpp"

namespace alder::trace::test {

class Folder : public testing::Test {
 protected:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "alder-trace-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Folder() override { std::filesystem::remove_all(folder_); }

  static std::string complaint(const std::function<void()>& act) {
    try {
      act();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  std::filesystem::path folder_;
};

inline Description description(Rank rank, int workers) {
  return {.run_id = "1234",
          .run_name = "made",
          .model = "tiny",
          .host = "host" + std::to_string(rank),
          .process = 7,
          .workers = workers,
          .local = {rank},
          .bucket_bytes = {1000, 500},
          .exchange = "verbs",
          .window_end = 1000};
}

inline Record record(Kind kind, Rank worker, int64_t begin, int64_t end, Rank neighbour = -1,
                     uint64_t generation = 0, uint32_t bucket = 0) {
  return {.begin = begin,
          .end = end,
          .generation = generation,
          .worker = worker,
          .neighbour = neighbour,
          .bucket = bucket,
          .kind = kind,
          .in_nanoseconds = 1};
}

inline File file(Rank rank, int workers, std::vector<Record> records,
                 std::vector<ClockReading> clock = {{.at_ns = 0, .offset_ns = 0, .error_ns = 10}}) {
  return {.path = "worker-" + std::to_string(rank) + ".trace",
          .description = description(rank, workers),
          .records = std::move(records),
          .clock = std::move(clock),
          .threads = {},
          .complete = true};
}

}  // namespace alder::trace::test
