// One connection of an edge on one rail: its queue pairs, and the records that its two ends write to each
// other. An edge has one in use and some to spare; which one a message belongs to is its epoch.
//
// Threads: made by the trainer's thread or the progress thread; used by the progress thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rdma/control_records.hpp"
#include "rdma/lane.hpp"
#include "rdma/nic.hpp"

namespace alder::rdma {

// What a connection needs of memory: written by the neighbour, and written from.
struct ConnectionRecords {
  ControlRecords inbox;   // written by the neighbour
  ControlRecords outbox;  // written by us: the source of what is too long to go inline
};

class Connection {
 public:
  // `parts_expected`: immediates that one parity can bring to one data lane, at most. Throws Error.
  Connection(Nic& nic, LaneOwner& owner, const Tuning& tuning, uint32_t parts_expected, uint64_t epoch);

  uint64_t epoch() const { return epoch_; }
  ConnectionAddress address() const;
  // To ready-to-send towards the neighbour's connection of the same epoch. Throws Error.
  void connect(const ConnectionAddress& remote, const RailAddress& rail, const Tuning& tuning);
  bool connected() const { return connected_; }
  const ConnectionAddress& remote() const { return remote_; }

  Lane& control() { return *control_; }
  Lane& data(uint32_t index) { return *data_[index]; }
  uint32_t data_lanes() const { return static_cast<uint32_t>(data_.size()); }
  bool has(const Lane& lane) const { return &lane == control_.get() || index_of(lane) < data_lanes(); }
  bool control_drained() const { return control_->sent() >= control_->posted(); }
  // Which data lane this is, or data_lanes() if it is none.
  uint32_t index_of(const Lane& lane) const;
  std::vector<uint32_t> queue_pair_numbers() const;

  ControlRecords& inbox() { return records_->inbox; }
  ControlRecords& outbox() { return records_->outbox; }
  uint32_t outbox_key() const { return outbox_region_->lkey; }
  uint64_t beat() const;  // the neighbour's

  // No memory is touched through it once this returned; the neighbour sees errors.
  void close();
  bool drained() const;
  uint64_t flushed() const;

 private:
  uint64_t epoch_;
  std::unique_ptr<ConnectionRecords> records_;
  MemoryRegion inbox_region_, outbox_region_;
  std::unique_ptr<Lane> control_;
  std::vector<std::unique_ptr<Lane>> data_;
  ConnectionAddress remote_;
  bool connected_ = false;
};

// Completions that a connection can have outstanding at once: the share of a completion queue.
uint32_t completions_of_connection(const Tuning& tuning, uint32_t parts_expected);

}  // namespace alder::rdma
