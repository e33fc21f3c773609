#include "plan/link.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace alder::plan {
namespace {

// Receivers of what leaves next, and when.
std::vector<Rank> leave(Link& link, double now, double& when) {
  std::vector<Message> departing;
  when = link.next_departure(now);
  link.depart(when, departing);
  std::vector<Rank> to;
  for (const Message& message : departing) to.push_back(message.to);
  return to;
}

TEST(Link, MessagesPutTogetherLeaveTogether) {
  Link link(2, 0);
  for (Rank to = 1; to <= 3; ++to) link.put({.to = to}, 10);
  double when = 0;
  EXPECT_EQ(leave(link, 10, when), (std::vector<Rank>{1, 2, 3}));
  EXPECT_DOUBLE_EQ(when, 16);
  EXPECT_TRUE(link.idle());
}

// Alone for 1 ms of 2; then two share: 2 ms later the first has gone, and the second has 1 ms left, alone.
TEST(Link, ALaterMessageSharesTheRateFromThenOn) {
  Link link(2, 0);
  link.put({.to = 1}, 0);
  link.put({.to = 2}, 1);
  double when = 0;
  EXPECT_EQ(leave(link, 1, when), std::vector<Rank>{1});
  EXPECT_DOUBLE_EQ(when, 3);
  EXPECT_DOUBLE_EQ(link.next_departure(3.5), 4) << "asking later does not change it";
  EXPECT_EQ(leave(link, 3, when), std::vector<Rank>{2});
  EXPECT_DOUBLE_EQ(when, 4);
}

TEST(Link, RestsInBetween) {
  Link link(2, 0);
  double when = 0;
  link.put({.to = 1}, 0);
  leave(link, 0, when);
  link.put({.to = 2}, 100);
  leave(link, 100, when);
  EXPECT_DOUBLE_EQ(when, 102);
}

TEST(Link, TakesOneMessageAfterAnotherEachFromItsFirstByte) {
  Link link(2, 0);
  EXPECT_DOUBLE_EQ(link.take(1, 3), 3);    // at the sender's pace
  EXPECT_DOUBLE_EQ(link.take(1, 3), 5);    // behind the first
  EXPECT_DOUBLE_EQ(link.take(4, 20), 20);  // a slow sender
  EXPECT_DOUBLE_EQ(link.take(4, 6), 9);    // its work was done by 7, though its last byte is still out
}

TEST(Link, AMessageOfNoSizeLeavesAtOnce) {
  Link link(0, 0);
  double when = 0;
  link.put({.to = 1}, 5);
  EXPECT_EQ(leave(link, 5, when), std::vector<Rank>{1});
  EXPECT_DOUBLE_EQ(when, 5);
}

}  // namespace
}  // namespace alder::plan
