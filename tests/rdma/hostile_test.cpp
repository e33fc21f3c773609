// A neighbour that sends what it should not: every such thing ends that edge with both values in the message,
// and neither the slots nor the other edges notice.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "exchange/header.hpp"
#include "tests/rdma/world.hpp"

namespace alder::rdma {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Worker 0 is the victim, worker 1 is not itself, worker 2 has nothing to do with it.
class Hostile : public testing::Test {
 protected:
  Hostile() : world_({.workers = 3, .buckets = {64, 32}, .tuning = {.spare_connections = 0}}) {
    world_.connect();
  }

  // Queue pairs of worker 0 towards worker 1, by the order in which they are made.
  uint32_t control() { return world_.fabric().queue_pairs(0)[0]; }
  uint32_t data() { return world_.fabric().queue_pairs(0)[1]; }

  void send(uint32_t queue_pair, const Immediate& immediate) {
    world_.fabric().forge(queue_pair, pack(immediate), 0, 0, {});
  }
  // The edge must end, with this in its message, and the other one go on.
  void expect_end(const testing::Matcher<std::string>& message) {
    EXPECT_TRUE(world_.run_until([&] { return world_.endpoint(0).edge_over(1); }, seconds(1)));
    std::string text;
    for (const EdgeNotice& notice : world_.notices()) {
      if (notice.worker == 0) text += notice.text;
    }
    EXPECT_THAT(text, AllOf(HasSubstr("edge 0-1: "), HasSubstr("queue pairs 0x"), message));
    for (const Rank rank : {0, 2}) world_.offer(rank, 10);
    EXPECT_THAT(world_.hear(0, 10), ElementsAre(Arrival::failed, Arrival::arrived));
    EXPECT_TRUE(world_.holds(0, 2, 10));
  }

  World world_;
};

TEST_F(Hostile, BucketsOutOfRangeAreRefused) {
  send(data(), {.generation = 0, .bucket = 2});
  expect_end(
      HasSubstr("bucket 2 arrived on data queue pair 0, which does not carry it; there are 2 buckets"));
}

TEST_F(Hostile, TheLargestBucketIsRefused) {
  send(data(), {.generation = 0, .bucket = 511});
  expect_end(HasSubstr("bucket 511"));
}

TEST_F(Hostile, GenerationsOfThePastAreRefused) {
  for (uint64_t g = 0; g < 4; ++g) ASSERT_TRUE(world_.run_generation(g));
  world_.pass(milliseconds(5));
  send(data(), {.generation = 2, .bucket = 0});
  expect_end(
      HasSubstr("generation 2 (mod 65536) is of the past: in its slot generation 4 (mod 65536: 4) is next"));
}

TEST_F(Hostile, AGenerationOverOneThatIsNotReleasedIsRefused) {
  world_.offer(0, 0);
  world_.offer(1, 0);
  ASSERT_EQ(world_.hear(0, 0)[0], Arrival::arrived);
  const auto slot = world_.endpoint(0).slot(1, Generation(0), Bucket(0));
  const std::vector<float> before(slot.begin(), slot.end());
  send(data(), {.generation = 2, .bucket = 0});
  EXPECT_TRUE(world_.run_until([&] { return world_.endpoint(0).edge_over(1); }, seconds(1)));
  EXPECT_THAT(
      world_.all_notices(),
      HasSubstr("generation 2 (mod 65536) arrives in a slot that generation 0 (mod 65536: 0) still holds"));
  EXPECT_THAT(slot, testing::ElementsAreArray(before)) << "it had been told to be there, and may be read on";
}

TEST_F(Hostile, ABucketThatComesTwiceIsRefused) {
  world_.offer(1, 0);
  world_.pass(milliseconds(5));
  send(data(), {.generation = 0, .bucket = 1});
  expect_end(HasSubstr("bucket 1 of generation 0 arrived twice"));
}

TEST_F(Hostile, AnotherEpochIsRefused) {
  send(data(), {.generation = 0, .epoch = 5, .bucket = 0});
  expect_end(AllOf(HasSubstr("epoch 5"), HasSubstr("its epoch must be 0")));
}

TEST_F(Hostile, AControlMessageOnADataQueuePairIsRefused) {
  send(data(), {.generation = 0, .bucket = 0, .control = true});
  expect_end(HasSubstr("it is of the wrong kind"));
}

TEST_F(Hostile, UnknownControlMessagesAreRefused) {
  send(control(), {.generation = 0, .bucket = kControls, .control = true});
  expect_end(HasSubstr("control messages are 0 to 4"));
}

TEST_F(Hostile, CreditsThatWereNotEarnedAreRefused) {
  send(control(), {.generation = 6, .bucket = static_cast<uint32_t>(Control::credit), .control = true});
  expect_end(HasSubstr("a credit for generation 6 (mod 65536) arrived"));
}

TEST_F(Hostile, HeadersOfNothingAreRefused) {
  send(control(), {.generation = 0, .bucket = static_cast<uint32_t>(Control::header), .control = true});
  expect_end(HasSubstr("a header of 0 bytes, expected 64"));
}

TEST_F(Hostile, HellosOfNothingAreRefused) {
  send(control(), {.generation = 1, .bucket = static_cast<uint32_t>(Control::hello), .control = true});
  expect_end(HasSubstr("the hello of 0 bytes, expected 256"));
}

TEST_F(Hostile, OffersOfNothingAreRefused) {
  send(control(), {.generation = 0, .bucket = static_cast<uint32_t>(Control::offer), .control = true});
  expect_end(HasSubstr("the offer of 0 bytes"));
}

TEST_F(Hostile, EveryImmediateEndsInAFailureOrIsHarmless) {
  // All 16 bits that are not the generation, on either queue pair; a world each would take long, so edges die
  // and are made again in lots.
  for (uint32_t bits = 0; bits < 1 << 16; bits += 251) {
    World world({.workers = 2, .buckets = {8}, .tuning = {.spare_connections = 0}});
    world.connect();
    const std::vector<uint32_t> pairs = world.fabric().queue_pairs(0);
    world.fabric().forge(pairs[bits % 2], 7U << 16 | bits, 0, 0, {});
    world.pass(milliseconds(20));
    // Whatever it was, the exchange lives, and its end is orderly.
    world.endpoint(0).edge_over(1);
    EXPECT_EQ(world.end_all(), "") << fmt::format("immediate {:#010x}", 7U << 16 | bits);
  }
}

TEST(Access, IsGivenToTheSlotsAndTheRecordsAndToNothingElse) {
  World world({.workers = 2, .buckets = {64, 32}});
  world.connect();
  const auto address = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  int slots = 0, inboxes = 0;
  for (const fabric::Fabric::Registered& region : world.fabric().registered(0)) {
    const bool remote = (region.access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)) != 0;
    EXPECT_EQ(region.access & (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC), 0) << "nobody reads here";
    if (!remote) continue;
    if (address(region.address) == address(world.endpoint(0).slots_of(1))) {
      EXPECT_EQ(region.bytes, 2u * 4096u) << "both slots of the edge, in whole pages";
      ++slots;
    } else {
      EXPECT_EQ(region.bytes, sizeof(ControlRecords));
      ++inboxes;
    }
  }
  EXPECT_EQ(slots, 1) << "one key at a time";
  EXPECT_EQ(inboxes, 3) << "one a connection";
}

}  // namespace
}  // namespace alder::rdma
