#include "plan/workload.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace alder::plan {
namespace {

using gossip::Order;

TEST(Workload, SizesAreParsedWithDecimalAndBinaryUnits) {
  EXPECT_DOUBLE_EQ(parse_bytes("--model-bytes", "100MB"), 100e6);
  EXPECT_DOUBLE_EQ(parse_bytes("--model-bytes", "1.5 GiB"), 1.5 * (1 << 30));
  EXPECT_DOUBLE_EQ(parse_bytes("--model-bytes", "1000"), 1000);
  EXPECT_DOUBLE_EQ(parse_bytes("--model-bytes", "2kB"), 2000);
  for (const char* bad : {"", "MB", "-1", "10XB", "1e400", "nan"}) {
    EXPECT_THROW(parse_bytes("--model-bytes", bad), UsageError) << bad;
  }
}

TEST(Workload, SizesAreShownInDecimalUnits) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(25e6), "25 MB");
  EXPECT_EQ(bytes_text(999.7e3), "1 MB");
}

TEST(Workload, HalfPrecisionHalvesWhatIsSentButNotWhatIsKept) {
  const Workload work{.model_bytes = 100e6, .wire = Wire::bf16};
  EXPECT_DOUBLE_EQ(wire_bytes(work), 50e6);
  EXPECT_DOUBLE_EQ(optimizer_bytes(work), 500e6);
  EXPECT_DOUBLE_EQ(pass_bytes(Order::combine_while_adapt, work, 3).sum(), 650e6);
}

// (deg + 5) M bytes of memory traffic in one pass; the sum alone (deg + 2) M.
TEST(Workload, MixingCostsTheMemoryTrafficOfTheCostTable) {
  const Workload work{.model_bytes = 100e6};
  EXPECT_DOUBLE_EQ(pass_bytes(Order::combine_while_adapt, work, 3).sum(), 800e6);
  EXPECT_DOUBLE_EQ(pass_bytes(Order::adapt_then_combine, work, 3).combine, 500e6);
  const Cluster h100{.memory_rate = 3200}, h200{.memory_rate = 4200};
  EXPECT_NEAR(passes_ms(Order::combine_while_adapt, h100, work, 3).sum(), 0.25, 0.005);
  EXPECT_NEAR(passes_ms(Order::combine_while_adapt, h200, work, 3).sum(), 0.19, 0.005);
  EXPECT_NEAR(passes_ms(Order::adapt_then_combine, h100, work, 3).combine, 0.16, 0.005);
  EXPECT_NEAR(passes_ms(Order::adapt_then_combine, h200, work, 3).combine, 0.12, 0.005);
}

TEST(Workload, TheTwoPassOrdersReadMoreAndLeadersMost) {
  const Workload work{.model_bytes = 100e6};
  EXPECT_DOUBLE_EQ(pass_bytes(Order::adapt_then_combine, work, 3).sum(), 1000e6);
  EXPECT_DOUBLE_EQ(pass_bytes(Order::paper, work, 3).sum(), 1400e6);
  // Nobody heard, no leaders.
  EXPECT_DOUBLE_EQ(pass_bytes(Order::paper, work, 0).sum(), 700e6);
}

TEST(Workload, GpusThatShareAModelShareThePasses) {
  const Cluster node{.gpus_per_node = 8, .nvlink = true, .unit = Unit::node};
  const Workload work{.model_bytes = 100e6};
  EXPECT_DOUBLE_EQ(passes_ms(Order::combine_while_adapt, node, work, 2).sum(),
                   passes_ms(Order::combine_while_adapt, {}, work, 2).sum() / 8);
}

TEST(Workload, BucketsCoverTheModel) {
  EXPECT_EQ(buckets(100e6, 0), 1);
  EXPECT_EQ(buckets(100e6, 25e6), 4);
  EXPECT_EQ(buckets(100e6, 30e6), 4);
  EXPECT_EQ(buckets(1e6, 25e6), 1);
}

TEST(Workload, WhatCannotBeMeantIsRefused) {
  EXPECT_THROW(check({.model_bytes = 0}), UsageError);
  EXPECT_THROW(check({.model_bytes = 1, .step_ms = -1}), UsageError);
  EXPECT_THROW(check({.model_bytes = 1, .backward_share = 1.5}), UsageError);
  EXPECT_THROW(parse_wire("fp8"), UsageError);
  EXPECT_NO_THROW(check({.model_bytes = 1, .step_ms = 1}));
}

}  // namespace
}  // namespace alder::plan
