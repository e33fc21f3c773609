// What can go wrong before the first model travels, and what is said then.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "base/error.hpp"
#include "tests/rdma/joint_exchange.hpp"
#include "tests/rdma/world.hpp"

namespace alder::rdma {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Setup, NamesTheDevicesThatThereAre) {
  fabric::Fabric fabric({});
  fabric.add_host({"card0", "card10"});
  EXPECT_THAT(device_names(fabric.verbs(0)), testing::ElementsAre("card0", "card10"));
  EXPECT_EQ(error_of([&] { open_device(fabric.verbs(0), "card1"); }),
            "there is no RDMA device 'card1'; there are: card0, card10");
  EXPECT_EQ(fabric.leaks(), "");
}

TEST(Setup, KnowsAMachineWithoutDevices) {
  fabric::Fabric fabric({});
  fabric.add_host({});
  EXPECT_EQ(error_of([&] { open_device(fabric.verbs(0), "card0"); }),
            "there is no RDMA device 'card0'; this machine has none");
}

TEST(Setup, RefusesAPortThatIsDown) {
  World world({.workers = 2});
  world.fabric().set_port(0, false);
  EXPECT_THAT(error_of([&] { world.make_exchanges(); }),
              AllOf(HasSubstr("port card0_0:1 is not active"), HasSubstr("subnet manager")));
}

TEST(Setup, SpeaksOfTheLimitOnLockedMemoryWhenMemoryIsRefused) {
  World world({.workers = 2});
  world.fabric().refuse_registration(0, 0, ENOMEM);
  EXPECT_THAT(error_of([&] { world.make_exchanges(); }),
              AllOf(HasSubstr("ibv_reg_mr of"), HasSubstr("Cannot allocate memory"), HasSubstr("ulimit -l")));
}

TEST(Setup, SaysWhatWouldNotFitIntoACompletionQueue) {
  World world({.workers = 3, .fabric = {.max_cqe = 500}});
  EXPECT_THAT(error_of([&] { world.make_exchanges(); }),
              AllOf(HasSubstr("up to 500 entries, and its edges need"), HasSubstr("lower send_depth")));
}

TEST(Setup, NamesWhoDidNotSayHello) {
  World world({.workers = 2, .tuning = {.connect_deadline = milliseconds(400)}});
  world.make_exchanges();
  world.start();
  world.freeze(1, true);
  EXPECT_THAT(error_of([&] { world.exchange(0).await_edges(); }),
              HasSubstr("edge 0-1: worker 1 on localhost did not say hello within 0.4 s"));
}

TEST(Setup, NamesTheAddressThatCannotBeReached) {
  World world({.workers = 2});
  world.make_exchanges();
  world.start();
  world.fabric().set_reachable(0, 1, false);
  EXPECT_THAT(error_of([&] { world.exchange(0).await_edges(); }),
              AllOf(HasSubstr("edge 0-1: a control message on queue pair 0x"),
                    HasSubstr("'transport retry counter exceeded'"), HasSubstr("GID fd00::1:0:1")));
}

// Two processes that do not agree, each in a thread of its own as make_verbs_exchange wants it.
std::vector<std::string> errors_of_two(const std::function<void(int rank, ExchangePlan&)>& change,
                                       const std::function<void(Rendezvous&)>& meddle = {}) {
  fabric::Fabric fabric({.real_time = true});
  LocalMeeting meeting(2, {"left", "right"});
  std::vector<std::string> errors(2);
  std::vector<std::thread> threads;
  std::latch both_ready(2);  // whoever leaves at once would be gone before the other has seen the edge stand
  for (Rank rank = 0; rank < 2; ++rank) fabric.add_host({"card"});
  for (Rank rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      const auto rendezvous = meeting.join(rank);
      ExchangePlan plan{.workers = 2,
                        .rank = rank,
                        .edges = edges_to_all(rank, 2),
                        .buckets = {16},
                        .paths = {fabric.path(rank)},
                        .flush_cuda = {}};
      change(rank, plan);
      std::unique_ptr<Exchange> exchange;
      errors[static_cast<std::size_t>(rank)] = error_of([&] {
        if (meddle && rank == 1) meddle(*rendezvous);
        exchange = make_verbs_exchange(fabric.verbs(rank), *rendezvous, plan);
      });
      both_ready.arrive_and_wait();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fabric.leaks(), "");
  return errors;
}

TEST(Setup, ConnectsTwoProcessesThatAgree) {
  EXPECT_THAT(errors_of_two([](int, ExchangePlan&) {}), testing::Each("no error"));
}

TEST(Setup, RefusesProcessesThatDoNotAgreeNamingBothHosts) {
  const auto errors =
      errors_of_two([](int rank, ExchangePlan& plan) { plan.graph_hash = static_cast<uint64_t>(rank); });
  for (const std::string& error : errors) {
    EXPECT_THAT(error, AllOf(HasSubstr("the graph hash differs"), HasSubstr("(left)"), HasSubstr("(right)")));
  }
}

TEST(Setup, UsesTheSmallerMtuAndChunkOfBothEnds) {
  EXPECT_THAT(errors_of_two([](int rank, ExchangePlan& plan) {
                plan.paths[0].mtu = rank == 0 ? IBV_MTU_1024 : IBV_MTU_4096;
                plan.tuning.chunk_bytes = rank == 0 ? 8 : 24;
              }),
              testing::Each("no error"));
}

TEST(Setup, NamesTheOneWhoseDescriptorIsGarbage) {
  const auto errors = errors_of_two([](int, ExchangePlan&) {},
                                    [](Rendezvous& rendezvous) {
                                      const std::vector<std::byte> garbage(100, std::byte{0x5A});
                                      rendezvous.put("verbs.0", garbage);
                                      rendezvous.fence(milliseconds(30000));
                                      rendezvous.fence(milliseconds(3000));
                                      fail("gone");
                                    });
  EXPECT_THAT(errors[0],
              AllOf(HasSubstr("edge 0-1: the descriptor of worker 1 on right is of no use to worker 0 on "
                              "left: it begins with 0x5a5a5a5a")));
}

TEST(Setup, RefusesPlansThatCannotBe) {
  fabric::Fabric fabric({});
  fabric.add_host({"card"});
  LocalMeeting meeting(2);
  const auto rendezvous = meeting.join(0);
  const auto error = [&](const ExchangePlan& plan) {
    return error_of([&] { VerbsExchange(fabric.verbs(0), *rendezvous, plan, {}); });
  };
  ExchangePlan plan{
      .workers = 2, .rank = 0, .edges = {{.neighbour = 1}}, .buckets = {4}, .paths = {}, .flush_cuda = {}};
  EXPECT_THAT(error(plan), HasSubstr("worker 0 has 1 neighbours to reach by verbs, and no port"));
  plan.paths = {fabric.path(0), fabric.path(0)};
  EXPECT_THAT(error(plan), HasSubstr("2 ports for 1 buckets"));
  plan.paths = {fabric.path(0)};
  plan.edges = {{.neighbour = 2}};
  EXPECT_THAT(error(plan), HasSubstr("the edges of worker 0 of 2 name worker 2"));
  plan.edges = {{.neighbour = 1}};
  plan.buckets = {};
  EXPECT_THAT(error(plan), HasSubstr("0 buckets; the verbs exchange carries 1 to 512"));
  plan.buckets = {4, 0};
  EXPECT_THAT(error(plan), HasSubstr("bucket 1 of the model is empty"));
}

TEST(Setup, CountsTheBytesItWillRegister) {
  ExchangePlan plan{.workers = 3,
                    .rank = 0,
                    .edges = {{.neighbour = 1}, {.neighbour = 2, .receives = false}},
                    .buckets = {1000},
                    .paths = {},
                    .tuning = {.spare_connections = 0},
                    .flush_cuda = {}};
  const uint64_t records = 2 * sizeof(ConnectionRecords);
  EXPECT_EQ(registered_bytes(plan, 12000), 2 * 4096 + records + 12000);
  plan.tuning.wire_type = WireType::bf16;
  EXPECT_EQ(registered_bytes(plan, 12000), 2 * 4096 + records + 6000);
}

}  // namespace
}  // namespace alder::rdma
