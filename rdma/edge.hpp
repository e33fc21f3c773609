// One edge on one rail: the protocol of generations, over whatever link carries it.
//
// Threads: belongs to one progress thread, after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rdma/link.hpp"
#include "rdma/receive_side.hpp"
#include "rdma/send_side.hpp"
#include "rdma/tuning.hpp"

namespace alder::rdma {

// What an edge tells the worker; `edge` is its index in the worker's list.
class EdgeListener {
 public:
  virtual ~EdgeListener() = default;
  virtual void on_edge_up(uint32_t edge) = 0;  // for the first time
  virtual void on_bucket_arrived(uint32_t edge, Generation generation, uint32_t bucket) = 0;
  virtual void on_header_arrived(uint32_t edge, const Header& header) = 0;
  // Its source may be overwritten.
  virtual void on_bucket_sent(uint32_t edge, Generation generation, uint32_t bucket) = 0;
  // A break was mended: what broke, and what was sent again.
  virtual void on_edge_mended(uint32_t edge, const std::string& what) = 0;
  // For good; no memory of ours is touched through it any more. `orderly`: one of the ends was done.
  virtual void on_edge_over(uint32_t edge, bool orderly, const std::string& why) = 0;
};

struct EdgeSettings {
  uint32_t edge = 0;
  Rank self = 0, neighbour = 0;
  std::string neighbour_host;
  bool sends = true, receives = true;
  Generation first_generation{};
  std::vector<uint32_t> buckets;  // on this rail, in order
  bool headers = true;            // travel on this rail
};

class Edge final : public LinkEvents {
 public:
  Edge(EdgeSettings settings, EdgeListener& listener);
  void set_link(std::unique_ptr<Link> link) { link_ = std::move(link); }
  Link& link() { return *link_; }
  const EdgeSettings& settings() const { return settings_; }

  // The worker's orders.
  void publish(Generation generation, uint32_t bucket, const Source& source);
  void announce(Generation generation, const Header& header);
  void release(Generation generation);  // this one and all before it
  // Says farewell and ends the edge: `failed`, or because this worker is done; the latter once all that was
  // given has left, or after `patience_ns`.
  void leave(bool failed, int64_t now_ns, int64_t patience_ns);
  // Ends the edge without a word.
  void drop(const std::string& why);

  void progress(int64_t now_ns);
  bool over() const { return over_; }
  // One line: what has arrived, what is on its way, and how the link is.
  std::string state(int64_t now_ns) const;
  void heard_header(uint64_t generation, int64_t now_ns) {
    last_header_ = generation;
    last_header_ns_ = now_ns;
  }
  bool wakes() const { return over_ || link_->wakes(); }

  // LinkEvents
  ReceiveState receive_state() const override { return receive_.state(); }
  void on_up(const ReceiveState& peer) override;
  void on_down() override;
  void on_bucket(uint16_t tag, uint32_t bucket) override;
  void on_header(uint16_t tag, const Header& header) override;
  void on_credit(uint16_t tag) override;
  void on_farewell(bool neighbour_failed) override;
  void on_bucket_sent(Generation generation, uint32_t bucket) override;
  void on_header_sent(Generation generation) override;
  void on_failed(const std::string& why) override;

 private:
  void send();
  void give_credits();

  EdgeSettings settings_;
  EdgeListener& listener_;
  SendSide send_;
  ReceiveSide receive_;
  std::unique_ptr<Link> link_;
  uint64_t ups_ = 0;
  bool over_ = false, orderly_ = false;
  bool leaving_ = false, said_farewell_ = false;
  uint64_t last_header_ = 0;
  int64_t last_header_ns_ = 0;  // 0: none yet
  int64_t leave_at_ns_ = 0;     // the farewell, then the end, at the latest
};

}  // namespace alder::rdma
