#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exchange/exchange.hpp"

namespace alder {
namespace {

using testing::ElementsAre;

// A wait that ignored `failed` would last this long, and the test's time limit would show it.
const Deadline kNever = Deadline::max();

TEST(NoExchange, SaysFailedAtOnceToEveryWait) {
  const auto exchange = make_no_exchange(3);
  Endpoint& a = exchange->endpoint(0);
  const std::vector<float> model(2);
  a.open(Generation(0), {.send_to = {1}, .receive_from = {1, 2}});
  a.publish(Generation(0), Bucket(0), model);
  a.announce(Generation(0), {});
  EXPECT_THAT(a.await_headers(Generation(0), kNever), ElementsAre(Arrival::failed, Arrival::failed));
  EXPECT_THAT(a.await_bucket(Generation(0), Bucket(0), kNever),
              ElementsAre(Arrival::failed, Arrival::failed));
  EXPECT_THAT(a.await_released(Generation(0), kNever), ElementsAre(Arrival::failed));
}

TEST(NoExchange, SendsNothing) {
  const auto exchange = make_no_exchange(2);
  Endpoint& a = exchange->endpoint(0);
  const std::vector<float> model(2);
  a.open(Generation(0), {.send_to = {1}, .receive_from = {1}});
  a.publish(Generation(0), Bucket(0), model);
  EXPECT_EQ(a.bytes_sent(1), 0);
  EXPECT_THROW(a.slot(1, Generation(0), Bucket(0)), std::logic_error);
  EXPECT_THROW(a.header(1, Generation(0)), std::logic_error);
}

TEST(NoExchange, KeepsTheOrderOfGenerations) {
  const auto exchange = make_no_exchange(2);
  Endpoint& a = exchange->endpoint(0);
  const LiveEdges live{.send_to = {1}, .receive_from = {1}};
  for (uint64_t g = 0; g < 2 * kRememberedGenerations; ++g) {
    a.open(Generation(g), live);
    a.release(Generation(g));
  }
  EXPECT_THROW(a.open(Generation(3), live), std::logic_error);
  EXPECT_THROW(a.announce(Generation(99), {}), std::logic_error);
  EXPECT_THAT(a.await_released(Generation(kRememberedGenerations), kNever), ElementsAre(Arrival::failed));
}

}  // namespace
}  // namespace alder
