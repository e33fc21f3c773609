#include "rdma/connection.hpp"

#include <algorithm>
#include <atomic>

namespace alder::rdma {
namespace {

// Outgoing: two headers, two credits, two hellos, an offer, a farewell, and heartbeats.
constexpr uint32_t kControlSends = 16;
// Incoming: all of those that carry an immediate (8), with room to spare.
constexpr uint32_t kControlReceives = 12;
constexpr uint32_t kSpareReceives = 2;

uint32_t data_receives(uint32_t parts_expected) {
  return 2 * parts_expected + kSpareReceives;  // both parities
}

}  // namespace

uint32_t completions_of_connection(const Tuning& tuning, uint32_t parts_expected) {
  return kControlSends + kControlReceives +
         tuning.data_queue_pairs * (tuning.send_depth + data_receives(parts_expected));
}

Connection::Connection(Nic& nic, LaneOwner& owner, const Tuning& tuning, uint32_t parts_expected,
                       uint64_t epoch)
    : epoch_(epoch),
      records_(std::make_unique<ConnectionRecords>()),
      inbox_region_(register_memory(nic.pd(), &records_->inbox, sizeof records_->inbox,
                                    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)),
      outbox_region_(register_memory(nic.pd(), &records_->outbox, sizeof records_->outbox, 0)) {
  const QueuePairSize control{
      .send_requests = kControlSends, .receive_requests = kControlReceives, .inline_bytes = sizeof(Header)};
  const QueuePairSize data{.send_requests = tuning.send_depth,
                           .receive_requests = data_receives(parts_expected),
                           .inline_bytes = 0};
  control_ = std::make_unique<Lane>(nic, owner, control, IBV_ACCESS_REMOTE_WRITE);
  for (uint32_t k = 0; k < tuning.data_queue_pairs; ++k) {
    data_.push_back(std::make_unique<Lane>(nic, owner, data, IBV_ACCESS_REMOTE_WRITE));
  }
}

ConnectionAddress Connection::address() const {
  ConnectionAddress address{.control = control_->address(),
                            .data = {},
                            .inbox = reinterpret_cast<uint64_t>(&records_->inbox),
                            .inbox_key = inbox_region_->rkey};
  for (const auto& lane : data_) address.data.push_back(lane->address());
  return address;
}

void Connection::connect(const ConnectionAddress& remote, const RailAddress& rail, const Tuning& tuning) {
  remote_ = remote;
  const auto towards = [&](const QueuePairAddress& address) {
    return RemoteLane{.address = address, .lid = rail.lid, .gid = rail.gid, .mtu = rail.mtu};
  };
  control_->connect(towards(remote.control), tuning);
  for (std::size_t k = 0; k < data_.size(); ++k) data_[k]->connect(towards(remote.data[k]), tuning);
  connected_ = true;
}

uint32_t Connection::index_of(const Lane& lane) const {
  const auto it = std::ranges::find(data_, &lane, &std::unique_ptr<Lane>::get);
  return static_cast<uint32_t>(it - data_.begin());
}

std::vector<uint32_t> Connection::queue_pair_numbers() const {
  std::vector<uint32_t> numbers = {control_->number()};
  for (const auto& lane : data_) numbers.push_back(lane->number());
  return numbers;
}

// The device writes it while we look: eight aligned bytes arrive as one, and an old value does no harm.
uint64_t Connection::beat() const {
  return std::atomic_ref(records_->inbox.beat).load(std::memory_order_relaxed);
}

void Connection::close() {
  control_->close();
  for (const auto& lane : data_) lane->close();
}

bool Connection::drained() const {
  return control_->drained() && std::ranges::all_of(data_, [](const auto& lane) { return lane->drained(); });
}

uint64_t Connection::flushed() const {
  uint64_t flushed = control_->flushed();
  for (const auto& lane : data_) flushed += lane->flushed();
  return flushed;
}

}  // namespace alder::rdma
