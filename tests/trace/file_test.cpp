#include "trace/file.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "base/file.hpp"
#include "made_trace.hpp"

namespace alder::trace {
namespace {

using test::description;
using test::record;
using testing::HasSubstr;

class TraceFile : public test::Folder {
 protected:
  std::filesystem::path path() const { return folder_ / "worker-00001.trace"; }

  void write() const {
    FileWriter writer(path(), description(1, 4));
    writer.clock({.at_ns = 5, .offset_ns = -7, .error_ns = 3});
    writer.thread(2, "alder-rdma");
    writer.records(records_);
    writer.dropped(17);
    writer.end();
  }

  std::vector<Record> records_{record(Kind::step, 1, 100, 200, -1, 3),
                               record(Kind::arrival, 1, 150, 150, 2, 3, 1)};
};

TEST_F(TraceFile, BringsBackWhatWasWritten) {
  write();
  const File file = read_trace_file(path());
  EXPECT_TRUE(file.complete);
  EXPECT_EQ(file.dropped, 17U);
  EXPECT_EQ(file.description.run_id, "1234");
  EXPECT_EQ(file.description.local, std::vector<Rank>{1});
  EXPECT_EQ(file.description.bucket_bytes, (std::vector<uint64_t>{1000, 500}));
  EXPECT_EQ(file.threads.at(2), "alder-rdma");
  ASSERT_EQ(file.clock.size(), 1U);
  EXPECT_EQ(file.clock[0].offset_ns, -7);
  ASSERT_EQ(file.records.size(), 2U);
  EXPECT_EQ(file.records[1].kind, Kind::arrival);
  EXPECT_EQ(file.records[1].neighbour, 2);
  EXPECT_EQ(file.records[1].bucket, 1U);
  EXPECT_EQ(file.records[1].begin, 150);
}

// What a process that was killed leaves behind, at every length.
TEST_F(TraceFile, ReadsWhatACrashLeavesAndSaysThatItIsUnfinished) {
  write();
  const std::string whole = read_text(path());
  std::size_t most = 0;
  int unreadable = 0;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << whole.substr(0, length);
    try {
      const File file = read_trace_file(path());
      EXPECT_FALSE(file.complete) << length;
      EXPECT_GE(file.records.size(), most) << length;
      most = file.records.size();
    } catch (const Error& error) {
      EXPECT_EQ(most, 0U) << "once the description is there, nothing is refused";
      ++unreadable;
    }
  }
  EXPECT_EQ(most, 2U);
  EXPECT_GT(unreadable, 0);
}

TEST_F(TraceFile, RefusesWhatIsNoTrace) {
  std::ofstream(path()) << "{\"traceEvents\":[]}";
  EXPECT_THAT(complaint([&] { read_trace_file(path()); }), HasSubstr("is no trace of this version"));
}

TEST_F(TraceFile, RefusesRecordsThatCannotBe) {
  for (const Record& bad : {record(Kind::step, 4, 1, 2), record(Kind::step, 1, 2, 1),
                            record(Kind::arrival, 1, 1, 1, 9), record(static_cast<Kind>(200), 1, 1, 1)}) {
    records_ = {bad};
    write();
    EXPECT_THAT(complaint([&] { read_trace_file(path()); }), HasSubstr("record 0"));
  }
}

TEST_F(TraceFile, SurvivesAnyFlippedByte) {
  write();
  const std::string whole = read_text(path());
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << damaged;
    try {
      read_trace_file(path());
    } catch (const Error&) {  // and nothing else
    }
  }
}

TEST_F(TraceFile, NamesAFolderThatIsNotThere) {
  EXPECT_THAT(complaint([&] { FileWriter(folder_ / "none" / "a.trace", description(0, 1)); }),
              HasSubstr("cannot open"));
}

}  // namespace
}  // namespace alder::trace
