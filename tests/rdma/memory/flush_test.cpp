#include "rdma/memory/flush.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

using enum WritesOrdering;
using ::testing::HasSubstr;

struct Case {
  const char* name;
  WritesOrdering ordering;
  bool host_flush;
  WritePath path;
  FlushPolicy expected;
};

class AutomaticFlush : public testing::TestWithParam<Case> {};

TEST_P(AutomaticFlush, FollowsTheOrderOfWritesUnlessThereAreTwoPaths) {
  const Case& c = GetParam();
  const FlushDecision decision =
      decide_flush(FlushWish::automatic, {.writes_ordering = c.ordering, .host_flush = c.host_flush}, c.path);
  EXPECT_EQ(to_string(decision.policy), to_string(c.expected));
  EXPECT_NE(decision.reason, "");
  EXPECT_EQ(decision.warning, "");
}

INSTANTIATE_TEST_SUITE_P(
    Table, AutomaticFlush,
    testing::Values(
        Case{"owner", owner, true, {}, FlushPolicy::none},
        Case{"all_devices", all_devices, true, {}, FlushPolicy::none},
        Case{"none_host", none, true, {}, FlushPolicy::cuda},
        Case{"none_no_host", none, false, {}, FlushPolicy::rdma_read},
        Case{"split_though_all_devices", all_devices, true, {.split = true}, FlushPolicy::rdma_read},
        Case{"split_unordered", none, true, {.split = true}, FlushPolicy::rdma_read},
        Case{"data_direct_though_all_devices",
             all_devices,
             true,
             {.data_direct = true},
             FlushPolicy::rdma_read},
        Case{"both", owner, false, {.split = true, .data_direct = true}, FlushPolicy::rdma_read}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(FlushTest, WhatWasAskedForIsDoneAndCalledUnsafeWhereItIs) {
  const auto decide = [](FlushWish wish, WritesOrdering ordering, const WritePath& path) {
    return decide_flush(wish, {.writes_ordering = ordering, .host_flush = true}, path);
  };
  EXPECT_EQ(decide(FlushWish::none, owner, {}).warning, "");
  const FlushDecision stale = decide(FlushWish::none, none, {});
  EXPECT_EQ(stale.policy, FlushPolicy::none);
  EXPECT_THAT(stale.warning, HasSubstr("stale data"));
  EXPECT_THAT(stale.warning, HasSubstr("the rules demand cuda"));
  EXPECT_EQ(decide(FlushWish::cuda, none, {}).warning, "");
  EXPECT_THAT(decide(FlushWish::cuda, all_devices, {.split = true}).warning,
              HasSubstr("the rules demand rdma-read"));
  EXPECT_THAT(decide(FlushWish::none, all_devices, {.data_direct = true}).warning, HasSubstr("Data Direct"));
  EXPECT_EQ(decide(FlushWish::rdma_read, all_devices, {.split = true}).warning, "");
  EXPECT_EQ(decide(FlushWish::rdma_read, none, {}).policy, FlushPolicy::rdma_read);
}

TEST(FlushTest, AFlushThatTheDriverDoesNotOfferIsAUsageError) {
  EXPECT_THROW(decide_flush(FlushWish::cuda, {.host_flush = false}, {}), UsageError);
}

TEST(FlushTest, WordsAreReadAndUnknownOnesRefused) {
  EXPECT_EQ(parse_flush_wish("auto"), FlushWish::automatic);
  EXPECT_EQ(parse_flush_wish("none"), FlushWish::none);
  EXPECT_EQ(parse_flush_wish("cuda"), FlushWish::cuda);
  EXPECT_EQ(parse_flush_wish("rdma-read"), FlushWish::rdma_read);
  EXPECT_THROW(parse_flush_wish("rdma"), UsageError);
}

}  // namespace
}  // namespace alder::rdma
