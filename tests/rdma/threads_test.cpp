// Progress threads, trainers' threads and a network with a thread of its own, all at once, while things
// break: for ThreadSanitizer, and for whatever only real time brings about.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>
#include <tuple>

#include "tests/rdma/joint_exchange.hpp"
#include "trace/session.hpp"

namespace alder::rdma {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Each;
using testing::Ne;

constexpr int kWorkers = 4;
const std::vector<std::size_t> kBuckets = {40, 100, 7};
constexpr std::size_t kElements = 147;

float value(Rank rank, uint64_t generation, std::size_t k) {
  return static_cast<float>(rank) + static_cast<float>(generation) / 1024.0F +
         static_cast<float>(k) / 65536.0F;
}

std::unique_ptr<JointExchange> make(const std::shared_ptr<fabric::Fabric>& fabric, const Tuning& tuning,
                                    FlushPolicy flush = FlushPolicy::none) {
  std::vector<Access> access;
  for (int worker = 0; worker < kWorkers; ++worker) {
    const fabric::Host host = fabric->add_host({"card0", "card1"});
    access.push_back(
        {.verbs = &fabric->verbs(host), .paths = {fabric->path(host, 0), fabric->path(host, 1)}});
    for (Path& path : access.back().paths) path.flush = flush;
  }
  return std::make_unique<JointExchange>(access, kBuckets, tuning, fabric);
}

// One worker's life: generations until the last one, or until it is told to stop.
void live(Endpoint& me, uint64_t generations, std::atomic<int>& wrong, std::atomic<int>& missing) {
  const auto soon = [] { return std::chrono::steady_clock::now() + seconds(60); };
  std::vector<float> model(kElements);
  LiveEdges edges;
  for (Rank other = 0; other < kWorkers; ++other) {
    if (other != me.rank()) edges.send_to.push_back(other);
  }
  edges.receive_from = edges.send_to;
  for (uint64_t g = 0; g < generations; ++g) {
    const Generation generation(g);
    for (std::size_t k = 0; k < kElements; ++k) model[k] = value(me.rank(), g, k);
    // The copy that is overwritten next has long left, or its edge is over.
    if (g >= 2) {
      ASSERT_THAT(me.await_released(Generation(g - 2), soon()), Each(Ne(Arrival::late)));
    }
    me.open(generation, edges);
    std::size_t offset = 0;
    for (uint32_t b = 0; b < kBuckets.size(); ++b) {
      me.publish(generation, Bucket(b), std::span(model).subspan(offset, kBuckets[b]));
      offset += kBuckets[b];
    }
    me.announce(generation, {.step = g});
    std::vector<Arrival> all = me.await_headers(generation, soon());
    for (uint32_t b = 0; b < kBuckets.size(); ++b) {
      const auto one = me.await_bucket(generation, Bucket(b), soon());
      for (std::size_t k = 0; k < all.size(); ++k) all[k] = std::max(all[k], one[k]);
    }
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (all[k] != Arrival::arrived) {
        ++missing;
        continue;
      }
      std::size_t element = 0;
      for (uint32_t b = 0; b < kBuckets.size(); ++b) {
        for (const float seen : me.slot(edges.receive_from[k], generation, Bucket(b))) {
          if (seen != value(edges.receive_from[k], g, element++)) ++wrong;
        }
      }
    }
    me.release(generation);
  }
  me.await_released(Generation(generations - 1), soon());
}

// Lets all workers live while `disturb` is called again and again.
template <typename Disturb>
void run(JointExchange& exchange, uint64_t generations, std::atomic<int>& missing, Disturb disturb) {
  std::atomic<int> wrong{0}, living{kWorkers};
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < kWorkers; ++rank) {
    threads.emplace_back([&, rank] {
      live(exchange.endpoint(rank), generations, wrong, missing);
      --living;
    });
  }
  for (int k = 0; living > 0; ++k) {
    disturb(k);
    std::this_thread::sleep_for(milliseconds(2));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, CarryOnThroughRequestsThatFail) {
  auto fabric = std::make_shared<fabric::Fabric>(fabric::Options{.real_time = true, .jitter_ns = 20'000});
  const auto exchange = make(fabric, {.chunk_bytes = 64, .data_queue_pairs = 2, .ack_timeout = 14});
  std::atomic<int> missing{0};
  run(*exchange, 150, missing, [&](int k) {
    if (k < 30) fabric->fail_request(k % kWorkers, static_cast<uint64_t>(20 + k % 30), IBV_WC_REM_OP_ERR);
  });
  int mended = 0;
  for (const EdgeNotice& notice : exchange->take_notices()) {
    EXPECT_FALSE(notice.lost) << notice.text;
    ++mended;
  }
  EXPECT_EQ(missing, 0);
  EXPECT_GT(mended, 0);
  EXPECT_EQ(fabric->receivers_not_ready(), 0u);
  EXPECT_THAT(fabric->violations(), testing::IsEmpty());
}

TEST(Threads, CarryOnWithoutAWorkerThatFails) {
  auto fabric = std::make_shared<fabric::Fabric>(fabric::Options{.real_time = true});
  const auto exchange = make(fabric, {});
  std::atomic<int> missing{0};
  run(*exchange, 60, missing, [&](int k) {
    if (k == 5) exchange->of(3).mark_failed(3);
  });
  int lost = 0;
  for (const EdgeNotice& notice : exchange->take_notices()) lost += notice.lost ? 1 : 0;
  EXPECT_GT(missing, 0);
  EXPECT_GE(lost, 6) << "three edges, at both ends, on at least one rail";
}

// While all of them work, somebody else asks what they do; and the trace has every bucket's whole way.
TEST(Threads, SayWhatTheyDoAndTraceIt) {
  constexpr uint64_t kGenerations = 40;
  constexpr int kTransfers = kWorkers * (kWorkers - 1) * static_cast<int>(kGenerations);  // of one bucket
  const auto file =
      std::filesystem::temp_directory_path() / fmt::format("alder-threads-{}.trace", ::getpid());
  auto fabric = std::make_shared<fabric::Fabric>(fabric::Options{.real_time = true});
  const auto exchange = make(fabric, {}, FlushPolicy::rdma_read);
  trace::Session session(file, {.run_id = "test", .workers = kWorkers, .local = {0, 1, 2, 3}});
  session.record(true);
  std::atomic<int> missing{0};
  int asked = 0;
  run(*exchange, kGenerations, missing, [&](int k) {
    for (const EdgeState& edge : exchange->of(k % kWorkers).edge_states()) {
      EXPECT_EQ(edge.worker, k % kWorkers);
      EXPECT_THAT(edge.text,
                  testing::AllOf(testing::HasSubstr(fmt::format("edge {}-{}", edge.worker, edge.neighbour)),
                                 testing::HasSubstr("up on card"), testing::HasSubstr(" RTS"),
                                 testing::HasSubstr("last sign of life")));
      ++asked;
    }
  });
  EXPECT_EQ(session.finish(), "");
  EXPECT_GT(asked, 0);
  EXPECT_EQ(missing, 0);
  const trace::File traced = trace::read_trace_file(file);
  std::filesystem::remove(file);
  std::map<trace::Kind, int> counts;
  std::map<std::tuple<int, int, uint64_t, uint32_t>, int64_t> landed;
  for (const trace::Record& one : traced.records) {
    ++counts[one.kind];
    const std::tuple key(one.worker, one.neighbour, one.generation, one.bucket);
    if (one.kind == trace::Kind::landed) landed[key] = one.begin;
  }
  const int buckets = static_cast<int>(kBuckets.size());
  EXPECT_EQ(counts[trace::Kind::post], buckets * kTransfers);
  EXPECT_EQ(counts[trace::Kind::sent], buckets * kTransfers);
  EXPECT_EQ(counts[trace::Kind::arrival], buckets * kTransfers);
  EXPECT_EQ(counts[trace::Kind::header_arrival], kTransfers);
  EXPECT_EQ(static_cast<int>(landed.size()), buckets * kTransfers);
  for (const trace::Record& one : traced.records) {
    if (one.kind != trace::Kind::arrival) continue;
    const auto at = landed.find({one.worker, one.neighbour, one.generation, one.bucket});
    ASSERT_NE(at, landed.end()) << "generation " << one.generation;
    EXPECT_LE(at->second, one.begin) << "before it is made visible";
  }
}

TEST(Threads, NoticeAProcessThatIsKilled) {
  auto fabric = std::make_shared<fabric::Fabric>(fabric::Options{.real_time = true});
  const auto exchange =
      make(fabric,
           {.ack_timeout = 13, .retry_count = 2, .heartbeat = milliseconds(20), .grace = milliseconds(400)});
  fabric->kill(3);
  std::atomic<int> missing{0};
  run(*exchange, 20, missing, [](int) {});
  EXPECT_GT(missing, 0);
}

}  // namespace
}  // namespace alder::rdma
