// What the page says of a traced run.
#include <nlohmann/json.hpp>

#include "report/hiding.hpp"
#include "report/overlap_figures.hpp"
#include "report/page.hpp"
#include "report/report.hpp"
#include "tests/report/folder.hpp"
#include "tests/report/well_formed.hpp"
#include "trace/merge.hpp"

namespace alder::report {
namespace {

using test::Fixture;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Json = nlohmann::ordered_json;

Json spread(double mean) {
  return {{"mean", mean}, {"p50", mean}, {"p99", 2 * mean}};
}

class TracedPage : public test::Folder {
 protected:
  // A run whose workers step for `step` seconds, of which `wire` are on the wire.
  std::filesystem::path traced(const std::string& name, int workers, double step, double wire,
                               double compute = 0.06) {
    const auto folder = make(name, {.name = name, .workers = workers, .epochs = 1});
    std::ofstream file(folder / "metrics.jsonl", std::ios::app);
    for (Rank rank = 0; rank < workers; ++rank) {
      const std::string other = std::to_string((rank + 1) % workers);
      Json line{{"kind", "overlap"},
                {"worker", rank},
                {"steps", 20},
                {"seconds",
                 {{"step", spread(step)},
                  {"data", spread(0.01)},
                  {"forward", spread(0.02)},
                  {"backward", spread(0.02)},
                  {"mixing", spread(compute - 0.05)},
                  {"compute", spread(compute)},
                  {"communication", spread(wire)},
                  {"overlapped", spread(wire / 2)},
                  {"exposed", spread(wire / 2)},
                  {"stall", spread(0.03)},
                  {"idle", spread(0.01)}}},
                {"stall_by_neighbour", {{other, 0.6}}},
                {"stall_by_cause", {{"late", 0.45}, {"wire", 0.15}}},
                {"edges", {{other, {{"bytes", 2e9}, {"transfers", 20}, {"seconds", 0.1}}}}},
                {"line_bytes_per_second", 50e9}};
      file << line.dump() << "\n";
    }
    return folder;
  }

  static trace::Record record(trace::Kind kind, Rank worker, int64_t begin, int64_t end,
                              Rank neighbour = -1) {
    return {.begin = begin * 1'000'000,
            .end = end * 1'000'000,
            .generation = 5,
            .worker = worker,
            .neighbour = neighbour,
            .kind = kind,
            .in_nanoseconds = 1};
  }

  static void write_trace(const std::filesystem::path& folder, int workers) {
    const auto part = trace::part_folder(folder, 0);
    std::filesystem::create_directories(part);
    for (Rank rank = 0; rank < workers; ++rank) {
      const Rank other = (rank + 1) % workers, before = (rank + workers - 1) % workers;
      trace::FileWriter writer(trace::file_name(part, rank), {.run_id = "r",
                                                              .run_name = "r",
                                                              .model = "m",
                                                              .host = "h",
                                                              .workers = workers,
                                                              .local = {rank},
                                                              .bucket_bytes = {1000},
                                                              .exchange = "verbs"});
      writer.clock({.at_ns = 0, .offset_ns = 0, .error_ns = 1500});
      using trace::Kind;
      const std::vector<trace::Record> records{record(Kind::post, rank, 0, 0, other),
                                               record(Kind::data, rank, 0, 10),
                                               record(Kind::forward, rank, 10, 30),
                                               record(Kind::backward, rank, 30, 50),
                                               record(Kind::sent, rank, 40, 40, other),
                                               record(Kind::wait_bucket, rank, 50, 80),
                                               record(Kind::arrival, rank, 78, 78, before),
                                               record(Kind::mixing, rank, 80, 90),
                                               record(Kind::step, rank, 0, 100)};
      writer.records(records);
      writer.end();
    }
  }
};

TEST_F(TracedPage, IsWellFormedForTwoEightAndManyWorkersWithAndWithoutItsTrace) {
  for (const int workers : {2, 8, 64}) {
    const auto folder = traced("run-" + std::to_string(workers), workers, 0.1, 0.04);
    EXPECT_EQ(test::WellFormed::check(page({read_run(folder)}, 0)), "") << workers;
    write_trace(folder, workers);
    const std::string text = page({read_run(folder)}, 0);
    EXPECT_EQ(test::WellFormed::check(text), "") << workers;
    EXPECT_THAT(text, AllOf(HasSubstr("Where a step&#39;s time went"), HasSubstr("<b>Step 5</b>")));
  }
}

TEST_F(TracedPage, ShowsWhoWaitedForWhomHowFastTheEdgesAreAndWhy) {
  const auto folder = traced("run", 4, 0.1, 0.04);
  write_trace(folder, 4);
  const std::string text = page({read_run(folder)}, 0);
  EXPECT_THAT(text,
              AllOf(HasSubstr("Worker 0 waited 30.0 ms a step for worker 1"),
                    HasSubstr("Worker 0 to worker 1: 20.0 GB/s, 40.0 % of the line"),
                    HasSubstr("75.0 % the neighbour had not sent yet, 25.0 % it was on the wire"),
                    HasSubstr("Worker 3: waiting for neighbours 30.0 ms"),
                    HasSubstr("Worker 1: backward, 20.0 ms"), HasSubstr("Worker 1 to worker 2: bucket 0")));
}

TEST_F(TracedPage, SaysWhyThereIsNoTimeline) {
  const auto folder = traced("run", 4, 0.1, 0.04);
  EXPECT_THAT(page({read_run(folder)}, 0), HasSubstr("The run folder has no trace any more."));
  put(trace::file_name(trace::part_folder(folder, 0), 0), "nonsense");
  EXPECT_THAT(page({read_run(folder)}, 0), HasSubstr("is no trace of this version"));
}

TEST_F(TracedPage, OfAnUntracedRunSaysNothing) {
  EXPECT_THAT(page({read_run(make("plain"))}, 0), Not(HasSubstr("Where a step")));
  EXPECT_EQ(overlap_text(read_run(make("other"))), "");
}

TEST_F(TracedPage, TheTableHasARowForEachWorkerAndOneForAll) {
  const Table table = overlap_table(read_run(traced("run", 4, 0.1, 0.04)));
  ASSERT_EQ(table.rows.size(), 5U);
  EXPECT_EQ(table.rows[2][2].text, "100");
  EXPECT_EQ(table.rows[2][3].text, "200");
  EXPECT_EQ(table.rows[4][0].text, "all");
  EXPECT_EQ(table.rows[4][1].text, "80");
  EXPECT_EQ(table.rows[4].back().text, "50.0 %");
}

TEST_F(TracedPage, NamesTheLineThatIsNotAsDocumented) {
  const auto folder = traced("run", 4, 0.1, 0.04);
  std::ofstream(folder / "metrics.jsonl", std::ios::app)
      << R"({"kind":"overlap","worker":0,"steps":1,"edges":{"9":{"bytes":1,"seconds":1}}})"
      << "\n";
  EXPECT_THAT(complaint([&] { read_run(folder); }),
              HasSubstr("'edges' must be an object with ranks 0 to 3 as keys"));
}

TEST_F(TracedPage, AResumedRunCountsItsLastPart) {
  const auto folder = traced("run", 2, 0.1, 0.04);
  std::ofstream(folder / "metrics.jsonl", std::ios::app) << R"({"kind":"overlap","worker":0,"steps":3})"
                                                         << "\n";
  const auto run = read_run(folder);
  ASSERT_EQ(run.overlaps.size(), 2U);
  EXPECT_EQ(run.overlaps[0].steps, 3);
  EXPECT_EQ(run.overlaps[1].steps, 20);
}

TEST_F(TracedPage, HidingComparesMediansOfRounds) {
  const std::vector<Run> with{read_run(traced("a", 2, 0.11, 0.04, 0.066)),
                              read_run(traced("b", 2, 0.9, 0.04, 0.066)),
                              read_run(traced("c", 2, 0.11, 0.04, 0.066))};
  const std::vector<Run> without{read_run(traced("d", 2, 0.10, 0)), read_run(traced("e", 2, 0.10, 0))};
  const Hiding hiding = hiding_of(with, without);
  EXPECT_NEAR(hiding.compute_slowdown, 1.1, 1e-9);
  ASSERT_TRUE(hiding.efficiency.has_value());
  EXPECT_NEAR(*hiding.efficiency, 1 - 0.01 / 0.04, 1e-9);
  EXPECT_NEAR(*hiding.overlap_fraction, 0.5, 1e-9);
  EXPECT_THAT(to_text(hiding),
              AllOf(HasSubstr("hiding efficiency  75.0 %"), HasSubstr("compute slowdown   1.100")));
  EXPECT_EQ(hiding_of(without, without).efficiency, std::nullopt) << "nothing was on a wire";
}

TEST_F(TracedPage, HidingRefusesOtherJobsAndUntracedRuns) {
  const Run two = read_run(traced("two", 2, 0.1, 0.04)), four = read_run(traced("four", 4, 0.1, 0.04)),
            plain = read_run(make("plain", {.workers = 2}));
  EXPECT_THAT(complaint([&] { hiding_of({two}, {four}); }),
              HasSubstr("are different jobs (workers 2 and 4)"));
  EXPECT_THAT(complaint([&] { hiding_of({two}, {plain}); }), HasSubstr("has no traced steps"));
  EXPECT_THAT(complaint([&] { hiding_of({two}, {}); }), HasSubstr("at least one run"));
}

}  // namespace
}  // namespace alder::report
