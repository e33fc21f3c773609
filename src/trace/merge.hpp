// The trace files of all processes of a run as one, on one clock.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trace/file.hpp"

namespace alder::trace {

// All times are of the leader's clock, as well as they are known.
struct Trace {
  std::vector<File> files;  // in order of their first worker
  std::map<Rank, std::size_t> file_of;
  int workers = 0;
  std::vector<Rank> missing;         // workers without a file
  std::vector<std::string> remarks;  // what a reader must know: one line each

  const Description& description() const { return files.front().description; }
  // How far a worker's clock may be off; nothing: its times cannot be compared with other workers'.
  std::optional<int64_t> clock_error_ns(Rank worker) const;
};

// Each input is a run folder (its newest trace is taken), a folder of trace files, or one such file; several
// are for runs whose nodes wrote to folders of their own. What is missing, unfinished or without a clock
// becomes a remark. Throws Error for what cannot be one trace: no file at all, files of two runs, a worker
// twice, a damaged file.
Trace load(std::span<const std::filesystem::path> inputs);

// As load, of files that were read already.
Trace join(std::vector<File> files);

// FOLDER/trace/from-N of the newest part of a run, if there is one.
std::optional<std::filesystem::path> newest_part(const std::filesystem::path& run_folder);
// Where the process whose first worker is `first` writes, and the folder of that part.
std::filesystem::path part_folder(const std::filesystem::path& run_folder, Step first_step);
std::filesystem::path file_name(const std::filesystem::path& part, Rank first);

// A time of `clock`'s process on the leader's clock: between two readings along the line through them, before
// and after them as at the nearest. With no reading, as it is.
int64_t to_leader(int64_t ns, std::span<const ClockReading> clock);

}  // namespace alder::trace
