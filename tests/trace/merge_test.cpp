#include "trace/merge.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.hpp"
#include "made_trace.hpp"
#include "trace/chrome.hpp"

namespace alder::trace {
namespace {

using test::description;
using test::file;
using test::record;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Merge : public test::Folder {
 protected:
  static void write(const std::filesystem::path& path, const File& file) {
    std::filesystem::create_directories(path.parent_path());
    FileWriter writer(path, file.description);
    for (const ClockReading& reading : file.clock) writer.clock(reading);
    writer.records(file.records);
    if (file.complete) writer.end();
  }
};

TEST_F(Merge, ReadsTheNewestPartOfARunFolder) {
  write(file_name(part_folder(folder_, 0), 0), file(0, 1, {record(Kind::step, 0, 1, 2)}));
  write(file_name(part_folder(folder_, 90), 0), file(0, 1, {record(Kind::step, 0, 5, 6, -1, 90)}));
  write(file_name(part_folder(folder_, 100), 0), file(0, 1, {record(Kind::step, 0, 7, 8, -1, 100)}));
  const Trace trace = load({&folder_, 1});
  ASSERT_EQ(trace.files.size(), 1U);
  EXPECT_EQ(trace.files[0].records[0].generation, 100U) << "by number, not by letter";
  EXPECT_THAT(trace.remarks, IsEmpty());
}

TEST_F(Merge, SaysWhatIsNoTraceFolder) {
  EXPECT_THAT(complaint([&] { load({&folder_, 1}); }), HasSubstr("run `alder train` with --trace"));
  const auto none = folder_ / "none";
  EXPECT_THAT(complaint([&] { load({&none, 1}); }), HasSubstr("does not exist"));
}

TEST_F(Merge, NamesMissingWorkersUnfinishedFilesAndClocks) {
  File unfinished = file(1, 4, {});
  unfinished.complete = false;
  File without_clock = file(2, 4, {}, {});
  without_clock.dropped = 12;
  const Trace trace = join({file(0, 4, {}), unfinished, without_clock});
  EXPECT_THAT(trace.missing, ElementsAre(3));
  EXPECT_THAT(trace.remarks, AllOf(Contains(HasSubstr("1 of 4 workers have no trace file: 3")),
                                   Contains(HasSubstr("worker-1.trace (worker 1) was not finished")),
                                   Contains(HasSubstr("worker-2.trace (worker 2) lacks 12 records")),
                                   Contains(HasSubstr("worker-2.trace (worker 2) has no clock offset"))));
  EXPECT_EQ(trace.clock_error_ns(0), 10);
  EXPECT_EQ(trace.clock_error_ns(2), std::nullopt);
  EXPECT_EQ(trace.clock_error_ns(3), std::nullopt);
}

TEST_F(Merge, RefusesTwoRunsAndAWorkerTwice) {
  File other = file(1, 4, {});
  other.description.run_id = "abcd";
  EXPECT_THAT(complaint([&] { join({file(0, 4, {}), other}); }), HasSubstr("are of different runs"));
  EXPECT_THAT(complaint([&] { join({file(0, 4, {}), file(0, 4, {})}); }), HasSubstr("worker 0 is in"));
}

TEST_F(Merge, BringsTimesToTheLeadersClock) {
  // A clock that was 1000 behind at 0 and is 1100 behind at 10000: it lags, and in between along the line.
  const std::vector<ClockReading> clock{{.at_ns = 0, .offset_ns = 1000, .error_ns = 5},
                                        {.at_ns = 10000, .offset_ns = 1100, .error_ns = 7}};
  EXPECT_EQ(to_leader(0, clock), 1000);
  EXPECT_EQ(to_leader(5000, clock), 6050);
  EXPECT_EQ(to_leader(10000, clock), 11100);
  EXPECT_EQ(to_leader(-500, clock), 500) << "before the first: as at the first";
  EXPECT_EQ(to_leader(20000, clock), 21100) << "after the last: as at the last";
  EXPECT_EQ(to_leader(42, {}), 42);
  const Trace trace = join({file(0, 1, {record(Kind::step, 0, 5000, 10000)}, clock)});
  EXPECT_EQ(trace.files[0].records[0].begin, 6050);
  EXPECT_EQ(trace.files[0].records[0].end, 11100);
  EXPECT_EQ(trace.clock_error_ns(0), 7) << "the worse of both";
}

// Two workers, one bucket from 0 to 1; worker 1's clock is 50 us behind.
class Chrome : public Merge {
 protected:
  nlohmann::json events(const Trace& trace) {
    const auto out = folder_ / "trace.json";
    const uint64_t count = write_chrome(trace, out);
    const auto json = nlohmann::json::parse(read_text(out));
    EXPECT_EQ(json.at("traceEvents").size(), count);
    return json.at("traceEvents");
  }

  static Trace pair() {
    return join({file(0, 2,
                      {record(Kind::step, 0, 100'000, 300'000, -1, 4),
                       record(Kind::post, 0, 120'000, 120'000, 1, 4, 0),
                       record(Kind::sent, 0, 180'000, 180'000, 1, 4, 0)}),
                 file(1, 2,
                      {record(Kind::arrival, 1, 125'000, 125'000, 0, 4, 0),
                       record(Kind::wait_bucket, 1, 100'000, 126'500, -1, 4, 0),
                       record(Kind::mixing, 1, 130'000, 140'000, -1, 4)},
                      {{.at_ns = 0, .offset_ns = 50'000, .error_ns = 900}})});
  }

  static std::vector<nlohmann::json> of(const nlohmann::json& events, const std::string& phase) {
    std::vector<nlohmann::json> found;
    for (const auto& event : events) {
      if (event.at("ph") == phase) found.push_back(event);
    }
    return found;
  }
};

TEST_F(Chrome, DrawsSpansOnLanesInMicrosecondsSinceTheBeginning) {
  const auto all = events(pair());
  std::map<std::string, nlohmann::json> spans;
  for (const auto& event : of(all, "X")) spans[event.at("name")] = event;
  EXPECT_EQ(spans.at("step 4").at("ts"), 0.0);
  EXPECT_EQ(spans.at("step 4").at("dur"), 200.0);
  EXPECT_EQ(spans.at("step 4").at("pid"), 0);
  EXPECT_EQ(spans.at("wait bucket 0").at("ts"), 50.0) << "on the leader's clock";
  EXPECT_EQ(spans.at("wait bucket 0").at("dur"), 26.5);
  EXPECT_EQ(spans.at("mixing").at("pid"), 1);
  EXPECT_NE(spans.at("mixing").at("tid"), spans.at("wait bucket 0").at("tid"));
  EXPECT_EQ(spans.at("arrival 0").at("args").at("neighbour"), 0);
}

TEST_F(Chrome, LeadsAnArrowFromThePostToTheArrivalToTheMixing) {
  const auto all = events(pair());
  ASSERT_EQ(of(all, "s").size(), 1U);
  ASSERT_EQ(of(all, "t").size(), 1U);
  ASSERT_EQ(of(all, "f").size(), 1U);
  const auto start = of(all, "s")[0], step = of(all, "t")[0], end = of(all, "f")[0];
  EXPECT_EQ(start.at("id"), step.at("id"));
  EXPECT_EQ(start.at("id"), end.at("id"));
  EXPECT_EQ(start.at("pid"), 0);
  EXPECT_EQ(start.at("ts"), 20.0);
  EXPECT_EQ(step.at("pid"), 1);
  EXPECT_EQ(step.at("ts"), 75.0);
  EXPECT_EQ(end.at("ts"), 80.0);
  // Each end lies within a span of its lane, or viewers drop the arrow.
  for (const auto& point : {start, step, end}) {
    bool held = false;
    for (const auto& span : of(all, "X")) {
      held = held || (span.at("pid") == point.at("pid") && span.at("tid") == point.at("tid") &&
                      span.at("ts") <= point.at("ts") &&
                      point.at("ts") <= span.at("ts").get<double>() + span.at("dur").get<double>());
    }
    EXPECT_TRUE(held) << point;
  }
}

TEST_F(Chrome, ShowsTransfersAtBothEndsAndBytesInFlight) {
  const auto all = events(pair());
  ASSERT_EQ(of(all, "b").size(), 2U);
  ASSERT_EQ(of(all, "e").size(), 2U);
  std::set<std::string> names;
  for (const auto& event : of(all, "b")) names.insert(event.at("name"));
  EXPECT_EQ(names, (std::set<std::string>{"from worker 0", "to worker 1"}));
  const auto counters = of(all, "C");
  ASSERT_EQ(counters.size(), 2U);
  EXPECT_EQ(counters[0].at("args").at("bytes"), 1000);
  EXPECT_EQ(counters[1].at("args").at("bytes"), 0);
}

TEST_F(Chrome, SaysInTheTraceWhatIsMissing) {
  const auto all = events(join({file(0, 2, {record(Kind::step, 0, 1, 2)})}));
  bool said = false;
  for (const auto& event : of(all, "M")) {
    if (event.at("name") == "process_labels") {
      said = true;
      EXPECT_THAT(event.at("args").at("labels").get<std::string>(),
                  HasSubstr("1 of 2 workers have no trace file"));
    }
  }
  EXPECT_TRUE(said);
}

TEST_F(Chrome, DrawsNoArrowBetweenClocksThatWereNotCompared) {
  std::vector<File> files = pair().files;
  files[1].clock.clear();
  const auto all = events(join(std::move(files)));
  EXPECT_THAT(of(all, "s"), IsEmpty());
  EXPECT_EQ(of(all, "b").size(), 1U) << "the sender's own view";
}

}  // namespace
}  // namespace alder::trace
