#include "trace/file.hpp"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.hpp"
#include "base/file.hpp"

namespace alder::trace {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMagic = "alder-trace 1\n";
constexpr int kMaxWorkers = 1 << 20;  // a plausibility bound, as the report's

enum BlockKind : uint32_t { kDescription = 1, kRecords, kClock, kThread, kDropped, kEnd };

struct BlockHead {
  uint32_t kind = 0, bytes = 0;
};
static_assert(sizeof(BlockHead) == 8 && sizeof(ClockReading) == 24);

Json to_json(const Description& one) {
  return {{"run_id", one.run_id},
          {"run_name", one.run_name},
          {"model", one.model},
          {"host", one.host},
          {"process", one.process},
          {"workers", one.workers},
          {"local", one.local},
          {"bucket_bytes", one.bucket_bytes},
          {"exchanges_per_step", one.exchanges_per_step},
          {"exchange", one.exchange},
          {"line_bytes_per_second", one.line_bytes_per_second},
          {"first_step", one.first_step},
          {"window", {one.window_begin, one.window_end}},
          {"clock", one.clock}};
}

Description description_of(const Json& json) {
  Description one;
  json.at("run_id").get_to(one.run_id);
  json.at("run_name").get_to(one.run_name);
  json.at("model").get_to(one.model);
  json.at("host").get_to(one.host);
  json.at("process").get_to(one.process);
  json.at("workers").get_to(one.workers);
  json.at("local").get_to(one.local);
  json.at("bucket_bytes").get_to(one.bucket_bytes);
  json.at("exchanges_per_step").get_to(one.exchanges_per_step);
  json.at("exchange").get_to(one.exchange);
  json.at("line_bytes_per_second").get_to(one.line_bytes_per_second);
  json.at("first_step").get_to(one.first_step);
  json.at("window").at(0).get_to(one.window_begin);
  json.at("window").at(1).get_to(one.window_end);
  json.at("clock").get_to(one.clock);
  return one;
}

void check(const Description& one, const std::filesystem::path& path) {
  if (one.workers < 1 || one.workers > kMaxWorkers || one.exchanges_per_step < 1 || one.local.empty()) {
    fail(
        "{}: a description of {} workers, {} of them here, {} exchanges a step cannot be; the file is "
        "damaged",
        path.string(), one.workers, one.local.size(), one.exchanges_per_step);
  }
  for (const Rank rank : one.local) {
    if (rank < 0 || rank >= one.workers) {
      fail("{}: worker {} of {} cannot be; the file is damaged", path.string(), rank, one.workers);
    }
  }
}

// The caller's bytes, block by block.
class Blocks {
 public:
  Blocks(std::span<const std::byte> bytes, const std::filesystem::path& path) : left_(bytes), path_(path) {}

  // False at the end, and where the file ends in the middle of a block.
  bool next(uint32_t& kind, std::span<const std::byte>& payload) {
    BlockHead head;
    if (left_.size() < sizeof head) return false;
    std::memcpy(&head, left_.data(), sizeof head);
    if (left_.size() - sizeof head < head.bytes) return false;
    kind = head.kind;
    payload = left_.subspan(sizeof head, head.bytes);
    left_ = left_.subspan(sizeof head + head.bytes);
    return true;
  }

  template <typename Value>
  Value value(std::span<const std::byte> payload, const char* what) const {
    if (payload.size() != sizeof(Value)) {
      fail("{}: {} of {} bytes where {} are due; the file is damaged", path_.string(), what, payload.size(),
           sizeof(Value));
    }
    Value one;
    std::memcpy(&one, payload.data(), sizeof one);
    return one;
  }

 private:
  std::span<const std::byte> left_;
  const std::filesystem::path& path_;
};

void take_records(std::span<const std::byte> payload, File& file) {
  if (payload.size() % sizeof(Record) != 0) {
    fail("{}: {} bytes of records are no whole number of them; the file is damaged", file.path.string(),
         payload.size());
  }
  const std::size_t first = file.records.size();
  file.records.resize(first + payload.size() / sizeof(Record));
  std::memcpy(file.records.data() + first, payload.data(), payload.size());
  for (std::size_t i = first; i < file.records.size(); ++i) {
    const Record& one = file.records[i];
    const int workers = file.description.workers;
    if (static_cast<int>(one.kind) >= kKinds || one.worker < 0 || one.worker >= workers ||
        one.neighbour < -1 || one.neighbour >= workers || one.end < one.begin) {
      fail("{}: record {} (kind {}, worker {}, neighbour {}, {} to {} ns) cannot be; the file is damaged",
           file.path.string(), i, static_cast<int>(one.kind), one.worker, one.neighbour, one.begin, one.end);
    }
  }
}

void take_description(std::span<const std::byte> payload, File& file) {
  try {
    file.description =
        description_of(Json::parse(reinterpret_cast<const char*>(payload.data()),
                                   reinterpret_cast<const char*>(payload.data()) + payload.size()));
  } catch (const Json::exception& error) {
    fail("{}: its description cannot be read ({}); the file is damaged or of another version",
         file.path.string(), error.what());
  }
  check(file.description, file.path);
}

}  // namespace

File read_trace_file(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  File file;
  file.path = path;
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min(bytes.size(), kMagic.size()));
  if (start != kMagic) {
    fail(
        "{} is no trace of this version: it does not begin with 'alder-trace 1'; give what `alder train "
        "--trace` "
        "wrote",
        path.string());
  }
  Blocks blocks{std::span<const std::byte>(bytes).subspan(kMagic.size()), path};
  uint32_t kind = 0;
  std::span<const std::byte> payload;
  uint64_t ended_with = 0;
  while (!file.complete && blocks.next(kind, payload)) {
    if (kind != kDescription && file.description.workers == 0) {
      fail("{}: it does not begin with its description; the file is damaged", path.string());
    }
    switch (kind) {
      case kDescription:
        take_description(payload, file);
        break;
      case kRecords:
        take_records(payload, file);
        break;
      case kClock:
        file.clock.push_back(blocks.value<ClockReading>(payload, "a clock reading"));
        break;
      case kThread: {
        if (payload.size() < sizeof(uint32_t))
          fail("{}: a thread without a number; the file is damaged", path.string());
        uint32_t number = 0;
        std::memcpy(&number, payload.data(), sizeof number);
        file.threads[number] = {reinterpret_cast<const char*>(payload.data()) + sizeof number,
                                payload.size() - sizeof number};
        break;
      }
      case kDropped:
        file.dropped = blocks.value<uint64_t>(payload, "a count");
        break;
      case kEnd:
        ended_with = blocks.value<uint64_t>(payload, "a count");
        file.complete = true;
        break;
      default:
        fail("{}: a block of unknown kind {}; the file is damaged or of another version", path.string(),
             kind);
    }
  }
  if (file.description.workers == 0) {
    fail("{}: it ends before its description; the process was ended while it began", path.string());
  }
  if (file.complete && ended_with != file.records.size()) {
    fail("{}: {} records where {} were written; the file is damaged", path.string(), file.records.size(),
         ended_with);
  }
  return file;
}

FileWriter::FileWriter(const std::filesystem::path& path, const Description& description)
    : path_(path), file_(std::fopen(path.c_str(), "we")) {
  if (file_ == nullptr) fail("cannot open {}: {}", path.string(), std::strerror(errno));
  if (std::fwrite(kMagic.data(), 1, kMagic.size(), file_) != kMagic.size()) {
    fail("cannot write {}: {}", path.string(), std::strerror(errno));
  }
  const std::string text = to_json(description).dump();
  block(kDescription, std::as_bytes(std::span(text)));
  flush();
}

FileWriter::~FileWriter() {
  std::fclose(file_);
}

void FileWriter::block(uint32_t kind, std::span<const std::byte> payload) {
  const BlockHead head{kind, static_cast<uint32_t>(payload.size())};
  const bool written = std::fwrite(&head, sizeof head, 1, file_) == 1 &&
                       (payload.empty() || std::fwrite(payload.data(), payload.size(), 1, file_) == 1);
  if (!written) fail("cannot write {}: {}", path_.string(), std::strerror(errno));
}

void FileWriter::thread(uint32_t number, const std::string& name) {
  std::string payload(reinterpret_cast<const char*>(&number), sizeof number);
  payload += name;
  block(kThread, std::as_bytes(std::span(payload)));
}

void FileWriter::records(std::span<const Record> records) {
  if (records.empty()) return;
  block(kRecords, std::as_bytes(records));
  records_ += records.size();
}

void FileWriter::dropped(uint64_t total) {
  block(kDropped, std::as_bytes(std::span(&total, 1)));
}

void FileWriter::clock(const ClockReading& reading) {
  block(kClock, std::as_bytes(std::span(&reading, 1)));
}

void FileWriter::flush() {
  if (std::fflush(file_) != 0) fail("cannot write {}: {}", path_.string(), std::strerror(errno));
}

void FileWriter::end() {
  block(kEnd, std::as_bytes(std::span(&records_, 1)));
  flush();
}

}  // namespace alder::trace
