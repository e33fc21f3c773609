// Ranks as threads, real TCP over this machine's interfaces.
#include "launch/handshake.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/error.hpp"
#include "together.hpp"

namespace alder {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::ThrowsMessage;

HandshakeSettings settings(std::chrono::milliseconds deadline = 60s) {
  return {.deadline = deadline, .interface = {}, .program = "test", .limits = {}};
}

// Where rank 0 listens, out of its card: 16 bytes of nonce, then the port.
sockaddr_storage rank_0(Rendezvous& meeting) {
  const Bytes card = meeting.get(0, "control", 60s);
  ByteReader reader(card, "card");
  reader.raw(16);
  return unpack_address(std::as_bytes(std::span("\x7f\0\0\x01", 4)), reader.number<uint16_t>());
}

TEST(Handshake, ConnectsEveryRankToRankZero) {
  const std::vector<Fact> facts{{"--lr", "0.4"}};
  const auto errors = together(4, [&](Rendezvous& meeting) {
    const auto connections = shake_hands(meeting, settings(), facts);
    if (meeting.rank() != 0) {
      EXPECT_EQ(connections.size(), 1u);
      EXPECT_TRUE(connections[0]->open());
      meeting.fence(60s);
      return;
    }
    ASSERT_EQ(connections.size(), 4u);
    EXPECT_EQ(connections[0], nullptr);
    for (Rank rank = 1; rank < 4; ++rank) EXPECT_TRUE(connections[static_cast<std::size_t>(rank)]->open());
    meeting.fence(60s);
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(Handshake, OfOneRankIsWithItself) {
  EXPECT_THAT(together(1, [&](Rendezvous& meeting) { shake_hands(meeting, settings(), {}); }), Each(""));
}

TEST(Handshake, RefusesAnotherConfigurationOnAllRanksWithBothHosts) {
  const auto errors = together(3,
                               [&](Rendezvous& meeting) {
                                 const std::vector<Fact> facts{{"--lr", meeting.rank() == 2 ? "0.2" : "0.4"}};
                                 shake_hands(meeting, settings(), facts);
                               },
                               {"a", "b", "c"});
  EXPECT_THAT(errors,
              Each(HasSubstr("--lr is 0.2 on rank 2 (c) and 0.4 on rank 0 (a); start all ranks with")));
}

TEST(Handshake, RefusesAnotherProgramOnAllRanks) {
  const auto errors = together(3,
                               [&](Rendezvous& meeting) {
                                 HandshakeSettings own = settings();
                                 own.program = meeting.rank() == 1 ? "build-7" : "build-8";
                                 shake_hands(meeting, own, {});
                               },
                               {"a", "b", "c"});
  EXPECT_THAT(
      errors,
      Each(HasSubstr("rank 1 (b) runs another program than rank 0 (a): build build-7 there, build-8")));
}

// A connection that says, with the job's own nonce, to be process 4711 and this rank on host d.
std::unique_ptr<Connection> impostor(Rendezvous& meeting, Rank rank) {
  const Bytes card = meeting.get(0, "control", 60s);
  ByteWriter hello;
  hello.raw(std::span<const std::byte>(card).first(16));
  hello.number(static_cast<int32_t>(rank));
  hello.number(int32_t{4711});
  hello.text("d");
  hello.raw(pack(std::vector<Fact>{}));
  auto connection = std::make_unique<Connection>(connect_to(rank_0(meeting), 60s), FrameLimits{});
  connection->queue(FrameKind::hello, 0, std::make_shared<const Bytes>(hello.take()));
  connection->write();
  return connection;
}

// What a launcher's script that starts alder twice would do, were the rank not claimed on its node.
TEST(Handshake, RefusesASecondRankZeroWithBothHosts) {
  const auto errors = together(2,
                               [&](Rendezvous& meeting) {
                                 std::unique_ptr<Connection> first;  // in rank 0's queue before rank 1 is
                                 if (meeting.rank() == 1) first = impostor(meeting, 0);
                                 shake_hands(meeting, settings(), {});
                               },
                               {"a", "b"});
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("rank 0 is there twice: as process"), HasSubstr("on a and as"),
                                 HasSubstr("process 4711 on d; start one alder per rank"))));
}

TEST(Handshake, RefusesASecondProcessOfAnyRankWithBothHosts) {
  const auto errors =
      together(3,
               [&](Rendezvous& meeting) {
                 if (meeting.rank() == 0) shake_hands(meeting, settings(), {});
                 if (meeting.rank() == 1) {
                   const auto first = impostor(meeting, 1);
                   EXPECT_THAT([&] { shake_hands(meeting, settings(), {}); },
                               ThrowsMessage<UsageError>(HasSubstr("rank 1 is there twice")));
                   meeting.put("refused", {});
                 }
                 if (meeting.rank() == 2) {  // comes when the others have met; rank 0 waits for it
                   meeting.put("program", std::as_bytes(std::span("test", 4)));
                   meeting.fence(60s);
                   meeting.get(1, "refused", 60s);
                   const auto connection = impostor(meeting, 2);
                   std::vector<Frame> frames;
                   while (connection->open()) connection->read(frames);
                 }
               },
               {"a", "b", "c"});
  EXPECT_THAT(errors[0], AllOf(HasSubstr("rank 1 is there twice: as process 4711 on d and as process"),
                               HasSubstr("on b; start one alder per rank")));
}

TEST(Handshake, NamesWhoDidNotConnect) {
  const auto errors = together(3,
                               [&](Rendezvous& meeting) {
                                 if (meeting.rank() != 2) {
                                   shake_hands(meeting, settings(300ms), {});
                                 } else {
                                   meeting.put("program", std::as_bytes(std::span("test", 4)));
                                   meeting.fence(60s);
                                 }
                               },
                               {"a", "b", "c"});
  EXPECT_THAT(errors[0], AllOf(HasSubstr("rank 0 (a) waited 0.3 s"), HasSubstr("for rank 2 (c);"),
                               HasSubstr("--control-interface")));
  EXPECT_EQ(errors[1], errors[0]) << "who has come hears why it is over";
}

TEST(Handshake, SaysWhichInterfacesThereAre) {
  const auto errors = together(1, [&](Rendezvous& meeting) {
    HandshakeSettings own = settings();
    own.interface = "ib99";
    shake_hands(meeting, own, {});
  });
  EXPECT_THAT(errors[0],
              AllOf(HasSubstr("--control-interface ib99"), HasSubstr("there are"), HasSubstr("lo")));
}

// A port scanner, or a rank of another job: it is let in nowhere, and disturbs nobody.
TEST(Handshake, IgnoresStrangers) {
  const auto errors = together(2, [&](Rendezvous& meeting) {
    if (meeting.rank() == 1) {
      // The card has 16 bytes of nonce, then the port.
      meeting.put("program", std::as_bytes(std::span("test", 4)));
      const Bytes card = meeting.get(0, "control", 60s);
      ByteReader reader(card, "card");
      reader.raw(16);
      const auto address =
          unpack_address(std::as_bytes(std::span("\x7f\0\0\x01", 4)), reader.number<uint16_t>());
      const Socket garbage = connect_to(address, 60s);
      const std::string request = "GET / HTTP/1.1\r\nHost: alder\r\n\r\n....";
      ASSERT_EQ(::send(garbage.get(), request.data(), request.size(), 0),
                static_cast<ssize_t>(request.size()));
      Connection wrong_nonce(connect_to(address, 60s), {});
      wrong_nonce.queue(FrameKind::hello, 0, std::make_shared<const Bytes>(100));
      wrong_nonce.write();
      const Socket silent = connect_to(address, 60s);
      shake_hands(meeting, settings(), {});
      return;
    }
    shake_hands(meeting, settings(), {});
  });
  EXPECT_THAT(errors, Each(""));
}

}  // namespace
}  // namespace alder
