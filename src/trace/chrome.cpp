#include "trace/chrome.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "base/error.hpp"
#include "trace/analysis.hpp"

namespace alder::trace {
namespace {

enum Lane : int { kSteps = 1, kCompute, kWaits, kPublish, kExchange, kProgress, kDevice };
constexpr std::array<std::string_view, 8> kLaneNames{"",        "steps",    "compute",         "waits",
                                                     "publish", "exchange", "progress thread", "device"};

// Moments are drawn this wide, so that they can be seen and clicked and an arrow has something to hold on to.
constexpr int64_t kMomentNs = 1000;

Lane lane_of(Kind kind) {
  switch (kind) {
    case Kind::step:
      return kSteps;
    case Kind::wait_header:
    case Kind::wait_bucket:
    case Kind::wait_release:
      return kWaits;
    case Kind::publish:
      return kPublish;
    case Kind::progress_sleep:
      return kProgress;
    case Kind::kernel:
    case Kind::copy:
      return kDevice;
    default:
      return is_span(kind) ? kCompute : kExchange;
  }
}

std::string_view colour_group(Kind kind) {
  return lane_of(kind) == kWaits ? "wait" : lane_of(kind) == kExchange ? "exchange" : "work";
}

// Microseconds with three decimals, without going through a double.
struct Micro {
  int64_t ns;
};

}  // namespace
}  // namespace alder::trace

template <>
struct fmt::formatter<alder::trace::Micro> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  template <typename Context>
  auto format(const alder::trace::Micro& time, Context& context) const {
    // Every time is at or after zero, and so is every length.
    return fmt::format_to(context.out(), "{}.{:03}", time.ns / 1000, time.ns % 1000);
  }
};

namespace alder::trace {
namespace {

// Writes events as they come, through a buffer of some hundred KB.
class Writer {
 public:
  Writer(const std::filesystem::path& path, int64_t zero)
      : path_(path), zero_(zero), file_(std::fopen(path.c_str(), "we")) {
    if (file_ == nullptr)
      fail("cannot open {}: {}; choose another --out", path.string(), std::strerror(errno));
    add("{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    if (file_ != nullptr) std::fclose(file_);
  }

  template <typename... Args>
  void event(fmt::format_string<Args...> format, Args&&... args) {
    buffer_.append(std::string_view(events_++ == 0 ? "\n" : ",\n"));
    fmt::format_to(std::back_inserter(buffer_), format, std::forward<Args>(args)...);
    if (buffer_.size() > (1U << 18)) flush();
  }
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(buffer_), format, std::forward<Args>(args)...);
  }

  Micro time(int64_t ns) const { return {ns - zero_}; }

  uint64_t finish() {
    add("\n]}}\n");
    flush();
    const bool closed = std::fclose(file_) == 0;
    file_ = nullptr;
    if (!closed) fail("cannot write {}: {}", path_.string(), std::strerror(errno));
    return events_;
  }

 private:
  void flush() {
    if (std::fwrite(buffer_.data(), 1, buffer_.size(), file_) != buffer_.size())
      fail("cannot write {}: {}", path_.string(), std::strerror(errno));
    buffer_.clear();
  }

  std::filesystem::path path_;
  int64_t zero_;
  std::FILE* file_;
  fmt::memory_buffer buffer_;
  uint64_t events_ = 0;
};

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

int64_t earliest(const Trace& trace) {
  int64_t zero = std::numeric_limits<int64_t>::max();
  for (const File& file : trace.files) {
    for (const Record& one : file.records) zero = std::min(zero, one.begin);
  }
  return zero == std::numeric_limits<int64_t>::max() ? 0 : zero;
}

void write_names(const Trace& trace, Writer& out) {
  for (const auto& [rank, index] : trace.file_of) {
    const File& file = trace.files[index];
    const auto error = trace.clock_error_ns(rank);
    const std::string clock =
        error ? fmt::format("clock within {} ns of worker 0's", *error) : "clock not compared";
    out.event(R"({{"ph":"M","pid":{},"name":"process_name","args":{{"name":{}}}}})", rank,
              quoted(fmt::format("worker {} ({}, {})", rank, file.description.host, clock)));
    out.event(R"({{"ph":"M","pid":{0},"name":"process_sort_index","args":{{"sort_index":{0}}}}})", rank);
    for (int lane = kSteps; lane <= kDevice; ++lane) {
      out.event(R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}"}}}})", rank, lane,
                kLaneNames[static_cast<std::size_t>(lane)]);
      out.event(R"({{"ph":"M","pid":{},"tid":{},"name":"thread_sort_index","args":{{"sort_index":{}}}}})",
                rank, lane, lane);
    }
  }
  for (const std::string& remark : trace.remarks) {
    out.event(R"({{"ph":"M","pid":0,"name":"process_labels","args":{{"labels":{}}}}})", quoted(remark));
  }
}

// The name of a record with what it is about: "wait bucket 3", "arrival from worker 2".
void write_record(const Record& one, Writer& out) {
  const int64_t length = std::max(one.end - one.begin, is_span(one.kind) ? 0 : kMomentNs);
  const bool numbered = one.kind == Kind::publish || one.kind == Kind::wait_bucket ||
                        one.kind == Kind::post || one.kind == Kind::sent || one.kind == Kind::landed ||
                        one.kind == Kind::arrival;
  out.event(R"({{"ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"cat":"{}","name":"{})", one.worker,
            static_cast<int>(lane_of(one.kind)), out.time(one.begin), Micro{length}, colour_group(one.kind),
            name_of(one.kind));
  if (one.kind == Kind::step) out.add(" {}", one.generation);
  if (numbered) out.add(" {}", one.bucket);
  out.add(R"(","args":{{"generation":{})", one.generation);
  if (one.neighbour >= 0) out.add(R"(,"neighbour":{})", one.neighbour);
  if (numbered) out.add(R"(,"bucket":{})", one.bucket);
  out.add("}}}}");
}

struct Flight {
  int64_t ns;
  int64_t bytes;  // added or taken away
};

void write_counters(const std::vector<std::vector<Flight>>& flights, Writer& out) {
  for (std::size_t rank = 0; rank < flights.size(); ++rank) {
    std::vector<Flight> sorted = flights[rank];
    std::ranges::sort(sorted, [](const Flight& a, const Flight& b) { return a.ns < b.ns; });
    int64_t bytes = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      bytes += sorted[i].bytes;
      if (i + 1 < sorted.size() && sorted[i + 1].ns == sorted[i].ns) continue;
      out.event(R"({{"ph":"C","pid":{},"ts":{},"name":"bytes in flight","args":{{"bytes":{}}}}})", rank,
                out.time(sorted[i].ns), bytes);
    }
  }
}

// Both ends of one transfer, each on its own worker's track, under one id.
void write_track(const Transfer& one, bool outgoing, int64_t begin, int64_t end, uint64_t id, uint64_t bytes,
                 Writer& out) {
  const Rank pid = outgoing ? one.from : one.to, other = outgoing ? one.to : one.from;
  const char* way = outgoing ? "to" : "from";
  out.event(
      R"({{"ph":"b","pid":{},"tid":{},"ts":{},"cat":"wire","id2":{{"local":"{:x}"}},"name":"{} worker {}","args":{{"bucket":{},"generation":{},"bytes":{}}}}})",
      pid, static_cast<int>(kExchange), out.time(begin), id, way, other, one.bucket, one.generation, bytes);
  out.event(
      R"({{"ph":"e","pid":{},"tid":{},"ts":{},"cat":"wire","id2":{{"local":"{:x}"}},"name":"{} worker {}"}})",
      pid, static_cast<int>(kExchange), out.time(end), id, way, other);
}

// When each worker mixed what it heard in each generation.
using Mixings = std::unordered_map<uint64_t, int64_t>;

void write_flow(const Transfer& one, uint64_t id, const Mixings& mixings, Writer& out) {
  const char* const head = R"("cat":"model","name":"model","id":)";
  const int lane = kExchange;
  out.event(R"({{"ph":"s","pid":{},"tid":{},"ts":{},{}{}}})", one.from, lane, out.time(*one.posted), head,
            id);
  const auto mixing = mixings.find(one.generation);
  const bool ends_here = mixing == mixings.end();
  out.event(R"({{"ph":"{}","bp":"e","pid":{},"tid":{},"ts":{},{}{}}})", ends_here ? "f" : "t", one.to, lane,
            out.time(*one.arrived), head, id);
  if (!ends_here) {
    out.event(R"({{"ph":"f","bp":"e","pid":{},"tid":{},"ts":{},{}{}}})", one.to, static_cast<int>(kCompute),
              out.time(mixing->second), head, id);
  }
}

void write_transfers(const Trace& trace, Writer& out) {
  std::vector<Mixings> mixings(static_cast<std::size_t>(trace.workers));
  for (const File& file : trace.files) {
    for (const Record& one : file.records) {
      if (one.kind == Kind::mixing) mixings[static_cast<std::size_t>(one.worker)][one.generation] = one.begin;
    }
  }
  std::vector<std::vector<Flight>> flights(static_cast<std::size_t>(trace.workers));
  uint64_t id = 0;
  for (const Transfer& one : transfers_of(trace)) {
    const auto& sizes = trace.description().bucket_bytes;
    const uint64_t bytes = one.bucket < sizes.size() ? sizes[one.bucket] : 0;
    if (one.posted && one.sent) {
      write_track(one, true, *one.posted, *one.sent, ++id, bytes, out);
      flights[static_cast<std::size_t>(one.from)].push_back({*one.posted, static_cast<int64_t>(bytes)});
      flights[static_cast<std::size_t>(one.from)].push_back({*one.sent, -static_cast<int64_t>(bytes)});
    }
    if (!one.posted || !one.arrived || !comparable(trace, one.from, one.to)) continue;
    write_track(one, false, std::min(*one.posted, *one.arrived), *one.arrived, ++id, bytes, out);
    write_flow(one, ++id, mixings[static_cast<std::size_t>(one.to)], out);
  }
  write_counters(flights, out);
}

}  // namespace

uint64_t write_chrome(const Trace& trace, const std::filesystem::path& path) {
  Writer out(path, earliest(trace));
  write_names(trace, out);
  for (const File& file : trace.files) {
    for (const Record& one : file.records) {
      if (one.kind != Kind::expects) write_record(one, out);
    }
  }
  write_transfers(trace, out);
  return out.finish();
}

}  // namespace alder::trace
