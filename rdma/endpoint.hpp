// The worker's side of the verbs exchange: checks its calls, sends orders to the rails, and keeps the picture
// that their events paint.
//
// Threads: the trainer's, except worker_failed().
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "launch/rendezvous.hpp"
#include "rdma/exchange.hpp"
#include "rdma/rail.hpp"
#include "rdma/sources.hpp"

namespace alder::rdma {

class VerbsEndpoint final : public SignalledEndpoint {
 public:
  struct Parts {
    const ExchangePlan* plan;
    const SlotLayout* layout;
    std::vector<const std::byte*> slots;  // by edge; null where nothing is received
    std::vector<uint32_t> rails_of_edge;  // the edge's bucket b travels on rail b % this
    std::vector<Rail*> rails;
    Sources* sources;
    Bell* bell;
    TimeSource* time;
    Rendezvous* rendezvous;
  };
  explicit VerbsEndpoint(Parts parts);

  Rank rank() const override { return parts_.plan->rank; }
  void open(Generation generation, const LiveEdges& live) override;
  void publish(Generation generation, Bucket bucket, std::span<const float> source) override;
  void announce(Generation generation, const Header& header) override;
  std::vector<Arrival> await_headers(Generation generation, Deadline deadline) override;
  std::vector<Arrival> await_bucket(Generation generation, Bucket bucket, Deadline deadline) override;
  Header header(Rank neighbour, Generation generation) const override;
  std::span<const float> slot(Rank neighbour, Generation generation, Bucket bucket) const override;
  void release(Generation generation) override;
  std::vector<Arrival> await_released(Generation generation, Deadline deadline) override;
  int64_t bytes_sent(Rank neighbour) const override;

  void signal_arrivals(std::span<std::atomic<uint64_t>* const> words) override;
  void proceed(Generation generation, Bucket bucket) override;
  void publish_after(const Gate& gate, Generation generation, Bucket bucket,
                     std::span<const float> source) override;
  void release_after(const Gate& gate, Generation generation) override;

  // Until all edges stand on all rails, or one is over, or the deadline has passed. Whether they all stand.
  bool await_edges_up(Deadline deadline);
  // Sends everybody home: until all edges are over or the deadline has passed.
  void close(Deadline deadline);
  // From any thread.
  void worker_failed();
  Generation last_opened() const { return Generation(last_opened_.load(std::memory_order_relaxed)); }
  // Whether the edge to this neighbour is over, as far as this thread has heard. For tests.
  bool edge_over(Rank neighbour);

 private:
  // A neighbour's generation as far as it has arrived, one for each slot.
  struct Inbox {
    bool used = false;
    uint64_t generation = 0;
    bool header_here = false;
    Header header{};
    std::vector<bool> buckets;
  };
  struct Neighbour {
    EdgePlan plan;
    const std::byte* slots = nullptr;
    uint32_t rails = 1;
    std::array<Inbox, 2> inbox;
    std::vector<uint64_t> newest;  // by bucket: 1 + the last generation that arrived
    uint64_t newest_header = 0;
    uint64_t last_live = 0;  // the last generation opened on this edge
    uint32_t rails_up = 0, rails_over = 0;
    bool orderly = false;
    int64_t bytes_sent = 0;
    std::vector<float> decoded;  // bf16: two models, by parity
  };
  // A generation as this worker gives it.
  struct Outgoing {
    Generation generation;
    std::vector<std::size_t> edges;  // live.send_to, as indices
    std::vector<bool> published;     // by bucket
    std::vector<std::span<const float>> sources;
    std::vector<uint32_t> unsent;  // buckets on their way, by position in `edges`
    bool announced = false, released = false;
  };
  // A generation as this worker hears it, from open to release.
  struct Intake {
    struct Source {
      std::size_t edge;
      bool heard = false;
      Header header{};
      std::vector<bool> arrived;  // told, by bucket
    };
    Generation generation;
    std::vector<Source> sources;  // live.receive_from
  };

  void check_bucket(Bucket bucket) const;
  std::size_t edge_to(Rank neighbour) const;
  std::size_t live_edge(Rank neighbour, Generation generation, bool sending);
  Outgoing& outgoing(Generation generation);
  Intake& intake(Generation generation);
  const Intake::Source& source(Rank neighbour, Generation generation) const;
  Arrival missing(const Neighbour& neighbour, bool passed_by) const;
  void decode(const Intake::Source& from, Generation generation, uint32_t bucket);

  void order(uint32_t rail, const Order& order);
  void order_all(const Order& order);
  void take_events();
  void take(Rail& rail, const Event& event);
  void look_for_ended_processes();
  void flush_to_gpu(const std::vector<Arrival>& before, const std::vector<Arrival>& after) const;
  template <typename Settled>
  void wait_until(Deadline deadline, Settled settled);
  template <typename Look>
  std::vector<Arrival> wait(std::size_t count, Deadline deadline, Look look);

  Parts parts_;
  std::vector<Neighbour> neighbours_;  // as plan.edges
  std::vector<int> edge_of_rank_;      // -1: none
  std::deque<Outgoing> outgoing_;
  std::deque<Intake> intakes_;
  std::vector<uint64_t> published_below_;  // by bucket: 1 + the last generation published
  uint64_t opened_below_ = 0, released_below_ = 0;
  std::atomic<uint64_t> last_opened_{0};
  std::atomic<bool> failed_{false};
  bool signalled_ = false;
  int64_t next_look_ns_ = 0;
};

}  // namespace alder::rdma
