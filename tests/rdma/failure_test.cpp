// What breaks, what is mended, what is given up, how soon, and what is said about it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "tests/rdma/world.hpp"

namespace alder::rdma {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr milliseconds kDetection{3000};

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

double seconds_since(const World& world, int64_t begin_ns) {
  return static_cast<double>(world.now_ns() - begin_ns) * 1e-9;
}

// A chunked model on two rails with two queue pairs each, so that a break finds something half done.
WorldOptions in_pieces(int workers = 3) {
  return {.workers = workers,
          .buckets = {100, 300, 50},
          .tuning = {.chunk_bytes = 64, .data_queue_pairs = 2},
          .fabric = {.jitter_ns = 10'000},
          .rails = 2};
}

// ---- death and silence ----

TEST(Failure, OfAKilledWorkerIsNoticedWithinThreeSecondsAndTheOthersGoOn) {
  World world({.workers = 3});
  world.connect();
  ASSERT_TRUE(world.run_generation(0));
  world.kill(2);
  const int64_t begin = world.now_ns();
  for (const Rank rank : {0, 1}) world.offer(rank, 1);
  EXPECT_THAT(world.hear(0, 1), ElementsAre(Arrival::arrived, Arrival::failed));
  EXPECT_LT(seconds_since(world, begin), 3.0);
  EXPECT_THAT(world.hear(1, 1), ElementsAre(Arrival::arrived, Arrival::failed));
  EXPECT_THAT(world.endpoint(0).await_released(Generation(1), world.in(seconds(1))),
              ElementsAre(Arrival::arrived, Arrival::failed));
  for (const Rank rank : {0, 1}) world.endpoint(rank).release(Generation(1));
  for (uint64_t g = 2; g < 6; ++g) {
    for (const Rank rank : {0, 1}) world.offer(rank, g);
    for (const Rank rank : {0, 1}) {
      EXPECT_THAT(world.hear(rank, g), ElementsAre(Arrival::arrived, Arrival::failed));
      EXPECT_TRUE(world.holds(rank, 1 - rank, g));
      world.endpoint(rank).release(Generation(g));
    }
  }
}

TEST(Failure, OfAStoppedProcessIsNoticedThoughItsCardAnswers) {
  World world({.workers = 2});
  world.connect();
  ASSERT_TRUE(world.run_generation(0));
  world.freeze(1, true);
  const int64_t begin = world.now_ns();
  world.offer(0, 1);
  EXPECT_THAT(world.hear(0, 1), ElementsAre(Arrival::failed));
  EXPECT_LT(seconds_since(world, begin), 3.0);
  EXPECT_THAT(world.all_notices(),
              AllOf(HasSubstr("edge 0-1: no sign of life from worker 1 on localhost for 2.8 s"),
                    HasSubstr("its process is stopped")));
}

TEST(Failure, OfAnIdleEdgesNeighbourIsNoticedToo) {
  World world({.workers = 2});
  world.connect();
  world.kill(1);
  EXPECT_TRUE(world.run_until([&] { return world.endpoint(0).edge_over(1); }, kDetection));
}

TEST(Failure, ToldByTheLauncherEndsTheEdgeAtOnce) {
  World world({.workers = 2});
  world.connect();
  world.kill(1);
  world.meeting().mark_ended(1);
  const int64_t begin = world.now_ns();
  world.offer(0, 0);
  EXPECT_THAT(world.hear(0, 0), ElementsAre(Arrival::failed));
  EXPECT_LT(seconds_since(world, begin), 0.3);
  EXPECT_THAT(world.all_notices(),
              HasSubstr("the launcher says that the process of worker 1 on localhost has ended"));
}

TEST(Failure, SaysWhatWhereAtBothEndsSinceWhenAndWhyProbably) {
  World world({.workers = 2, .buckets = {64, 32}});
  world.connect();
  ASSERT_TRUE(world.run_generation(0));
  for (const Rank rank : {0, 1}) {
    ASSERT_THAT(world.endpoint(rank).await_released(Generation(0), world.in(seconds(1))),
                ElementsAre(Arrival::arrived));
  }
  world.pass(milliseconds(5));
  world.kill(1);
  VerbsEndpoint& me = world.endpoint(0);
  me.open(Generation(1), {.send_to = {1}, .receive_from = {1}});
  me.publish(Generation(1), Bucket(0), world.array(0, 1).first(64));
  me.publish(Generation(1), Bucket(1), world.array(0, 1).last(32));
  EXPECT_THAT(me.await_bucket(Generation(1), Bucket(0), world.in(seconds(5))), ElementsAre(Arrival::failed));
  ASSERT_THAT(world.notices(), SizeIs(1));
  const EdgeNotice& notice = world.notices().front();
  EXPECT_TRUE(notice.lost);
  EXPECT_EQ(notice.worker, 0);
  EXPECT_EQ(notice.neighbour, 1);
  EXPECT_EQ(notice.generation, Generation(1));
  EXPECT_GT(notice.seconds, 0);
  EXPECT_THAT(
      notice.text,
      AllOf(HasSubstr("edge 0-1: the write of bucket 0 of generation 1 on queue pair 0x"),
            HasSubstr("of card0_0:1 ended with 'transport retry counter exceeded' (12), vendor error 0x8c"),
            HasSubstr("worker 0 (localhost card0_0:1, LID 0, GID fd00::1, queue pairs 0x"),
            HasSubstr("to worker 1 (localhost card1_0:1, LID 0, GID fd00::1:0:1, queue pairs 0x"),
            HasSubstr("Buckets posted 4, sent 2, received 2"),
            HasSubstr("last posted: generation 1, bucket 1"), HasSubstr("Last sign of life"),
            HasSubstr("most likely first: the neighbour's process has ended; its port or cable is down")));
}

// Dead after any number of the network's events: within a bucket, between buckets, before a credit, ...
TEST(Failure, AtAnyMomentEndsInADocumentedFailureNeverInAWait) {
  for (uint64_t moment = 0; moment < 160; ++moment) {
    SCOPED_TRACE(fmt::format("killed after {} events", moment));
    World world(in_pieces(2));
    world.connect();
    const uint64_t fateful = world.fabric().events_run() + moment;
    const auto reap = [&] {
      if (world.alive(1) && world.fabric().events_run() >= fateful) world.kill(1);
      return !world.alive(1);
    };
    for (uint64_t g = 0; g < 4 && !reap(); ++g) {
      for (const Rank rank : {0, 1}) world.offer(rank, g);
      world.run_until(reap, milliseconds(1));
      if (!world.alive(1)) break;
      for (const Rank rank : {0, 1}) {
        world.hear(rank, g);
        world.endpoint(rank).release(Generation(g));
      }
    }
    if (world.alive(1)) world.kill(1);
    const int64_t begin = world.now_ns();
    ASSERT_TRUE(world.run_until([&] { return world.endpoint(0).edge_over(1); }, kDetection));
    EXPECT_LE(seconds_since(world, begin), 3.0);
    EXPECT_THAT(world.all_notices(), HasSubstr("edge 0-1: "));
    EXPECT_THAT(world.fabric().violations(), IsEmpty());
  }
}

// ---- breaks that are mended ----

TEST(Mending, SendsAgainWhatARequestThatFailedDidNotCarry) {
  constexpr ibv_wc_status kStatuses[] = {IBV_WC_RETRY_EXC_ERR, IBV_WC_REM_OP_ERR, IBV_WC_LOC_PROT_ERR,
                                         IBV_WC_GENERAL_ERR};
  for (uint64_t k = 0; k < 40; ++k) {
    SCOPED_TRACE(fmt::format("request {} fails", k));
    World world(in_pieces());
    world.connect();
    world.fabric().fail_request(1, k, kStatuses[k % 4]);
    for (uint64_t g = 0; g < 4; ++g) ASSERT_TRUE(world.run_generation(g)) << "generation " << g;
    EXPECT_THAT(world.all_notices(), HasSubstr("connected again"));
    for (const EdgeNotice& notice : world.notices()) EXPECT_FALSE(notice.lost) << notice.text;
    EXPECT_THAT(world.fabric().violations(), IsEmpty());
    EXPECT_EQ(world.end_all(), "");
  }
}

// A queue pair of worker 1 fails; before its thread sees that, the others bring it a bucket, which its card
// acknowledges. The bucket must count: its sender will not send it again.
TEST(Mending, CountsWhatArrivedBetweenABreakAndItsDiscovery) {
  for (const FlushPolicy policy : {FlushPolicy::none, FlushPolicy::rdma_read}) {
    World world({.workers = 2, .flush = policy});
    world.connect();
    ASSERT_TRUE(world.run_generation(0));
    world.pass(milliseconds(5));
    world.fabric().fail_request(1, 1, IBV_WC_REM_OP_ERR);  // its header, after its bucket
    world.offer(1, 1);
    world.exchange(1).step();
    world.freeze(1, true);
    world.pass(milliseconds(5));
    world.offer(0, 1);
    world.pass(milliseconds(5));
    world.freeze(1, false);
    for (const Rank rank : {0, 1}) {
      EXPECT_THAT(world.hear(rank, 1), ElementsAre(Arrival::arrived)) << world.all_notices();
      EXPECT_TRUE(world.holds(rank, 1 - rank, 1));
      world.endpoint(rank).release(Generation(1));
    }
    EXPECT_TRUE(world.run_generation(2));
    for (const EdgeNotice& notice : world.notices()) EXPECT_FALSE(notice.lost) << notice.text;
    EXPECT_THAT(world.notices(), Not(IsEmpty()));
  }
}

TEST(Mending, SurvivesAPostThatIsRefused) {
  for (uint64_t k = 0; k < 20; ++k) {
    World world(in_pieces(2));
    world.connect();
    world.fabric().fail_post(0, k, ENOMEM);
    for (uint64_t g = 0; g < 4; ++g)
      ASSERT_TRUE(world.run_generation(g)) << "post " << k << ", generation " << g;
    EXPECT_THAT(world.all_notices(), HasSubstr("Cannot allocate memory"));
  }
}

TEST(Mending, OutlastsAPortThatComesBackWithinTheGrace) {
  for (const bool at_once : {false, true}) {
    WorldOptions options = in_pieces();
    options.fabric.port_down_ends_requests = at_once;
    World world(options);
    world.connect();
    ASSERT_TRUE(world.run_generation(0));
    for (const Rank rank : {0, 1, 2}) world.offer(rank, 1);
    world.fabric().set_port(1, false);
    world.pass(milliseconds(2000));
    world.fabric().set_port(1, true);
    for (const Rank rank : {0, 1, 2}) {
      EXPECT_THAT(world.hear(rank, 1), Each(Arrival::arrived)) << world.all_notices();
      for (const Rank from : world.others(rank)) EXPECT_TRUE(world.holds(rank, from, 1));
    }
    for (const Rank rank : {0, 1, 2}) world.endpoint(rank).release(Generation(1));
    EXPECT_TRUE(world.run_generation(2));
    EXPECT_THAT(world.all_notices(), HasSubstr("connected again"));
    EXPECT_EQ(world.end_all(), "");
  }
}

TEST(Mending, GivesUpAPortThatStaysDownAndSaysSo) {
  World world({.workers = 2});
  world.connect();
  world.offer(0, 0);
  world.offer(1, 0);
  world.fabric().set_port(0, false);
  EXPECT_THAT(world.hear(0, 0), ElementsAre(Arrival::failed));
  EXPECT_THAT(world.hear(1, 0), ElementsAre(Arrival::failed));
  EXPECT_THAT(world.all_notices(),
              AllOf(HasSubstr("no other connection stood within 2.8 s (our port is down)"),
                    HasSubstr("device events: port error")));
}

// The grace ends before the device gives up: all that is known is the silence, and the port.
TEST(Mending, BlamesItsOwnPortBeforeAnyRequestHasFailed) {
  World world({.workers = 2, .tuning = {.ack_timeout = 20}});
  world.connect();
  world.offer(0, 0);
  world.fabric().set_port(0, false);
  EXPECT_THAT(world.hear(0, 0), ElementsAre(Arrival::failed));
  EXPECT_THAT(world.all_notices(), HasSubstr("for 2.8 s, and our port is down"));
}

TEST(Mending, ReplacesTheConnectionsItUsesUp) {
  WorldOptions options = in_pieces(2);
  options.tuning.spare_connections = 1;
  World world(options);
  world.connect();
  // Many more breaks than there are connections to begin with.
  for (uint64_t g = 0; g < 12; ++g) {
    world.fabric().fail_request(static_cast<fabric::Host>(g % 2), 3, IBV_WC_REM_OP_ERR);
    ASSERT_TRUE(world.run_generation(g)) << "generation " << g << "\n" << world.all_notices();
  }
  EXPECT_GE(world.notices().size(), 12u);
}

TEST(Mending, IsNotTriedWithoutSpareConnections) {
  WorldOptions options = in_pieces(2);
  options.tuning.spare_connections = 0;
  World world(options);
  world.connect();
  world.fabric().fail_request(0, 5, IBV_WC_REM_OP_ERR);
  world.offer(0, 0);
  world.offer(1, 0);
  EXPECT_THAT(world.hear(1, 0), ElementsAre(Arrival::failed));
  EXPECT_THAT(world.all_notices(), HasSubstr("no spare connection is kept"));
}

TEST(Mending, NamesTheAddressThatChanged) {
  World world({.workers = 2});
  world.connect();
  world.fabric().change_gid(1);
  world.offer(0, 0);
  world.offer(1, 0);
  EXPECT_THAT(world.hear(1, 0), ElementsAre(Arrival::failed));
  EXPECT_THAT(world.hear(0, 0), ElementsAre(Arrival::failed));
  EXPECT_THAT(world.all_notices(), HasSubstr("GID 1 of card1_0:1 was fd00::1:0:1 and is fd00::1:0:2 now"));
}

TEST(Mending, EndsWhereTheSlotsCannotBeRegisteredAgain) {
  World world({.workers = 2});
  world.connect();
  ASSERT_TRUE(world.run_generation(0));
  world.fabric().refuse_registration(1, 0, ENOMEM);
  world.fabric().fail_request(0, 0, IBV_WC_REM_OP_ERR);
  world.offer(0, 1);
  world.offer(1, 1);
  EXPECT_THAT(world.hear(0, 1), ElementsAre(Arrival::failed));
  EXPECT_THAT(world.all_notices(), AllOf(HasSubstr("edge 1-0: the slots cannot be registered: ibv_reg_mr of"),
                                         HasSubstr("limit on locked memory")));
}

// ---- bugs that must show ----

TEST(Bugs, AReceiverThatIsNotReadyBreaksTheConnectionAndIsNamed) {
  World world({.workers = 2, .tuning = {.spare_connections = 2}});
  world.make_exchanges();
  world.fabric().lose_receives(1, 1);  // the first one of the first connection's control queue pair
  world.start();
  for (const Rank rank : {0, 1}) world.exchange(rank).await_edges();
  for (uint64_t g = 0; g < 12; ++g) ASSERT_TRUE(world.run_generation(g)) << world.all_notices();
  EXPECT_THAT(world.notices(), IsEmpty()) << "one receive is spared for such things";

  world.fabric().lose_receives(1, 1000);
  for (uint64_t g = 12; g < 40; ++g) {
    for (const Rank rank : {0, 1}) world.offer(rank, g);
    world.hear(0, g);
    world.hear(1, g);
    for (const Rank rank : {0, 1}) world.endpoint(rank).release(Generation(g));
  }
  EXPECT_GT(world.fabric().receivers_not_ready(), 0u);
  EXPECT_THAT(world.all_notices(), AllOf(HasSubstr("'RNR retry counter exceeded' (13)"),
                                         HasSubstr("receives were not posted in time, which is a bug")));
}

TEST(Bugs, ACompletionQueueThatOverrunsEndsAllEdgesOfItsPort) {
  World world(
      {.workers = 3, .buckets = {100, 300, 50}, .tuning = {.chunk_bytes = 64, .data_queue_pairs = 2}});
  world.fabric().shorten_queues(0, 6);
  world.make_exchanges();
  world.start();
  for (const Rank rank : {0, 1, 2}) {
    world.run_until([&] { return world.endpoint(0).edge_over(1) && world.endpoint(0).edge_over(2); },
                    seconds(1));
    if (rank == 0) {
      world.offer(0, 0);
      world.offer(1, 0);
      world.offer(2, 0);
      // The wire brings more than the queue holds before its worker turns.
      world.freeze(0, true);
      world.pass(milliseconds(10));
      world.freeze(0, false);
    }
  }
  EXPECT_THAT(world.hear(0, 0), Each(Arrival::failed));
  EXPECT_THAT(world.all_notices(), HasSubstr("completion queue of card0_0:1"));
}

// ---- orderly ends ----

TEST(End, InGoodOrderLosesNothingAndLeavesNothingBehind) {
  World world(in_pieces());
  world.connect();
  for (uint64_t g = 0; g < 3; ++g) ASSERT_TRUE(world.run_generation(g));
  EXPECT_EQ(world.end_all(), "");
  EXPECT_THAT(world.notices(), IsEmpty());
}

TEST(End, LetsASlowNeighbourStillReadTheLastModel) {
  World world(in_pieces(2));
  world.connect();
  ASSERT_TRUE(world.run_generation(0));
  world.offer(0, 1);
  world.offer(1, 1);
  ASSERT_THAT(world.hear(0, 1), ElementsAre(Arrival::arrived));
  world.endpoint(0).release(Generation(1));
  world.end(0);
  ASSERT_TRUE(world.run_until([&] { return world.endpoint(1).edge_over(0); }, seconds(2)));
  EXPECT_THAT(world.hear(1, 1), ElementsAre(Arrival::arrived)) << "it was there before the neighbour left";
  EXPECT_TRUE(world.holds(1, 0, 1));
  world.endpoint(1).release(Generation(1));
  world.offer(1, 2);
  EXPECT_THAT(world.hear(1, 2), ElementsAre(Arrival::failed));
  EXPECT_THAT(world.notices(), IsEmpty()) << "nothing was lost";
}

TEST(End, OfAZombieDoesNotReachTheSlots) {
  World world({.workers = 2, .buckets = {256}});
  world.connect();
  ASSERT_TRUE(world.run_generation(0));
  // Worker 1 stops with a generation about to leave, is given up, and comes back to life.
  world.offer(1, 1);
  world.freeze(1, true);
  world.offer(0, 1);
  const auto slot_before = [&] { return world.hear(0, 1); }();
  EXPECT_THAT(slot_before, ElementsAre(Arrival::failed));
  const uint64_t carried = world.fabric().bytes_carried();
  world.freeze(1, false);
  EXPECT_TRUE(world.run_until([&] { return world.endpoint(1).edge_over(0); }, seconds(10)));
  EXPECT_EQ(world.fabric().bytes_carried(), carried) << "nothing of it was taken";
  EXPECT_THAT(world.all_notices(), HasSubstr("edge 1-0: "));
}

// ---- arrivals that hide ----

TEST(Visibility, OfPayloadsMayComeAfterTheirCompletionAndIsForcedByAFlush) {
  for (const FlushPolicy policy : {FlushPolicy::none, FlushPolicy::rdma_read}) {
    World world({.workers = 2, .buckets = {64, 500}, .flush = policy});
    world.connect();
    ASSERT_TRUE(world.run_generation(0)) << "while memory is prompt";
    const float* const slots = world.endpoint(0).slots_of(1);
    world.fabric().delay_visibility(0, slots, 2 * 4096, 50'000'000);
    bool right = true;
    for (uint64_t g = 1; g < 5; ++g) right = world.run_generation(g) && right;
    EXPECT_EQ(right, policy == FlushPolicy::rdma_read);
    EXPECT_THAT(world.notices(), IsEmpty());
  }
}

}  // namespace
}  // namespace alder::rdma
