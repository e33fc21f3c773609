// Whatever the graph, the knobs, the pace of the network and what breaks: what is told to have arrived is, to
// the bit, what the neighbour published in that generation; everything is told before its deadline; and
// without a fault everything arrives.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "rdma/bf16.hpp"
#include "tests/rdma/world.hpp"

namespace alder::rdma {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class Fault { none, kill, flap, request, post, gid, partition, freeze, farewell };
constexpr const char* kFaultNames[] = {"none", "kill",      "flap",   "request", "post",
                                       "gid",  "partition", "freeze", "farewell"};

// What one worker publishes in a generation: exactly representable, and different everywhere.
float value(Rank rank, uint64_t generation, std::size_t k) {
  return static_cast<float>(rank + 1) + static_cast<float>(generation % 64) / 64.0F +
         static_cast<float>(k % 1000) / 65536.0F;
}

struct Case {
  uint64_t seed;
  Fault fault;
};
void PrintTo(const Case& one, std::ostream* out) {
  *out << "seed " << one.seed << ", fault " << kFaultNames[static_cast<int>(one.fault)];
}

class AnyRun : public testing::TestWithParam<Case> {
 protected:
  AnyRun() : random_(GetParam().seed, Draw::graph, static_cast<uint64_t>(GetParam().fault)) {
    workers_ = 2 + static_cast<int>(random_.below(4));
    draw_graph();
    WorldOptions options{.workers = workers_,
                         .buckets = draw_buckets(),
                         .tuning = draw_tuning(),
                         .fabric = draw_fabric(),
                         .edges = edges_,
                         .first_generation = Generation(random_.below(2) == 0 ? 0 : 65530),
                         .seed = GetParam().seed};
    if (options.buckets.size() > 1) options.rails = 1 + random_.below(2);
    generation_ = options.first_generation.value();
    tuning_ = options.tuning;
    buckets_ = options.buckets;
    world_ = std::make_unique<World>(std::move(options));
  }

  // A chain, and each other pair with probability 3/4, in both directions or in one.
  void draw_graph() {
    edges_.resize(static_cast<std::size_t>(workers_));
    for (Rank a = 0; a < workers_; ++a) {
      for (Rank b = 0; b < workers_; ++b) {
        if (a >= b || (b > a + 1 && random_.below(4) == 0)) continue;
        const uint32_t kind = random_.below(4);  // 0: a to b, 1: b to a, else both
        edges_[static_cast<std::size_t>(a)].push_back(
            {.neighbour = b, .sends = kind != 1, .receives = kind != 0});
        edges_[static_cast<std::size_t>(b)].push_back(
            {.neighbour = a, .sends = kind != 0, .receives = kind != 1});
      }
    }
    for (auto& edges : edges_) std::ranges::sort(edges, {}, &EdgePlan::neighbour);
  }
  std::vector<std::size_t> draw_buckets() {
    std::vector<std::size_t> buckets(1 + random_.below(5));
    for (std::size_t& bucket : buckets) bucket = 1 + random_.below(200);
    return buckets;
  }
  Tuning draw_tuning() {
    return {.wire_type = random_.below(3) == 0 ? WireType::bf16 : WireType::fp32,
            .chunk_bytes = random_.below(2) == 0 ? 0 : 4 * (1 + random_.below(64)),
            .data_queue_pairs = 1 + random_.below(4),
            .notify = random_.below(2) == 0 ? Notify::with_data : Notify::after_data,
            .send_depth = 4 + random_.below(60),
            .ack_timeout = 14,
            .spare_connections = 1 + random_.below(3)};
  }
  fabric::Options draw_fabric() {
    return {.seed = GetParam().seed,
            .latency_ns = 1000 + random_.below(100'000),
            .jitter_ns = random_.below(200'000),
            .loss = random_.below(3) == 0 ? 0.01 : 0,
            .ethernet = random_.below(2) == 0,
            .extended = random_.below(2) == 0,
            .inline_limit = random_.below(2) == 0 ? 0U : 256U,
            .port_down_ends_requests = random_.below(2) == 0};
  }

  // Which edges are live in a generation: half of them, the same at both ends.
  LiveEdges live(Rank rank, uint64_t generation) const {
    LiveEdges live;
    for (const EdgePlan& edge : edges_[static_cast<std::size_t>(rank)]) {
      const auto [low, high] = std::minmax(rank, edge.neighbour);
      const auto draw = philox4x32(
          {static_cast<uint32_t>(generation), static_cast<uint32_t>(low), static_cast<uint32_t>(high), 7},
          GetParam().seed);
      if (draw[0] % 2 == 0) continue;
      if (edge.sends) live.send_to.push_back(edge.neighbour);
      if (edge.receives) live.receive_from.push_back(edge.neighbour);
    }
    return live;
  }

  void strike();
  void run_generation(uint64_t generation);
  void hear(Rank rank, uint64_t generation);
  void check_slot(Rank rank, Rank from, uint64_t generation);

  Random random_;
  int workers_ = 2;
  std::vector<std::vector<EdgePlan>> edges_;
  std::vector<std::size_t> buckets_;
  Tuning tuning_;
  uint64_t generation_ = 0;
  std::unique_ptr<World> world_;
  std::set<Rank> gone_;
  int missing_ = 0;
};

// The fault falls at a random moment: after a random number of the network's events.
void AnyRun::strike() {
  const auto victim = static_cast<Rank>(random_.below(static_cast<uint32_t>(workers_)));
  const Rank other = (victim + 1) % workers_;
  fabric::Fabric& fabric = world_->fabric();
  switch (GetParam().fault) {
    case Fault::none:
      return;
    case Fault::kill:
      world_->kill(victim);
      gone_.insert(victim);
      return;
    case Fault::flap:
      fabric.set_port(victim, false);
      world_->pass(milliseconds(random_.below(400)));
      fabric.set_port(victim, true);
      return;
    case Fault::request: {
      constexpr ibv_wc_status kStatuses[] = {IBV_WC_RETRY_EXC_ERR, IBV_WC_REM_OP_ERR, IBV_WC_LOC_PROT_ERR};
      fabric.fail_request(victim, random_.below(40), kStatuses[random_.below(3)]);
      return;
    }
    case Fault::post:
      fabric.fail_post(victim, random_.below(40), ENOMEM);
      return;
    case Fault::gid:
      fabric.change_gid(victim);
      return;
    case Fault::partition:
      fabric.set_reachable(victim, other, false);
      world_->pass(milliseconds(random_.below(500)));
      fabric.set_reachable(victim, other, true);
      return;
    case Fault::freeze:
      world_->freeze(victim, true);
      gone_.insert(victim);
      return;
    case Fault::farewell:
      world_->exchange(victim).mark_failed(victim);
      gone_.insert(victim);
      return;
  }
}

void AnyRun::run_generation(uint64_t generation) {
  const Generation g(generation);
  for (Rank rank = 0; rank < workers_; ++rank) {
    if (gone_.contains(rank)) continue;
    VerbsEndpoint& me = world_->endpoint(rank);
    // The array of two generations ago: nobody sends from it any more.
    if (generation >= generation_ + 2) {
      ASSERT_THAT(me.await_released(Generation(generation - 2), world_->in(seconds(20))),
                  testing::Each(testing::Ne(Arrival::late)));
    }
    const std::span<float> array = world_->array(rank, generation % 2);
    for (std::size_t k = 0; k < array.size(); ++k) array[k] = value(rank, generation, k);
    me.open(g, live(rank, generation));
    std::size_t offset = 0;
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      me.publish(g, Bucket(static_cast<uint32_t>(b)), array.subspan(offset, buckets_[b]));
      offset += buckets_[b];
    }
    me.announce(g, {.step = generation, .loss = static_cast<float>(rank)});
  }
  for (Rank rank = 0; rank < workers_; ++rank) {
    if (!gone_.contains(rank)) hear(rank, generation);
  }
}

void AnyRun::hear(Rank rank, uint64_t generation) {
  const Generation g(generation);
  VerbsEndpoint& me = world_->endpoint(rank);
  const std::vector<Rank> from = live(rank, generation).receive_from;
  const std::vector<Arrival> headers = me.await_headers(g, world_->in(seconds(20)));
  std::vector<bool> whole(from.size(), true);
  std::vector<uint64_t> readings;
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const std::vector<Arrival> arrivals =
        me.await_bucket(g, Bucket(static_cast<uint32_t>(b)), world_->in(seconds(20)));
    for (std::size_t k = 0; k < from.size(); ++k) {
      EXPECT_NE(arrivals[k], Arrival::late) << "worker " << rank << " of worker " << from[k]
                                            << ", generation " << generation << ", bucket " << b << "\n"
                                            << world_->all_notices();
      whole[k] = whole[k] && arrivals[k] == Arrival::arrived;
      if (arrivals[k] != Arrival::arrived || tuning_.wire_type != WireType::fp32) continue;
      const auto slot = me.slot(from[k], g, Bucket(static_cast<uint32_t>(b)));
      readings.push_back(world_->fabric().begin_read(slot.data(), slot.size_bytes()));
    }
  }
  for (std::size_t k = 0; k < from.size(); ++k) {
    EXPECT_NE(headers[k], Arrival::late);
    if (headers[k] == Arrival::arrived) {
      EXPECT_EQ(me.header(from[k], g).step, generation);
      EXPECT_EQ(me.header(from[k], g).loss, static_cast<float>(from[k]));
    }
    if (headers[k] == Arrival::arrived && whole[k]) {
      check_slot(rank, from[k], generation);
    } else {
      ++missing_;
    }
  }
  for (const uint64_t reading : readings) world_->fabric().end_read(reading);
  me.release(g);
}

void AnyRun::check_slot(Rank rank, Rank from, uint64_t generation) {
  std::size_t element = 0;
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const auto slot =
        world_->endpoint(rank).slot(from, Generation(generation), Bucket(static_cast<uint32_t>(b)));
    for (std::size_t k = 0; k < slot.size(); ++k, ++element) {
      float expected = value(from, generation, element);
      if (tuning_.wire_type == WireType::bf16) {
        const float own = value(rank, generation, element);
        expected = from_bf16(to_bf16(expected)) + (own - from_bf16(to_bf16(own)));
      }
      ASSERT_EQ(slot[k], expected) << "element " << element << " of worker " << from << " at worker " << rank
                                   << " in generation " << generation;
    }
  }
}

TEST_P(AnyRun, DeliversExactlyWhatWasPublishedOrSaysThatItFailed) {
  world_->connect();
  constexpr uint64_t kGenerations = 14;
  const uint64_t last = generation_ + kGenerations;
  const uint64_t fateful = generation_ + random_.below(kGenerations - 4);
  for (uint64_t g = generation_; g < last; ++g) {
    if (g == fateful) {
      // Somewhere in the middle of what is under way.
      const uint64_t events = world_->fabric().events_run() + random_.below(60);
      world_->run_until([&] { return world_->fabric().events_run() >= events; }, milliseconds(5));
      strike();
    }
    run_generation(g);
    if (HasFatalFailure()) return;
  }
  EXPECT_THAT(world_->fabric().violations(), testing::IsEmpty());
  EXPECT_EQ(world_->fabric().receivers_not_ready(), 0u) << "receives are posted before they can be needed";
  bool lost = false;
  for (const EdgeNotice& notice : world_->notices()) lost = lost || notice.lost;
  if (GetParam().fault == Fault::none) {
    EXPECT_EQ(missing_, 0);
    EXPECT_FALSE(lost) << world_->all_notices();
  }
  EXPECT_TRUE(lost || missing_ == 0) << "something is missing, and no edge says why";
  for (Rank rank = 0; rank < workers_; ++rank) world_->freeze(rank, false);
  EXPECT_EQ(world_->end_all(), "");
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    for (int fault = 0; fault <= static_cast<int>(Fault::farewell); ++fault) {
      all.push_back({seed, static_cast<Fault>(fault)});
    }
  }
  return all;
}

std::string name_of_case(const testing::TestParamInfo<Case>& one) {
  return fmt::format("{}_{}", kFaultNames[static_cast<int>(one.param.fault)], one.param.seed);
}
INSTANTIATE_TEST_SUITE_P(Fabric, AnyRun, testing::ValuesIn(cases()), name_of_case);

}  // namespace
}  // namespace alder::rdma
