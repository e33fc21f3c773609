#include "rdma/pairs/pairs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "launch/local_rendezvous.hpp"

namespace alder::rdma {
namespace {

using testing::HasSubstr;

class Tournament : public testing::TestWithParam<int> {};

TEST_P(Tournament, LetsEveryTwoMeetOnceAndNobodyTwiceInARound) {
  const int workers = GetParam();
  const auto rounds = tournament(workers);
  EXPECT_EQ(rounds.size(), static_cast<std::size_t>(workers - 1 + workers % 2));
  std::multiset<std::pair<Rank, Rank>> met;
  for (const auto& partners : rounds) {
    for (Rank rank = 0; rank < workers; ++rank) {
      const auto partner = partners[static_cast<std::size_t>(rank)];
      if (!partner) continue;
      EXPECT_NE(*partner, rank);
      EXPECT_EQ(partners[static_cast<std::size_t>(*partner)], rank);
      met.insert({rank, *partner});
    }
  }
  for (Rank a = 0; a < workers; ++a) {
    for (Rank b = 0; b < workers; ++b) EXPECT_EQ(met.count({a, b}), a == b ? 0U : 1U) << a << " and " << b;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Tournament, testing::Values(2, 3, 4, 5, 8, 13));

// An endpoint of the in-process exchange, with one value of what worker 1 sends read wrongly.
class Bent final : public Endpoint {
 public:
  explicit Bent(Endpoint& inner) : inner_(inner) {}
  Rank rank() const override { return inner_.rank(); }
  void open(Generation g, const LiveEdges& live) override { inner_.open(g, live); }
  void publish(Generation g, Bucket b, std::span<const float> source) override {
    inner_.publish(g, b, source);
  }
  void announce(Generation g, const Header& header) override { inner_.announce(g, header); }
  std::vector<Arrival> await_headers(Generation g, Deadline d) override { return inner_.await_headers(g, d); }
  std::vector<Arrival> await_bucket(Generation g, Bucket b, Deadline d) override {
    return inner_.await_bucket(g, b, d);
  }
  Header header(Rank from, Generation g) const override { return inner_.header(from, g); }
  std::span<const float> slot(Rank from, Generation g, Bucket b) const override {
    const std::span<const float> right = inner_.slot(from, g, b);
    if (from != 1) return right;
    copy_.assign(right.begin(), right.end());
    copy_[copy_.size() / 2] += 1;
    return copy_;
  }
  void release(Generation g) override { inner_.release(g); }
  std::vector<Arrival> await_released(Generation g, Deadline d) override {
    return inner_.await_released(g, d);
  }
  int64_t bytes_sent(Rank to) const override { return inner_.bytes_sent(to); }

 private:
  Endpoint& inner_;
  mutable std::vector<float> copy_;
};

enum class Wires { right, bent };

// One worker's part of an exchange that all threads share.
class Part final : public Exchange {
 public:
  Part(std::shared_ptr<Exchange> whole, Rank rank, Wires wires)
      : whole_(std::move(whole)), rank_(rank), bent_(whole_->endpoint(rank)), wires_(wires) {}
  int workers() const override { return whole_->workers(); }
  std::vector<Rank> local() const override { return {rank_}; }
  Endpoint& endpoint(Rank rank) override {
    if (wires_ == Wires::bent) return bent_;
    return whole_->endpoint(rank);
  }
  void mark_failed(Rank rank) override { whole_->mark_failed(rank); }
  std::string description() const override { return whole_->description(); }

 private:
  std::shared_ptr<Exchange> whole_;
  Rank rank_;
  Bent bent_;
  Wires wires_;
};

// Which worker breaks off at the start of the long exchange, if any.
PairReport examine(int workers, Wires wires, std::optional<Rank> breaks_off = {}) {
  const PairOptions options{
      .bytes = 4096, .round_trips = 5, .transfers = 3, .deadline = std::chrono::seconds(20)};
  const std::shared_ptr<Exchange> small = make_local_exchange(workers, {16});
  const std::shared_ptr<Exchange> large = make_local_exchange(workers, {options.bytes / sizeof(float)});
  LocalMeeting meeting(workers);
  std::optional<PairReport> report;
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < workers; ++rank) {
    threads.emplace_back([&, rank] {
      const auto rendezvous = meeting.join(rank);
      const auto make = [&](Rendezvous&, std::vector<std::size_t> buckets) -> std::unique_ptr<Exchange> {
        if (buckets.front() == 16) return std::make_unique<Part>(small, rank, Wires::right);
        if (breaks_off == rank) large->mark_failed(rank);
        return std::make_unique<Part>(large, rank, wires);
      };
      std::optional<PairReport> own = examine_pairs(*rendezvous, make, options);
      EXPECT_EQ(own.has_value(), rank == 0);
      if (own) report = std::move(own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return report.value();
}

TEST(Pairs, OfAJobAllGetFiguresAndRightData) {
  for (const int workers : {2, 3, 4}) {
    const PairReport report = examine(workers, Wires::right);
    ASSERT_EQ(report.results.size(), static_cast<std::size_t>(workers * (workers - 1)));
    for (const PairResult& result : report.results) {
      EXPECT_EQ(result.trouble, "");
      EXPECT_EQ(result.wrong, 0);
      EXPECT_GT(result.gigabytes_per_second, 0);
      EXPECT_GT(result.one_way_us, 0) << result.rank << " from " << result.partner;
    }
    EXPECT_NE(exit_code(report), 4);
  }
}

TEST(Pairs, TellWhichWorkersDataArriveWrong) {
  const PairReport report = examine(3, Wires::bent);
  for (const PairResult& result : report.results) {
    EXPECT_EQ(result.wrong, result.partner == 1 ? 2 : 0) << result.rank << " from " << result.partner;
  }
  EXPECT_EQ(exit_code(report), 4);
  EXPECT_THAT(to_text(report), HasSubstr("FAIL worker 0 (localhost) from worker 1 (localhost): 2 values"));
}

TEST(Pairs, GoOnWithoutAWorkerThatCannot) {
  const PairReport report = examine(4, Wires::right, 2);
  for (const PairResult& result : report.results) {
    const bool hit = result.rank == 2 || result.partner == 2;
    EXPECT_EQ(result.trouble.empty(), !hit)
        << result.rank << " from " << result.partner << ": " << result.trouble;
  }
  EXPECT_EQ(exit_code(report), 4);
}

PairReport three_workers(double slow_rate) {
  PairReport report{.hosts = {"a", "b", "c"}, .results = {}, .remarks = {"port mlx5_0:1"}};
  for (Rank to = 0; to < 3; ++to) {
    for (Rank from = 0; from < 3; ++from) {
      if (to == from) continue;
      report.results.push_back({.rank = to,
                                .partner = from,
                                .one_way_us = 2.5,
                                .gigabytes_per_second = to == 2 && from == 0 ? slow_rate : 20,
                                .wrong = 0,
                                .trouble = ""});
    }
  }
  return report;
}

TEST(Pairs, WarnOfWhatIsMuchSlowerThanTheMedian) {
  EXPECT_EQ(exit_code(three_workers(19)), 0);
  EXPECT_THAT(to_text(three_workers(19)), HasSubstr("3 pairs: all data right"));
  EXPECT_EQ(exit_code(three_workers(9)), 3);
  EXPECT_THAT(to_text(three_workers(9)),
              HasSubstr("WARN worker 2 (c) from worker 0 (a): 9 GB/s, the median of all pairs is 20"));
}

TEST(Pairs, AreAMatrixWithARowForEachReceiver) {
  const std::string text = to_text(three_workers(19));
  EXPECT_THAT(text, HasSubstr("    from        0        1        2\n"
                              "    to 0        -       20       20\n"
                              "    to 1       20        -       20\n"
                              "    to 2       19       20        -\n"));
  const nlohmann::json json = to_json(three_workers(19));
  EXPECT_EQ(json["pairs"].size(), 6U);
  EXPECT_EQ(json["pairs"][4]["gigabytes_per_second"], 19);
  EXPECT_EQ(json["exit_code"], 0);
}

TEST(Pairs, NeedTwoWorkers) {
  LocalMeeting meeting(1);
  const auto rendezvous = meeting.join(0);
  EXPECT_THROW(examine_pairs(*rendezvous, {}, {}), UsageError);
}

}  // namespace
}  // namespace alder::rdma
