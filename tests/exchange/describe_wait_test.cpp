#include <gtest/gtest.h>

#include <array>

#include "exchange/exchange.hpp"

namespace alder {
namespace {

TEST(DescribeWait, SaysWhoWaitedForWhomForWhatSinceWhen) {
  const std::array<Rank, 3> neighbours = {1, 4, 5};
  const std::array<Arrival, 3> arrivals = {Arrival::late, Arrival::arrived, Arrival::failed};
  EXPECT_EQ(describe_wait({.waiter = 3,
                           .what = "bucket 0",
                           .generation = Generation(12),
                           .neighbours = neighbours,
                           .arrivals = arrivals,
                           .seconds = 30}),
            "worker 3 waited 30.0 s for bucket 0 of generation 12: worker 1 is late, worker 5 has failed");
}

TEST(DescribeWait, SaysThatNothingIsMissing) {
  const std::array<Rank, 1> neighbours = {1};
  const std::array<Arrival, 1> arrivals = {Arrival::arrived};
  EXPECT_EQ(describe_wait({.waiter = 0,
                           .what = "the header",
                           .generation = Generation(1),
                           .neighbours = neighbours,
                           .arrivals = arrivals,
                           .seconds = 0.25}),
            "worker 0 waited 0.2 s for the header of generation 1: all arrived");
}

}  // namespace
}  // namespace alder
