#include "trace/merge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "base/error.hpp"

namespace alder::trace {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".trace";

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == kSuffix) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

std::vector<fs::path> files_of(const fs::path& input) {
  if (fs::is_regular_file(input)) return {input};
  if (!fs::is_directory(input)) {
    fail("{} does not exist; give a run folder that `alder train --trace` wrote", input.string());
  }
  std::vector<fs::path> found = files_in(input);
  if (const auto part = newest_part(input); found.empty() && part) found = files_in(*part);
  if (found.empty()) {
    fail(
        "{}: no trace in this folder; run `alder train` with --trace, or give the folder that holds *{} "
        "files",
        input.string(), kSuffix);
  }
  return found;
}

std::string list(const std::vector<Rank>& ranks) {
  constexpr std::size_t kMost = 8;
  const auto shown = static_cast<std::ptrdiff_t>(std::min(ranks.size(), kMost));
  std::string text = fmt::format("{}", fmt::join(ranks.begin(), ranks.begin() + shown, ", "));
  if (ranks.size() > kMost) text += fmt::format(" and {} more", ranks.size() - kMost);
  return text;
}

void align(File& file) {
  if (file.clock.empty()) return;
  std::ranges::sort(file.clock, {}, &ClockReading::at_ns);
  for (Record& record : file.records) {
    record.begin = to_leader(record.begin, file.clock);
    record.end = std::max(record.begin, to_leader(record.end, file.clock));
  }
}

void remark_on(const File& file, std::vector<std::string>& remarks) {
  const std::string who =
      fmt::format("{} (worker{} {})", file.path.filename().string(),
                  file.description.local.size() == 1 ? "" : "s", list(file.description.local));
  if (!file.complete) {
    remarks.push_back(
        fmt::format("{} was not finished: its process was ended, and its last moments are missing", who));
  }
  if (file.dropped > 0) {
    remarks.push_back(
        fmt::format("{} lacks {} records that came faster than they could be written", who, file.dropped));
  }
  if (file.clock.empty()) {
    remarks.push_back(fmt::format(
        "{} has no clock offset: its times cannot be compared with those of other processes", who));
  }
}

}  // namespace

fs::path part_folder(const fs::path& run_folder, Step first_step) {
  return run_folder / "trace" / fmt::format("from-{}", first_step);
}

fs::path file_name(const fs::path& part, Rank first) {
  return part / fmt::format("worker-{:05}{}", first, kSuffix);
}

std::optional<fs::path> newest_part(const fs::path& run_folder) {
  std::optional<fs::path> newest;
  Step latest = -1;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run_folder / "trace", error)) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view kFrom = "from-";
    Step step = 0;
    if (!name.starts_with(kFrom)) continue;
    const auto [end, fault] = std::from_chars(name.data() + kFrom.size(), name.data() + name.size(), step);
    if (fault != std::errc{} || end != name.data() + name.size() || step <= latest) continue;
    latest = step;
    newest = entry.path();
  }
  return newest;
}

int64_t to_leader(int64_t ns, std::span<const ClockReading> clock) {
  if (clock.empty()) return ns;
  const auto after = std::ranges::lower_bound(clock, ns, {}, &ClockReading::at_ns);
  if (after == clock.begin()) return ns + clock.front().offset_ns;
  if (after == clock.end()) return ns + clock.back().offset_ns;
  const ClockReading& a = *(after - 1);
  const ClockReading& b = *after;
  const double part = static_cast<double>(ns - a.at_ns) / static_cast<double>(b.at_ns - a.at_ns);
  return ns + a.offset_ns + static_cast<int64_t>(part * static_cast<double>(b.offset_ns - a.offset_ns));
}

std::optional<int64_t> Trace::clock_error_ns(Rank worker) const {
  const auto at = file_of.find(worker);
  if (at == file_of.end()) return std::nullopt;
  const File& file = files[at->second];
  if (file.clock.empty()) return std::nullopt;
  return std::ranges::max_element(file.clock, {}, &ClockReading::error_ns)->error_ns;
}

Trace join(std::vector<File> files) {
  if (files.empty()) fail("no trace files; run `alder train` with --trace");
  std::ranges::sort(files, {}, [](const File& file) { return file.description.local.front(); });
  Trace trace;
  trace.workers = files.front().description.workers;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const File& file = files[i];
    if (file.description.run_id != files.front().description.run_id) {
      fail("{} and {} are of different runs ({} {}, {} {}); give the trace of one run",
           files.front().path.string(), file.path.string(), files.front().description.run_name,
           files.front().description.run_id, file.description.run_name, file.description.run_id);
    }
    for (const Rank rank : file.description.local) {
      const auto [at, fresh] = trace.file_of.try_emplace(rank, i);
      if (!fresh) {
        fail("worker {} is in {} and in {}; give each file once", rank, files[at->second].path.string(),
             file.path.string());
      }
    }
  }
  for (Rank rank = 0; rank < trace.workers; ++rank) {
    if (!trace.file_of.contains(rank)) trace.missing.push_back(rank);
  }
  if (!trace.missing.empty()) {
    trace.remarks.push_back(fmt::format("{} of {} workers have no trace file: {}", trace.missing.size(),
                                        trace.workers, list(trace.missing)));
  }
  for (File& file : files) {
    remark_on(file, trace.remarks);
    align(file);
  }
  trace.files = std::move(files);
  return trace;
}

Trace load(std::span<const fs::path> inputs) {
  std::vector<File> files;
  for (const fs::path& input : inputs) {
    for (const fs::path& path : files_of(input)) files.push_back(read_trace_file(path));
  }
  return join(std::move(files));
}

}  // namespace alder::trace
