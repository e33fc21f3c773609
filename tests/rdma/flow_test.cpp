// The two halves of the flow control, without a network: which generation may be sent, may arrive, is
// credited.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <set>
#include <stdexcept>

#include "exchange/header.hpp"
#include "rdma/receive_side.hpp"
#include "rdma/send_side.hpp"

namespace alder::rdma {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

Header sealed(uint64_t generation) {
  Header header{.generation = generation};
  seal(header);
  return header;
}

SendSide::Item bucket(uint64_t generation, uint32_t index) {
  return {.generation = Generation(generation), .bucket = index};
}
SendSide::Item header(uint64_t generation) {
  return {.generation = Generation(generation), .is_header = true};
}

// ---- receiving ----

TEST(ReceiveSide, WidensTagsAcrossTheWrapOfSixteenBits) {
  ReceiveSide side(Generation(65530), {0}, false);
  for (uint64_t g = 65530; g < 65550; ++g) {
    const auto verdict = side.bucket(tag_of(g), 0);
    ASSERT_THAT(verdict.error, IsEmpty());
    EXPECT_EQ(verdict.generation, Generation(g));
    side.release(g + 1);
    EXPECT_EQ(side.take_credit(), Generation(g));
  }
}

TEST(ReceiveSide, TakesGenerationsThatWereLeftOut) {
  ReceiveSide side(Generation(0), {0}, false);
  for (const uint64_t g : {0, 2, 4, 32766, 32767, 65000, 65001, 97000, 120000}) {
    ASSERT_EQ(side.bucket(tag_of(g), 0).generation, Generation(g));
    side.release(g + 1);
    ASSERT_EQ(side.take_credit(), Generation(g));
  }
}

TEST(ReceiveSide, RefusesTheLowBitsOfAGenerationOfThePastWithBothValues) {
  ReceiveSide side(Generation(70000), {0}, false);
  EXPECT_THAT(
      side.bucket(tag_of(69998), 0).error,
      HasSubstr(
          "generation 4462 (mod 65536) is of the past: in its slot generation 70000 (mod 65536: 4464)"));
}

TEST(ReceiveSide, RefusesASecondGenerationInATakenSlot) {
  ReceiveSide side(Generation(0), {0, 1}, false);
  ASSERT_THAT(side.bucket(4, 0).error, IsEmpty());
  EXPECT_THAT(side.bucket(6, 1).error,
              HasSubstr("generation 6 (mod 65536) arrives in a slot that generation 4"));
  EXPECT_THAT(side.bucket(5, 1).error, IsEmpty()) << "the other slot is free";
}

TEST(ReceiveSide, RefusesWhatComesTwiceOrDoesNotBelongHere) {
  ReceiveSide side(Generation(0), {1, 3}, true);
  ASSERT_THAT(side.bucket(0, 1).error, IsEmpty());
  EXPECT_THAT(side.bucket(0, 1).error, HasSubstr("bucket 1 of generation 0 arrived twice"));
  EXPECT_THAT(side.bucket(0, 2).error, HasSubstr("bucket 2 arrived, which this rail does not carry"));
  ASSERT_THAT(side.header(0, sealed(0)).error, IsEmpty());
  EXPECT_THAT(side.header(0, sealed(0)).error, HasSubstr("twice"));
  EXPECT_THAT(side.header(1, sealed(3)).error, HasSubstr("a header of generation 3 arrived as generation 1"));
  Header torn = sealed(1);
  torn.loss = 1;
  EXPECT_THAT(side.header(1, torn).error, HasSubstr("wrong checksum"));
  torn.magic_version = 0xA1DE0002;
  EXPECT_THAT(side.header(1, torn).error, HasSubstr("0xa1de0002 where this program has 0xa1de0001"));
  ReceiveSide other_rail(Generation(0), {0}, false);
  EXPECT_THAT(other_rail.header(0, sealed(0)).error, HasSubstr("rail that carries none"));
}

TEST(ReceiveSide, GivesASlotBackOnceItIsBothWholeAndReleased) {
  ReceiveSide side(Generation(0), {0, 1}, true);
  side.bucket(0, 0);
  side.release(1);
  EXPECT_EQ(side.take_credit(), std::nullopt) << "not whole";
  side.bucket(0, 1);
  EXPECT_EQ(side.take_credit(), std::nullopt) << "its header is missing";
  side.header(0, sealed(0));
  EXPECT_EQ(side.take_credit(), Generation(0)) << "given up before it came, and credited all the same";
  EXPECT_EQ(side.take_credit(), std::nullopt) << "once";
  side.bucket(1, 0);
  side.bucket(1, 1);
  side.header(1, sealed(1));
  EXPECT_EQ(side.take_credit(), std::nullopt) << "not released";
  side.release(2);
  EXPECT_EQ(side.take_credit(), Generation(1));
}

// ---- sending ----

TEST(SendSide, NeverHasMoreThanTwoGenerationsOut) {
  SendSide side(Generation(0), {0}, false);
  for (uint64_t g = 0; g < 4; ++g) side.give(bucket(g, 0));
  for (int k = 0; k < 2; ++k) {
    ASSERT_NE(side.next(), nullptr);
    side.posted();
  }
  EXPECT_EQ(side.outstanding(), 2);
  EXPECT_EQ(side.next(), nullptr) << "generation 2 waits for the credit of generation 0";
  EXPECT_TRUE(side.bucket_sent(Generation(0), 0));
  EXPECT_EQ(side.next(), nullptr) << "sent is not read";
  EXPECT_THAT(side.credit(1), IsEmpty()) << "which frees the other slot only";
  EXPECT_EQ(side.next(), nullptr);
  EXPECT_THAT(side.credit(0), IsEmpty());
  ASSERT_NE(side.next(), nullptr);
  EXPECT_EQ(side.next()->generation, Generation(2));
}

TEST(SendSide, WaitsForItsOwnCompletionsEvenAfterTheCredit) {
  SendSide side(Generation(0), {0}, false);
  side.give(bucket(0, 0));
  side.give(bucket(2, 0));
  side.posted();
  EXPECT_THAT(side.credit(0), IsEmpty());
  EXPECT_EQ(side.next(), nullptr) << "the source of generation 0 may still be read";
  EXPECT_TRUE(side.bucket_sent(Generation(0), 0));
  EXPECT_NE(side.next(), nullptr);
}

TEST(SendSide, RefusesCreditsThatCannotBeWithBothValues) {
  SendSide side(Generation(0), {0, 1}, false);
  EXPECT_THAT(side.credit(0), HasSubstr("a credit for generation 0 (mod 65536) arrived"));
  side.give(bucket(4, 0));
  side.give(bucket(4, 1));
  side.posted();
  EXPECT_THAT(side.credit(6),
              HasSubstr("a credit for generation 6 (mod 65536) arrived, but the slot holds generation 4"));
  EXPECT_THAT(side.credit(4), HasSubstr("before all of it was posted"));
  side.posted();
  EXPECT_THAT(side.credit(4), IsEmpty());
  EXPECT_THAT(side.credit(4), HasSubstr("has been credited"));
}

TEST(SendSide, IsAnErrorOfTheProgramBeforeItOverwritesASlot) {
  SendSide side(Generation(10), {0}, false);
  side.give(bucket(8, 0));
  EXPECT_THROW(side.posted(), std::logic_error) << "generation 10 is the first";
}

TEST(SendSide, SendsAgainAfterABreakWhatDidNotArriveAndNothingElse) {
  SendSide side(Generation(0), {0, 1, 2}, true);
  for (uint64_t g = 0; g < 2; ++g) {
    for (uint32_t b = 0; b < 3; ++b) side.give(bucket(g, b));
    side.give(header(g));
  }
  for (int k = 0; k < 6; ++k) side.posted();  // all of generation 0, half of generation 1
  side.bucket_sent(Generation(0), 0);
  ReceiveState peer;
  peer.parity[0] = {.next = 0, .occupied = true, .generation = 0, .header = false, .buckets = {}};
  peer.parity[0].buckets.set(0);
  peer.parity[0].buckets.set(2);
  peer.parity[1].next = 1;
  const auto result = side.reconcile(peer);
  ASSERT_THAT(result.error, IsEmpty());
  ASSERT_EQ(result.sent.size(), 1u);
  EXPECT_EQ(result.sent[0].bucket, 2u) << "it had arrived, only its completion was lost";
  EXPECT_EQ(result.again, 4u);
  const auto expect_next = [&](uint64_t generation, bool is_header, uint32_t index) {
    ASSERT_NE(side.next(), nullptr);
    EXPECT_EQ(side.next()->generation, Generation(generation));
    EXPECT_EQ(side.next()->is_header, is_header);
    EXPECT_TRUE(is_header || side.next()->bucket == index);
    side.posted();
  };
  expect_next(0, false, 1);
  expect_next(0, true, 0);
  expect_next(1, false, 0);
  expect_next(1, false, 1);
  expect_next(1, false, 2);
  expect_next(1, true, 0);
  EXPECT_EQ(side.next(), nullptr);
}

TEST(SendSide, LearnsFromTheNeighbourThatAGenerationWasRead) {
  SendSide side(Generation(0), {0}, false);
  side.give(bucket(0, 0));
  side.give(bucket(2, 0));
  side.posted();
  ReceiveState peer;
  peer.parity[0].next = 2;
  peer.parity[1].next = 1;
  const auto result = side.reconcile(peer);
  EXPECT_THAT(result.error, IsEmpty());
  EXPECT_EQ(result.sent.size(), 1u);
  ASSERT_NE(side.next(), nullptr) << "the credit was lost with the connection, and is not needed";
}

TEST(SendSide, RefusesWhatANeighbourCannotHave) {
  const auto with = [](ReceiveState::Parity parity) {
    SendSide side(Generation(0), {0, 1}, false);
    side.give(bucket(0, 0));
    side.give(bucket(0, 1));
    side.posted();
    side.bucket_sent(Generation(0), 0);
    ReceiveState peer;
    peer.parity[0] = parity;
    return side.reconcile(peer).error;
  };
  EXPECT_THAT(with({.next = 0, .occupied = true, .generation = 4}), HasSubstr("has generation 4 in a slot"));
  EXPECT_THAT(with({.next = 2}), HasSubstr("says it has read generation 0 before all of it was posted"));
  EXPECT_THAT(with({.next = 0}),
              HasSubstr("bucket 0 of generation 0 was acknowledged by the neighbour's device"));
}

// A sender of some generations of two buckets and its receiver, with all that can happen to them one at a
// time: posts, arrivals, completions, releases, credits. All queues between them keep their order, so the
// counters are the state.
struct Explorer {
  static constexpr uint64_t kGenerations = 5;

  SendSide send{Generation(0), {0, 1}, false};
  ReceiveSide receive{Generation(0), {0, 1}, false};
  std::deque<SendSide::Item> wire;        // posted, not arrived
  std::deque<SendSide::Item> completing;  // arrived, completion not seen
  std::deque<uint16_t> credits;           // under way
  uint64_t posted = 0, arrived = 0, completed = 0, released = 0, credited = 0;

  std::array<uint64_t, 5> key() const { return {posted, arrived, completed, released, credited}; }
  bool done() const { return credited == kGenerations && completed == 2 * kGenerations; }

  // The k-th of the things that can happen now; false: there are fewer.
  bool act(int k) {
    if (const auto* next = send.next(); next != nullptr && k-- == 0) {
      wire.push_back(*next);
      send.posted();
      ++posted;
      return true;
    }
    if (!wire.empty() && k-- == 0) {
      const auto item = wire.front();
      wire.pop_front();
      // What is being read, or was read and not given back, is never written.
      EXPECT_GE(item.generation.value(), released);
      EXPECT_THAT(receive.bucket(tag_of(item.generation.value()), item.bucket).error, IsEmpty());
      ++arrived;
      completing.push_back(item);
      return true;
    }
    if (!completing.empty() && k-- == 0) {
      send.bucket_sent(completing.front().generation, completing.front().bucket);
      completing.pop_front();
      ++completed;
      return true;
    }
    if (arrived >= 2 * (released + 1) && released < kGenerations && k-- == 0) {
      receive.release(++released);
      while (const auto credit = receive.take_credit()) credits.push_back(tag_of(credit->value()));
      return true;
    }
    if (!credits.empty() && k-- == 0) {
      EXPECT_THAT(send.credit(credits.front()), IsEmpty());
      credits.pop_front();
      ++credited;
      return true;
    }
    return false;
  }
};

TEST(Flow, IsRightInEveryStateThatFiveGenerationsCanReach) {
  Explorer start;
  for (uint64_t g = 0; g < Explorer::kGenerations; ++g) {
    for (uint32_t b = 0; b < 2; ++b) start.send.give(bucket(g, b));
  }
  std::set<std::array<uint64_t, 5>> seen = {start.key()};
  std::vector<Explorer> open = {start};
  bool ended = false;
  while (!open.empty() && !HasFailure()) {
    const Explorer state = open.back();
    open.pop_back();
    EXPECT_LE(state.send.outstanding(), 2);
    ended = ended || state.done();
    int ways = 0;
    for (Explorer next = state; next.act(ways); next = state, ++ways) {
      if (seen.insert(next.key()).second) open.push_back(next);
    }
    EXPECT_TRUE(ways > 0 || state.done()) << "stuck";
  }
  EXPECT_TRUE(ended);
  EXPECT_GT(seen.size(), 100u) << "states";
}

}  // namespace
}  // namespace alder::rdma
