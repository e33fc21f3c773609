// No knob changes what arrives; and what the endpoint promises beyond the contract.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <tuple>

#include "base/error.hpp"
#include "rdma/bf16.hpp"
#include "tests/rdma/world.hpp"

namespace alder::rdma {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- how bytes travel ----

using Knobs =
    std::tuple<uint32_t, uint32_t, Notify, std::size_t, uint32_t>;  // chunk, pairs, notify, rails, depth

class AnyKnobs : public testing::TestWithParam<Knobs> {};

TEST_P(AnyKnobs, DeliverTheSameBits) {
  const auto [chunk, pairs, notify, rails, depth] = GetParam();
  World world(
      {.workers = 3,
       .buckets = {1, 300, 37, 128},
       .tuning = {.chunk_bytes = chunk, .data_queue_pairs = pairs, .notify = notify, .send_depth = depth},
       .fabric = {.seed = 3, .jitter_ns = 50'000},
       .rails = rails});
  world.connect();
  // Both parities, several times over.
  for (uint64_t g = 0; g < 5; ++g) ASSERT_TRUE(world.run_generation(g)) << "generation " << g;
  EXPECT_THAT(world.fabric().violations(), IsEmpty());
  EXPECT_EQ(world.fabric().receivers_not_ready(), 0u);
  EXPECT_THAT(world.notices(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Matrix, AnyKnobs,
                         testing::Combine(testing::Values(0U, 16U, 100U, 1024U),
                                          testing::Values(1U, 2U, 3U, 8U),
                                          testing::Values(Notify::with_data, Notify::after_data),
                                          testing::Values(std::size_t{1}, std::size_t{2}, std::size_t{4}),
                                          testing::Values(4U, 128U)),
                         [](const testing::TestParamInfo<Knobs>& one) {
                           return fmt::format("chunk{}_pairs{}_{}_rails{}_depth{}", std::get<0>(one.param),
                                              std::get<1>(one.param),
                                              std::get<2>(one.param) == Notify::with_data ? "with" : "after",
                                              std::get<3>(one.param), std::get<4>(one.param));
                         });

TEST(Knobs, SplitWritesAtWhatThePortCarries) {
  World world({.workers = 2, .buckets = {5000}, .fabric = {.max_message_bytes = 4096}});
  world.connect();
  for (uint64_t g = 0; g < 3; ++g) EXPECT_TRUE(world.run_generation(g)) << world.all_notices();
}

TEST(Knobs, OutOfRangeAreRefusedByName) {
  const auto error = [](Tuning tuning) {
    try {
      check(tuning);
    } catch (const UsageError& caught) {
      return std::string(caught.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error({}), "no error");
  EXPECT_EQ(error({.data_queue_pairs = 9}), "verbs exchange: data_queue_pairs is 9, expected 1 .. 8");
  EXPECT_THAT(error({.ack_timeout = 32}), HasSubstr("ack_timeout is 32"));
  EXPECT_THAT(error({.retry_count = 8}), HasSubstr("retry_count is 8"));
  EXPECT_THAT(error({.spare_connections = 4}), HasSubstr("spare_connections is 4, expected 0 .. 3"));
  EXPECT_THAT(error({.heartbeat = milliseconds(1000), .grace = milliseconds(1500)}),
              HasSubstr("grace in ms is 1500"));
}

// ---- generations ----

TEST(Generations, GoOnAcrossTheWrapOfTheirLowSixteenBits) {
  World world({.workers = 2, .first_generation = Generation(65526)});
  world.connect();
  for (uint64_t g = 65526; g < 65546; ++g) ASSERT_TRUE(world.run_generation(g)) << g;
  EXPECT_THAT(world.notices(), IsEmpty());
}

TEST(Generations, MayBeFarApartButNotAmbiguous) {
  World world({.workers = 2});
  world.connect();
  for (const uint64_t g : {0, 16383, 32766, 49000, 65300, 65536, 65537}) {
    ASSERT_TRUE(world.run_generation(g)) << g;
  }
  try {
    world.offer(0, 65537 + 16384);
    ADD_FAILURE() << "16384 generations apart";
  } catch (const std::logic_error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("generation 81921 after generation 65537; at most 16383 may lie between"));
  }
}

TEST(Generations, ThatTheNeighbourNeverPublishedFailOnceALaterOneComes) {
  World world({.workers = 2});
  world.connect();
  const LiveEdges both{.send_to = {1}, .receive_from = {1}};
  world.endpoint(0).open(Generation(0), both);
  world.offer(1, 1);
  EXPECT_THAT(world.endpoint(0).await_bucket(Generation(0), Bucket(0), world.in(seconds(1))),
              ElementsAre(Arrival::failed));
  EXPECT_THAT(world.endpoint(0).await_headers(Generation(0), world.in(seconds(1))),
              ElementsAre(Arrival::failed));
  EXPECT_THAT(world.notices(), IsEmpty()) << "the edge is as good as before";
}

// The sender is far ahead in what it gave; the receiver gets it as it makes room.
TEST(Generations, WaitAtTheSenderUntilThereIsRoom) {
  World world({.workers = 2});
  world.connect();
  const LiveEdges to{.send_to = {1}, .receive_from = {}}, from{.send_to = {}, .receive_from = {0}};
  std::vector<float> sent;
  for (uint64_t g = 0; g < 4; ++g) {
    const auto array = world.array(0, g);
    std::ranges::fill(array, static_cast<float>(g));
    world.endpoint(0).open(Generation(g), to);
    world.endpoint(0).publish(Generation(g), Bucket(0), array);
    world.endpoint(0).announce(Generation(g), {});
    world.endpoint(0).release(Generation(g));
  }
  world.pass(milliseconds(50));
  EXPECT_THAT(world.endpoint(0).await_released(Generation(1), World::passed()),
              ElementsAre(Arrival::arrived));
  EXPECT_THAT(world.endpoint(0).await_released(Generation(2), World::passed()), ElementsAre(Arrival::late))
      << "there are two slots";
  for (uint64_t g = 0; g < 4; ++g) {
    world.endpoint(1).open(Generation(g), from);
    ASSERT_THAT(world.endpoint(1).await_bucket(Generation(g), Bucket(0), world.in(seconds(1))),
                ElementsAre(Arrival::arrived));
    EXPECT_EQ(world.endpoint(1).slot(0, Generation(g), Bucket(0))[0], static_cast<float>(g));
    world.endpoint(1).release(Generation(g));
  }
}

// ---- bf16 on the wire ----

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(from_bf16(to_bf16(1.0F)), 1.0F);
  EXPECT_EQ(from_bf16(to_bf16(-0.0F)), 0.0F);
  EXPECT_EQ(from_bf16(to_bf16(1.00390625F)), 1.0F) << "half way, to even";
  EXPECT_EQ(from_bf16(to_bf16(1.01171875F)), 1.015625F) << "half way, to even";
  EXPECT_EQ(from_bf16(to_bf16(1.00391F)), 1.0078125F);
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7F800001U)))))
      << "a NaN with a small payload";
  EXPECT_TRUE(std::isinf(from_bf16(to_bf16(std::numeric_limits<float>::infinity()))));
}

TEST(Bf16, LeavesAConsensusWhereItIs) {
  World world({.workers = 3, .buckets = {500}, .tuning = {.wire_type = WireType::bf16}});
  world.connect();
  Random random(5, Draw::graph, 0);
  std::vector<float> model(500);
  for (float& one : model) one = static_cast<float>(random.normal());
  for (const Rank rank : {0, 1, 2}) {
    std::ranges::copy(model, world.array(rank, 0).begin());
    world.endpoint(rank).open(Generation(0),
                              {.send_to = world.others(rank), .receive_from = world.others(rank)});
    world.endpoint(rank).publish(Generation(0), Bucket(0), world.array(rank, 0));
    world.endpoint(rank).announce(Generation(0), {});
  }
  EXPECT_EQ(world.endpoint(0).bytes_sent(1), 1000) << "two bytes an element";
  for (const Rank rank : {0, 1, 2}) {
    ASSERT_THAT(world.endpoint(rank).await_bucket(Generation(0), Bucket(0), world.in(seconds(1))),
                Each(Arrival::arrived));
    for (const Rank from : world.others(rank)) {
      EXPECT_THAT(world.endpoint(rank).slot(from, Generation(0), Bucket(0)),
                  testing::ElementsAreArray(model));
    }
  }
}

TEST(Bf16, CarriesANeighboursModelToWithinItsRoundingAndOurs) {
  World world({.workers = 2, .buckets = {100}, .tuning = {.wire_type = WireType::bf16}});
  world.connect();
  for (uint64_t g = 0; g < 4; ++g) {
    for (const Rank rank : {0, 1}) world.offer(rank, g);
    ASSERT_THAT(world.hear(0, g), ElementsAre(Arrival::arrived));
    ASSERT_THAT(world.hear(1, g), ElementsAre(Arrival::arrived));
    EXPECT_EQ(world.endpoint(0).header(1, Generation(g)).wire_type, 1u);
    const auto slot = world.endpoint(0).slot(1, Generation(g), Bucket(0));
    for (std::size_t k = 0; k < slot.size(); ++k) {
      const float theirs = World::value(1, g, k), own = World::value(0, g, k);
      EXPECT_EQ(slot[k], from_bf16(to_bf16(theirs)) + (own - from_bf16(to_bf16(own))));
      EXPECT_NEAR(slot[k], theirs, 0.02);
    }
    for (const Rank rank : {0, 1}) world.endpoint(rank).release(Generation(g));
  }
}

// ---- streams ----

TEST(Signals, StoreAWordOnceABucketHasArrivedFromEverybody) {
  World world({.workers = 3, .buckets = {8, 8}});
  world.connect();
  std::atomic<uint64_t> first{0}, second{0};
  std::atomic<uint64_t>* words[] = {&first, &second};
  world.endpoint(0).signal_arrivals(words);
  world.endpoint(0).open(Generation(0), {.send_to = {}, .receive_from = {1, 2}});
  world.offer(1, 0);
  world.pass(milliseconds(5));
  EXPECT_EQ(first.load(), 0u) << "worker 2 is missing";
  world.offer(2, 0);
  world.pass(milliseconds(5));
  EXPECT_EQ(first.load(), 1u);
  EXPECT_EQ(second.load(), 1u);
  // Nobody to wait for: at once.
  world.endpoint(0).release(Generation(0));
  world.endpoint(0).open(Generation(1), {});
  world.pass(milliseconds(5));
  EXPECT_EQ(first.load(), 2u);
}

TEST(Signals, SeeWhatArrivedBeforeTheGenerationWasOpened) {
  World world({.workers = 2, .buckets = {8}});
  world.connect();
  std::atomic<uint64_t> word{0};
  std::atomic<uint64_t>* words[] = {&word};
  world.endpoint(0).signal_arrivals(words);
  world.offer(1, 0);
  world.pass(milliseconds(5));
  world.endpoint(0).open(Generation(0), {.send_to = {}, .receive_from = {1}});
  world.pass(milliseconds(5));
  EXPECT_EQ(word.load(), 1u);
}

TEST(Signals, NeverPassAGenerationThatIsNotComplete) {
  World world({.workers = 3, .buckets = {8}});
  world.connect();
  std::atomic<uint64_t> word{0};
  std::atomic<uint64_t>* words[] = {&word};
  world.endpoint(0).signal_arrivals(words);
  world.endpoint(0).open(Generation(0), {.send_to = {}, .receive_from = {1, 2}});
  world.endpoint(0).open(Generation(1), {.send_to = {}, .receive_from = {1}});
  world.offer(1, 0);
  world.offer(1, 1);
  world.pass(milliseconds(5));
  EXPECT_EQ(word.load(), 0u) << "generation 1 is there, generation 0 is not";
  world.kill(2);
  EXPECT_EQ(world.endpoint(0).await_bucket(Generation(0), Bucket(0), world.in(seconds(10)))[1],
            Arrival::failed);
  EXPECT_EQ(word.load(), 0u) << "the row has to be chosen first";
  world.endpoint(0).proceed(Generation(0), Bucket(0));
  world.pass(milliseconds(5));
  EXPECT_EQ(word.load(), 2u);
}

TEST(Signals, SendAndReleaseWhenAStreamHasWrittenItsWord) {
  World world({.workers = 2, .buckets = {64}});
  world.connect();
  std::atomic<uint64_t> done{0};
  const LiveEdges to{.send_to = {1}, .receive_from = {}}, from{.send_to = {}, .receive_from = {0}};
  world.endpoint(1).open(Generation(0), from);
  world.endpoint(0).open(Generation(0), to);
  world.endpoint(0).publish_after({&done, 7}, Generation(0), Bucket(0), world.array(0, 0));
  world.endpoint(0).announce(Generation(0), {});
  world.pass(milliseconds(5));
  EXPECT_THAT(world.endpoint(1).await_bucket(Generation(0), Bucket(0), World::passed()),
              ElementsAre(Arrival::late));
  // The kernel that makes the model writes it only now.
  std::ranges::fill(world.array(0, 0), 3.5F);
  done.store(7, std::memory_order_release);
  ASSERT_THAT(world.endpoint(1).await_bucket(Generation(0), Bucket(0), world.in(seconds(1))),
              ElementsAre(Arrival::arrived));
  EXPECT_EQ(world.endpoint(1).slot(0, Generation(0), Bucket(0))[63], 3.5F);

  // Its slot goes back when the reader's stream says so, and only then can generation 2 come.
  std::atomic<uint64_t> read{0};
  world.endpoint(1).release_after({&read, 1}, Generation(0));
  world.endpoint(0).release(Generation(0));
  for (uint64_t g = 1; g < 3; ++g) {
    world.endpoint(0).open(Generation(g), to);
    world.endpoint(0).publish(Generation(g), Bucket(0), world.array(0, g));
    world.endpoint(0).announce(Generation(g), {});
    world.endpoint(0).release(Generation(g));
  }
  world.pass(milliseconds(20));
  EXPECT_THAT(world.endpoint(0).await_released(Generation(2), World::passed()), ElementsAre(Arrival::late));
  read.store(1, std::memory_order_release);
  EXPECT_THAT(world.endpoint(0).await_released(Generation(2), world.in(seconds(1))),
              ElementsAre(Arrival::arrived));
}

// ---- misuse ----

template <typename Call>
std::string misuse_of(Call call) {
  try {
    call();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "no std::logic_error";
}

TEST(Misuse, IsNamedWithWhoDidWhat) {
  World world({.workers = 3,
               .buckets = {4},
               .edges = {{{.neighbour = 1}},
                         {{.neighbour = 0}, {.neighbour = 2, .sends = false}},
                         {{.neighbour = 1, .receives = false}}}});
  world.connect();
  VerbsEndpoint& one = world.endpoint(1);
  EXPECT_EQ(misuse_of([&] { one.open(Generation(0), {.send_to = {2}, .receive_from = {}}); }),
            "worker 1 opens generation 0 towards worker 2, which its plan of edges excludes");
  EXPECT_EQ(misuse_of([&] { world.endpoint(0).open(Generation(0), {.send_to = {2}, .receive_from = {}}); }),
            "worker 0 has no edge to worker 2");
  one.open(Generation(0), {});
  one.open(Generation(1), {});
  EXPECT_EQ(misuse_of([&] { one.open(Generation(2), {}); }),
            "worker 1 opens generation 2 while 0 and 1 are open; there are slots for 2");
  const std::vector<float> elsewhere(4);
  EXPECT_THAT(misuse_of([&] { one.publish(Generation(0), Bucket(0), elsewhere); }),
              HasSubstr("which lie in no attached memory"));
  one.publish(Generation(1), Bucket(0), world.array(1, 0));
  EXPECT_EQ(misuse_of([&] { one.publish(Generation(0), Bucket(0), world.array(1, 0)); }),
            "worker 1 publishes bucket 0 of generation 0 after that of generation 1");
  one.release(Generation(0));
  EXPECT_EQ(misuse_of([&] { one.announce(Generation(0), {}); }),
            "worker 1 announces generation 0, which it has released");
}

}  // namespace
}  // namespace alder::rdma
