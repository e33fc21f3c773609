// Ranks as threads, real TCP. Where a test needs a rank that misbehaves, it has the bare connection of a
// handshake.
#include "launch/star.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.hpp"
#include "together.hpp"

namespace alder {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto kPatience = 60s;

StarSettings settings(std::chrono::milliseconds silence = 60s) {
  return {.handshake = {.deadline = 60s, .interface = {}, .program = "test", .limits = {.array = 1 << 20}},
          .silence = silence};
}

SharedBytes bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return std::make_shared<const Bytes>(bytes.begin(), bytes.end());
}
std::string text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A rank that is connected and has no service thread: silent, until the test lets it speak.
std::unique_ptr<Connection> bare(Rendezvous& meeting) {
  return std::move(shake_hands(meeting, settings().handshake, {}).front());
}
void flush(Connection& connection) {
  while (connection.open() && connection.has_output()) connection.write();
}
// The frames that come until the other side closes.
std::vector<Frame> read_all(Connection& connection) {
  std::vector<Frame> frames;
  while (connection.open()) connection.read(frames);
  return frames;
}

TEST(Star, CarriesRecordsAndArraysBothWays) {
  const auto errors = together(4, [&](Rendezvous& meeting) {
    Star star(meeting, settings(), {});
    star.start({});
    const auto array = std::make_shared<const Bytes>(1 << 20, std::byte(meeting.rank()));
    if (meeting.rank() != 0) {
      star.send(0, FrameKind::record, 1, bytes_of(fmt::format("from {}", meeting.rank())));
      star.send(0, FrameKind::array, 2, array);
      EXPECT_EQ(text_of(*star.receive(0, FrameKind::record, 3, kPatience)), "to all");
      return;
    }
    for (Rank rank = 1; rank < 4; ++rank) {
      EXPECT_EQ(text_of(*star.receive(rank, FrameKind::record, 1, kPatience)), fmt::format("from {}", rank));
    }
    for (Rank rank = 3; rank > 0; --rank) {  // in any order of ranks
      EXPECT_EQ(*star.receive(rank, FrameKind::array, 2, kPatience), Bytes(1 << 20, std::byte(rank)));
    }
    for (Rank rank = 1; rank < 4; ++rank) star.send(rank, FrameKind::record, 3, bytes_of("to all"));
    EXPECT_TRUE(star.losses().empty());
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(Star, DeliversNoticesToTheHandler) {
  const auto errors = together(2, [&](Rendezvous& meeting) {
    std::vector<std::string> heard;  // the service thread's until the star has ended
    {
      Star star(meeting, settings(), {});
      star.start({.notice = [&](Rank from, uint64_t tag, std::span<const std::byte> payload) {
        heard.push_back(fmt::format("{} {} {}", from, tag, text_of({payload.begin(), payload.end()})));
      }});
      if (meeting.rank() == 1) {
        star.send(0, FrameKind::notice, 5, bytes_of("now"));
        star.send(0, FrameKind::record, 1, nullptr);
      } else {
        star.receive(1, FrameKind::record, 1, kPatience);
      }
    }
    if (meeting.rank() == 0) {
      EXPECT_THAT(heard, ElementsAre("1 5 now"));
    }
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(Star, OutlivesARankThatDies) {
  const auto errors = together(3,
                               [&](Rendezvous& meeting) {
                                 if (meeting.rank() == 2) {
                                   bare(meeting);  // and gone, without a word
                                   return;
                                 }
                                 Star star(meeting, settings(), {});
                                 star.start({});
                                 if (meeting.rank() == 1) {
                                   star.send(0, FrameKind::record, 1, nullptr);
                                   star.receive(0, FrameKind::record, 2, kPatience);
                                   return;
                                 }
                                 EXPECT_TRUE(star.receive(1, FrameKind::record, 1, kPatience).has_value());
                                 EXPECT_FALSE(star.receive(2, FrameKind::record, 1, kPatience).has_value());
                                 EXPECT_FALSE(star.present(2));
                                 EXPECT_TRUE(star.present(1));
                                 ASSERT_EQ(star.losses().size(), 1u);
                                 EXPECT_EQ(star.losses()[0].rank, 2);
                                 EXPECT_EQ(star.losses()[0].host, "c");
                                 EXPECT_THAT(star.losses()[0].reason, HasSubstr("closed"));
                                 star.send(1, FrameKind::record, 2, nullptr);
                               },
                               {"a", "b", "c"});
  EXPECT_THAT(errors, Each(""));
}

TEST(Star, LosesARankThatFallsSilentAndTellsIt) {
  const auto errors = together(2, [&](Rendezvous& meeting) {
    if (meeting.rank() == 1) {
      const auto connection = bare(meeting);
      const std::vector<Frame> frames = read_all(*connection);
      ASSERT_FALSE(frames.empty());
      EXPECT_EQ(frames.back().kind, FrameKind::farewell);
      EXPECT_THAT(text_of(frames.back().payload),
                  AllOf(HasSubstr("rank 1"), HasSubstr("left out"), HasSubstr("no sign of life for 0.2 s")));
      return;
    }
    Star star(meeting, settings(200ms), {});
    star.start({});
    EXPECT_FALSE(star.receive(1, FrameKind::record, 1, kPatience).has_value());
    EXPECT_THAT(star.losses()[0].reason, HasSubstr("no sign of life"));
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(Star, KeepsARankThatOnlyBeats) {
  const auto errors = together(2, [&](Rendezvous& meeting) {
    Star star(meeting, settings(400ms), {});
    star.start({});
    if (meeting.rank() == 1) {
      star.receive(0, FrameKind::record, 1, kPatience);
      return;
    }
    // Longer than the silence that is allowed; nothing but beats comes.
    EXPECT_FALSE(star.receive(1, FrameKind::record, 1, 1500ms).has_value());
    EXPECT_THAT(star.losses()[0].reason, HasSubstr("sent no record in 1.5 s"));
  });
  EXPECT_THAT(errors,
              ElementsAre("", HasSubstr("rank 1 (localhost) was left out by rank 0 (localhost): sent no")));
}

TEST(Star, EndsOnAllRanksWhenRankZeroIsGone) {
  const auto errors = together(3,
                               [&](Rendezvous& meeting) {
                                 if (meeting.rank() == 0) {
                                   shake_hands(meeting, settings().handshake, {});
                                   return;
                                 }
                                 Star star(meeting, settings(), {});
                                 star.start({});
                                 star.receive(0, FrameKind::record, 1, kPatience);
                               },
                               {"a", "b", "c"});
  for (const Rank rank : {1, 2}) {
    EXPECT_THAT(
        errors[static_cast<std::size_t>(rank)],
        AllOf(HasSubstr("rank 0 (a), which keeps the records of the run, is gone"), HasSubstr("--resume")));
  }
}

TEST(Star, PassesLastWordsOn) {
  const auto errors = together(3, [&](Rendezvous& meeting) {
    Star star(meeting, settings(), {});
    star.start({});
    if (meeting.rank() == 1) {
      star.farewell("worker 1: no memory");
    } else if (meeting.rank() == 0) {
      EXPECT_FALSE(star.receive(1, FrameKind::record, 1, kPatience).has_value());
      EXPECT_EQ(star.losses()[0].reason, "worker 1: no memory");
      star.farewell("worker 2: loss nan");
    } else {
      star.receive(0, FrameKind::record, 1, kPatience);
    }
  });
  EXPECT_THAT(errors, ElementsAre("", "", "worker 2: loss nan"));
}

TEST(Star, CanBeInterrupted) {
  const auto errors = together(2, [&](Rendezvous& meeting) {
    Star star(meeting, settings(), {});
    star.start({});
    if (meeting.rank() == 1) return;
    EXPECT_FALSE(star.ended().has_value());
    star.interrupt("enough");
    star.interrupt("too late");
    EXPECT_EQ(star.ended(), "enough");
    star.receive(1, FrameKind::record, 1, kPatience);
  });
  EXPECT_THAT(errors, ElementsAre("enough", ""));
}

TEST(Star, LosesARankThatSpeaksOutOfTurn) {
  for (const FrameKind kind : {FrameKind::record, FrameKind::hello}) {
    const auto errors = together(2, [&](Rendezvous& meeting) {
      if (meeting.rank() == 1) {
        const auto connection = bare(meeting);
        connection->queue(kind, 9, nullptr);
        flush(*connection);
        read_all(*connection);
        return;
      }
      Star star(meeting, settings(), {});
      star.start({});
      EXPECT_FALSE(star.receive(1, FrameKind::record, 1, kPatience).has_value());
      EXPECT_THAT(star.losses()[0].reason,
                  HasSubstr(kind == FrameKind::record ? "sent record 9 where record 1 was due"
                                                      : "sent a hello, which belongs to the beginning"));
    });
    EXPECT_THAT(errors, Each(""));
  }
}

TEST(Star, LosesARankThatSendsMoreThanItMay) {
  const auto errors = together(2, [&](Rendezvous& meeting) {
    if (meeting.rank() == 1) {
      const auto connection = bare(meeting);
      connection->queue(FrameKind::array, 1, std::make_shared<const Bytes>((1 << 20) + 1));
      flush(*connection);
      return;
    }
    Star star(meeting, settings(), {});
    star.start({});
    EXPECT_FALSE(star.receive(1, FrameKind::array, 1, kPatience).has_value());
    EXPECT_THAT(star.losses()[0].reason, HasSubstr("array of 1048577 bytes; at most 1048576"));
  });
  EXPECT_THAT(errors, Each(""));
}

}  // namespace
}  // namespace alder
