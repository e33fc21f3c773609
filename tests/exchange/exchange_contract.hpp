// What every exchange promises, as tests that any transport can run:
//
//   INSTANTIATE_TEST_SUITE_P(Verbs, ExchangeContract, testing::Values(ExchangeCase{"loopback", make}),
//   case_name);
//
// `make` builds an exchange whose workers all live in this process. Include it in one source of a program.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "exchange/exchange.hpp"
#include "exchange/header.hpp"

namespace alder {

struct ExchangeCase {
  std::string name;
  std::function<std::unique_ptr<Exchange>(int workers, std::vector<std::size_t> buckets)> make;
  // Why it cannot run here; empty: it can.
  std::function<std::string()> available = [] { return std::string(); };
  // Readers have copies: a source is released when it has been sent, whether it was read or not.
  bool copies = false;
};
inline void PrintTo(const ExchangeCase& one, std::ostream* out) {
  *out << one.name;
}
inline std::string case_name(const testing::TestParamInfo<ExchangeCase>& info) {
  return info.param.name;
}

class ExchangeContract : public testing::TestWithParam<ExchangeCase> {
 protected:
  void SetUp() override {
    if (const std::string why_not = GetParam().available(); !why_not.empty()) GTEST_SKIP() << why_not;
  }
  // Far beyond what any transport needs; only a hanging test reaches it.
  static Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }
  static Deadline passed() { return Deadline{}; }

  std::unique_ptr<Exchange> make(int workers, std::vector<std::size_t> buckets = {4}) {
    return GetParam().make(workers, std::move(buckets));
  }
  // Everybody hears everybody.
  static LiveEdges all_but(Rank self, int workers) {
    LiveEdges live;
    for (Rank rank = 0; rank < workers; ++rank) {
      if (rank != self) live.send_to.push_back(rank);
    }
    live.receive_from = live.send_to;
    return live;
  }
  static void offer(Endpoint& endpoint, Generation generation, const LiveEdges& live,
                    std::span<const float> model) {
    endpoint.open(generation, live);
    endpoint.publish(generation, Bucket(0), model);
    endpoint.announce(generation, {.step = generation.value(), .loss = model[0], .degree = 1});
  }
};

using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

inline constexpr Bucket kFirst{0}, kSecond{1};

TEST_P(ExchangeContract, HandsOutOneEndpointPerLocalWorker) {
  const auto exchange = make(3);
  EXPECT_EQ(exchange->workers(), 3);
  EXPECT_THAT(exchange->local(), ElementsAre(0, 1, 2));
  for (Rank rank = 0; rank < 3; ++rank) EXPECT_EQ(exchange->endpoint(rank).rank(), rank);
  EXPECT_FALSE(exchange->description().empty());
}

TEST_P(ExchangeContract, CarriesArraysAndHeadersBothWays) {
  const auto exchange = make(2);
  Endpoint& a = exchange->endpoint(0);
  Endpoint& b = exchange->endpoint(1);
  const std::vector<float> x = {1, 2, 3, 4}, y = {5, 6, 7, 8};
  const Generation g(7);
  a.open(g, all_but(0, 2));
  b.open(g, all_but(1, 2));
  a.publish(g, kFirst, x);
  b.publish(g, kFirst, y);
  a.announce(g, {.epoch = 2, .step = 41, .loss = 0.5F, .degree = 3, .flags = 9, .graph_hash = 77});
  b.announce(g, {.step = 41, .loss = 1.5F, .degree = 1});
  EXPECT_THAT(a.await_bucket(g, kFirst, soon()), ElementsAre(Arrival::arrived));
  EXPECT_THAT(b.await_bucket(g, kFirst, soon()), ElementsAre(Arrival::arrived));
  EXPECT_THAT(b.await_headers(g, soon()), ElementsAre(Arrival::arrived));
  EXPECT_THAT(a.slot(1, g, kFirst), ElementsAreArray(y));
  EXPECT_THAT(b.slot(0, g, kFirst), ElementsAreArray(x));
  const Header header = b.header(0, g);
  EXPECT_EQ(verify(header), HeaderFault::none);
  EXPECT_EQ(header.generation, 7u);
  EXPECT_EQ(header.epoch, 2u);
  EXPECT_EQ(header.step, 41u);
  EXPECT_EQ(header.loss, 0.5F);
  EXPECT_EQ(header.degree, 3u);
  EXPECT_EQ(header.flags, 9u);
  EXPECT_EQ(header.graph_hash, 77u);
}

TEST_P(ExchangeContract, SaysInTheHeaderWhatTheSenderHasReleased) {
  const auto exchange = make(2);
  Endpoint& a = exchange->endpoint(0);
  Endpoint& b = exchange->endpoint(1);
  const std::vector<float> model(4);
  for (const uint64_t g : {3, 5}) {
    offer(a, Generation(g), all_but(0, 2), model);
    offer(b, Generation(g), all_but(1, 2), model);
    ASSERT_THAT(b.await_headers(Generation(g), soon()), ElementsAre(Arrival::arrived));
    EXPECT_EQ(b.header(0, Generation(g)).consumed_generation, g == 3 ? 0u : 4u);
    a.release(Generation(g));
    b.release(Generation(g));
  }
}

TEST_P(ExchangeContract, KeepsBucketsApart) {
  const auto exchange = make(2, {3, 2});
  Endpoint& a = exchange->endpoint(0);
  Endpoint& b = exchange->endpoint(1);
  const std::vector<float> model = {1, 2, 3, 4, 5};
  const Generation g(0);
  a.open(g, all_but(0, 2));
  b.open(g, all_but(1, 2));
  a.publish(g, kSecond, std::span(model).subspan(3));
  EXPECT_THAT(b.await_bucket(g, kSecond, soon()), ElementsAre(Arrival::arrived));
  EXPECT_THAT(b.await_bucket(g, kFirst, passed()), ElementsAre(Arrival::late));
  EXPECT_THAT(b.slot(0, g, kSecond), ElementsAre(4, 5));
  EXPECT_THROW(b.slot(0, g, kFirst), std::logic_error);
}

TEST_P(ExchangeContract, AnswersLateOnceTheDeadlineHasPassed) {
  const auto exchange = make(3);
  Endpoint& a = exchange->endpoint(0);
  Endpoint& c = exchange->endpoint(2);
  const std::vector<float> model(4);
  const Generation g(0);
  offer(a, g, all_but(0, 3), model);
  offer(c, g, all_but(2, 3), model);
  ASSERT_THAT(c.await_bucket(g, kFirst, passed()), testing::SizeIs(2));
  EXPECT_EQ(a.await_bucket(g, kFirst, passed())[0], Arrival::late) << "worker 1 has published nothing";
  EXPECT_EQ(a.await_headers(g, passed())[0], Arrival::late);
  if (!GetParam().copies) {
    EXPECT_THAT(a.await_released(g, passed()), Each(Arrival::late));
  }
  // A deadline in the future is waited for, and then it is over.
  EXPECT_EQ(a.await_bucket(g, kFirst, std::chrono::steady_clock::now() + std::chrono::milliseconds(5))[0],
            Arrival::late);
}

TEST_P(ExchangeContract, WakesAWaitingWorkerWhenItsNeighbourPublishes) {
  const auto exchange = make(2);
  const std::vector<float> model = {1, 2, 3, 4};
  const Generation g(0);
  std::vector<Arrival> arrivals;
  std::thread waiter([&] {
    Endpoint& a = exchange->endpoint(0);
    a.open(g, all_but(0, 2));
    arrivals = a.await_bucket(g, kFirst, soon());
  });
  offer(exchange->endpoint(1), g, all_but(1, 2), model);
  waiter.join();
  EXPECT_THAT(arrivals, ElementsAre(Arrival::arrived));
}

TEST_P(ExchangeContract, SaysWhenEverybodyHasReadASource) {
  const auto exchange = make(3);
  const std::vector<float> model(4);
  const Generation g(0);
  for (Rank rank = 0; rank < 3; ++rank) offer(exchange->endpoint(rank), g, all_but(rank, 3), model);
  Endpoint& a = exchange->endpoint(0);
  const auto read = [&](Rank rank) {
    EXPECT_THAT(exchange->endpoint(rank).await_bucket(g, kFirst, soon()), Each(Arrival::arrived));
    exchange->endpoint(rank).release(g);
  };
  read(1);
  if (!GetParam().copies) {
    EXPECT_EQ(a.await_released(g, passed())[1], Arrival::late);
  }
  read(2);
  EXPECT_THAT(a.await_released(g, soon()), ElementsAre(Arrival::arrived, Arrival::arrived));
}

TEST_P(ExchangeContract, ReleasesASourceAlsoToAReaderThatGaveUp) {
  const auto exchange = make(2);
  Endpoint& a = exchange->endpoint(0);
  Endpoint& b = exchange->endpoint(1);
  const std::vector<float> model(4);
  const Generation g(0);
  b.open(g, all_but(1, 2));
  ASSERT_THAT(b.await_bucket(g, kFirst, passed()), ElementsAre(Arrival::late));
  b.release(g);
  offer(a, g, all_but(0, 2), model);
  EXPECT_THAT(a.await_released(g, soon()), ElementsAre(Arrival::arrived));
}

TEST_P(ExchangeContract, ObeysDirectedEdges) {
  // 0 sends to 1, 1 sends to 2, nobody sends to 0.
  const auto exchange = make(3);
  const std::vector<float> x = {1, 1, 1, 1}, y = {2, 2, 2, 2};
  const Generation g(4);
  Endpoint& a = exchange->endpoint(0);
  Endpoint& b = exchange->endpoint(1);
  Endpoint& c = exchange->endpoint(2);
  offer(a, g, {.send_to = {1}, .receive_from = {}}, x);
  offer(b, g, {.send_to = {2}, .receive_from = {0}}, y);
  c.open(g, {.send_to = {}, .receive_from = {1}});
  EXPECT_THAT(a.await_bucket(g, kFirst, passed()), IsEmpty());
  EXPECT_THAT(b.await_bucket(g, kFirst, soon()), ElementsAre(Arrival::arrived));
  EXPECT_THAT(c.await_bucket(g, kFirst, soon()), ElementsAre(Arrival::arrived));
  EXPECT_EQ(b.slot(0, g, kFirst)[0], 1);
  EXPECT_EQ(c.slot(1, g, kFirst)[0], 2);
  EXPECT_THROW(c.slot(0, g, kFirst), std::logic_error);
  EXPECT_THAT(c.await_released(g, passed()), IsEmpty());
}

TEST_P(ExchangeContract, CountsPayloadBytesPerNeighbourAndOnlyAlongLiveEdges) {
  const auto exchange = make(3, {4, 2});
  const std::vector<float> model(6);
  Endpoint& a = exchange->endpoint(0);
  a.open(Generation(0), {.send_to = {1, 2}, .receive_from = {}});
  a.publish(Generation(0), kFirst, std::span(model).first(4));
  a.publish(Generation(0), kSecond, std::span(model).last(2));
  a.announce(Generation(0), {});
  a.release(Generation(0));
  a.open(Generation(1), {.send_to = {2}, .receive_from = {}});
  a.publish(Generation(1), kFirst, std::span(model).first(4));
  EXPECT_EQ(a.bytes_sent(1), 24);
  EXPECT_EQ(a.bytes_sent(2), 40);
  EXPECT_EQ(exchange->endpoint(1).bytes_sent(0), 0);
}

TEST_P(ExchangeContract, ReportsTheEdgesOfAFailedWorkerAtBothEnds) {
  const auto exchange = make(3);
  const std::vector<float> model(4);
  const Generation g(0);
  for (const Rank rank : {0, 1}) offer(exchange->endpoint(rank), g, all_but(rank, 3), model);
  exchange->endpoint(2).open(g, all_but(2, 3));
  exchange->mark_failed(2);
  Endpoint& a = exchange->endpoint(0);
  EXPECT_THAT(a.await_bucket(g, kFirst, soon()), ElementsAre(Arrival::arrived, Arrival::failed));
  EXPECT_THAT(a.await_headers(g, soon()), ElementsAre(Arrival::arrived, Arrival::failed));
  EXPECT_EQ(a.await_released(g, passed())[1], Arrival::failed);
  EXPECT_THAT(exchange->endpoint(2).await_bucket(g, kFirst, soon()), Each(Arrival::failed));
}

TEST_P(ExchangeContract, WakesThoseWhoWaitForAFailedWorker) {
  const auto exchange = make(2);
  std::vector<Arrival> arrivals;
  std::thread waiter([&] {
    Endpoint& a = exchange->endpoint(0);
    a.open(Generation(0), all_but(0, 2));
    arrivals = a.await_headers(Generation(0), soon());
  });
  exchange->mark_failed(1);
  waiter.join();
  EXPECT_THAT(arrivals, ElementsAre(Arrival::failed));
}

TEST_P(ExchangeContract, GoesOnWithoutAFailedWorker) {
  const auto exchange = make(3);
  const std::vector<float> model(4);
  exchange->mark_failed(1);
  for (uint64_t g = 0; g < 3 * kRememberedGenerations; ++g) {
    for (const Rank rank : {0, 2}) offer(exchange->endpoint(rank), Generation(g), all_but(rank, 3), model);
    EXPECT_THAT(exchange->endpoint(0).await_bucket(Generation(g), kFirst, soon()),
                ElementsAre(Arrival::failed, Arrival::arrived));
    for (const Rank rank : {0, 2}) exchange->endpoint(rank).release(Generation(g));
    EXPECT_THAT(exchange->endpoint(0).await_released(Generation(g), soon()),
                ElementsAre(Arrival::failed, Arrival::arrived));
  }
  EXPECT_EQ(exchange->endpoint(0).bytes_sent(1), 0) << "nothing is sent to the dead";
}

TEST_P(ExchangeContract, LetsANeighbourBeAheadAndAnotherBehind) {
  const auto exchange = make(2);
  Endpoint& a = exchange->endpoint(0);
  Endpoint& b = exchange->endpoint(1);
  // a only speaks, b only listens. Two exchanges a step: two generations are open until the end of it.
  const LiveEdges to_b{.send_to = {1}, .receive_from = {}}, from_a{.send_to = {}, .receive_from = {0}};
  const std::vector<std::vector<float>> models = {{1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}, {4, 4, 4, 4}};
  for (uint64_t g = 0; g < 4; ++g) {
    offer(a, Generation(g), to_b, models[g]);
    a.release(Generation(g));
  }
  for (uint64_t g = 0; g < 4; g += 2) {
    for (uint64_t k = g; k < g + 2; ++k) b.open(Generation(k), from_a);
    for (uint64_t k = g; k < g + 2; ++k) {
      ASSERT_THAT(b.await_headers(Generation(k), soon()), ElementsAre(Arrival::arrived));
      ASSERT_THAT(b.await_bucket(Generation(k), kFirst, soon()), ElementsAre(Arrival::arrived));
    }
    for (uint64_t k = g; k < g + 2; ++k) EXPECT_EQ(b.slot(0, Generation(k), kFirst)[0], models[k][0]);
    for (uint64_t k = g; k < g + 2; ++k) b.release(Generation(k));
  }
  for (uint64_t g = 0; g < 4; ++g) {
    EXPECT_THAT(a.await_released(Generation(g), soon()), ElementsAre(Arrival::arrived)) << "generation " << g;
  }
}

TEST_P(ExchangeContract, RefusesCallsInTheWrongOrder) {
  const auto exchange = make(2);
  Endpoint& a = exchange->endpoint(0);
  const std::vector<float> model(4);
  const Generation g(5);
  EXPECT_THROW(a.publish(g, kFirst, model), std::logic_error) << "not open";
  a.open(g, all_but(0, 2));
  EXPECT_THROW(a.open(g, all_but(0, 2)), std::logic_error) << "the same generation again";
  EXPECT_THROW(a.open(Generation(4), all_but(0, 2)), std::logic_error) << "an earlier generation";
  EXPECT_THROW(a.publish(g, kFirst, std::span(model).first(3)), std::logic_error) << "wrong length";
  EXPECT_THROW(a.publish(g, Bucket(1), model), std::logic_error) << "no such bucket";
  a.publish(g, kFirst, model);
  EXPECT_THROW(a.publish(g, kFirst, model), std::logic_error) << "twice";
  a.announce(g, {});
  EXPECT_THROW(a.announce(g, {}), std::logic_error) << "twice";
  EXPECT_THROW(a.slot(1, g, kFirst), std::logic_error) << "before arrival";
  EXPECT_THROW(a.header(1, g), std::logic_error) << "before arrival";
  EXPECT_THROW(a.release(Generation(6)), std::logic_error) << "not open";
  a.release(g);
  EXPECT_THROW(a.slot(1, g, kFirst), std::logic_error) << "after release";
  EXPECT_THROW(a.await_bucket(g, kFirst, passed()), std::logic_error) << "after release";
  EXPECT_THROW(a.release(g), std::logic_error) << "twice";
}

TEST_P(ExchangeContract, RefusesASlotThatArrivedButWasNotAwaited) {
  const auto exchange = make(2);
  const std::vector<float> model(4);
  for (Rank rank = 0; rank < 2; ++rank) {
    offer(exchange->endpoint(rank), Generation(0), all_but(rank, 2), model);
  }
  EXPECT_THROW(exchange->endpoint(1).slot(0, Generation(0), kFirst), std::logic_error);
}

TEST_P(ExchangeContract, RefusesEdgesThatCannotBe) {
  const auto exchange = make(3);
  Endpoint& a = exchange->endpoint(0);
  const std::vector<LiveEdges> impossible = {{.send_to = {0}},
                                             {.send_to = {3}},
                                             {.receive_from = {-1}},
                                             {.receive_from = {2, 1}},
                                             {.send_to = {1, 1}}};
  for (const LiveEdges& live : impossible) EXPECT_THROW(a.open(Generation(0), live), std::logic_error);
}

// Many workers, each in its own thread, each averaging with its two ring neighbours: the sum of all models
// must stay what it was, which it does not if anybody reads an array that is being overwritten.
TEST_P(ExchangeContract, KeepsTheSumOfARingOfThreadsThroughManyGenerations) {
  constexpr int kWorkers = 6;
  constexpr uint64_t kGenerations = 200;
  const auto exchange = make(kWorkers, {64});
  std::vector<std::vector<float>> models(kWorkers);
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < kWorkers; ++rank) {
    models[rank].assign(64, static_cast<float>(4 * rank));
    threads.emplace_back([&, rank] {
      Endpoint& me = exchange->endpoint(rank);
      std::vector<float> next(64);
      LiveEdges live{.send_to = {(rank + kWorkers - 1) % kWorkers, (rank + 1) % kWorkers},
                     .receive_from = {}};
      std::ranges::sort(live.send_to);
      live.receive_from = live.send_to;
      for (uint64_t g = 0; g < kGenerations; ++g) {
        offer(me, Generation(g), live, models[rank]);
        const auto headers = me.await_headers(Generation(g), soon());
        const auto arrays = me.await_bucket(Generation(g), kFirst, soon());
        ASSERT_THAT(headers, Each(Arrival::arrived));
        ASSERT_THAT(arrays, Each(Arrival::arrived));
        const auto left = me.slot(live.receive_from[0], Generation(g), kFirst);
        const auto right = me.slot(live.receive_from[1], Generation(g), kFirst);
        for (std::size_t k = 0; k < next.size(); ++k) {
          next[k] = 0.5F * models[rank][k] + 0.25F * left[k] + 0.25F * right[k];
        }
        me.release(Generation(g));
        ASSERT_THAT(me.await_released(Generation(g), soon()), Each(Arrival::arrived));
        models[rank].swap(next);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t k = 0; k < 64; ++k) {
    double sum = 0;
    for (const auto& model : models) sum += model[k];
    EXPECT_NEAR(sum, 60, 1e-3);
    EXPECT_NEAR(models[0][k], 10, 1e-3);
  }
}

}  // namespace alder
