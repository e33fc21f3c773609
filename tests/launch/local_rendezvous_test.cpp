#include "launch/local_rendezvous.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/error.hpp"

namespace alder {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr milliseconds kAtOnce{0}, kLong{60000};

std::vector<std::byte> bytes(std::string_view text) {
  const auto raw = std::as_bytes(std::span(text));
  return {raw.begin(), raw.end()};
}

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(LocalRendezvous, CarriesValuesFromEveryRankToEveryRank) {
  LocalMeeting meeting(4);
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < 4; ++rank) {
    threads.emplace_back([&meeting, rank] {
      const auto place = meeting.join(rank);
      place->put("name", bytes("rank " + std::to_string(rank)));
      place->fence(kLong);
      for (Rank other = 0; other < 4; ++other) {
        EXPECT_EQ(place->get(other, "name", kAtOnce), bytes("rank " + std::to_string(other)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(LocalRendezvous, NamesWhoDidNotComeToAFence) {
  LocalMeeting meeting(4);
  const auto place = meeting.join(2);
  EXPECT_THAT(error_of([&] { place->fence(kAtOnce); }), HasSubstr("for ranks 0, 1, 3"));
}

TEST(LocalRendezvous, NamesTheKeyAndTheHostThatAValueIsMissingFrom) {
  LocalMeeting meeting(2, {"left", "right"});
  const auto place = meeting.join(0);
  EXPECT_THAT(error_of([&] { place->get(1, "name", kAtOnce); }), HasSubstr("\"name\" of rank 1 on right"));
  EXPECT_THAT(error_of([&] { place->get(2, "name", kAtOnce); }), HasSubstr("rank 2 of 2"));
}

TEST(LocalRendezvous, TellsEachRankOnceWhoHasEnded) {
  LocalMeeting meeting(3);
  const auto first = meeting.join(0), second = meeting.join(1);
  meeting.mark_ended(2);
  EXPECT_THAT(first->take_failures(), ElementsAre(2));
  EXPECT_THAT(first->take_failures(), IsEmpty());
  EXPECT_THAT(second->take_failures(), ElementsAre(2));
}

}  // namespace
}  // namespace alder
