// Makes what arrived in GPU memory visible to its kernels, by reading from it.
//
// The completion of a write goes to host memory and its payload to the GPU, over different ways, so the one
// may overtake the other. A read through the same device cannot: its response comes after every write that
// the device issued before. So an arrival is handed on when a small read, posted after its completion was
// seen, has come back. One read serves all arrivals that wait for it.
//
// The queue pair is connected to itself; nobody else can use it, and the key of the memory it reads is told
// to nobody.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rdma/lane.hpp"
#include "rdma/nic.hpp"
#include "rdma/registrar.hpp"

namespace alder::rdma {

class FlushWaiter {
 public:
  virtual ~FlushWaiter() = default;
  virtual void on_flushed(uint64_t epoch, uint16_t tag, uint32_t bucket) = 0;
};

class Flusher final : public LaneOwner {
 public:
  // `target`: memory of the GPU whose arrivals are to be seen. Throws Error.
  Flusher(Nic& nic, Registrar& registrar, const Region& target, const Tuning& tuning);

  // waiter.on_flushed(epoch, tag, bucket) follows, unless the flusher breaks.
  void request(FlushWaiter& waiter, uint64_t epoch, uint16_t tag, uint32_t bucket);
  // Nothing further is told to this waiter.
  void forget(FlushWaiter& waiter);
  // Not empty once reads fail: why.
  const std::string& broken() const { return broken_; }
  uint64_t reads() const { return reads_; }

  static uint32_t completions() { return kDepth + 1; }

 private:
  static constexpr uint32_t kDepth = 4;
  struct Request {
    FlushWaiter* waiter;
    uint64_t epoch;
    uint16_t tag;
    uint32_t bucket;
  };
  void on_sent(Lane& lane, uint64_t sequence) override;
  void on_received(Lane&, uint32_t, uint32_t) override {}
  void on_error(Lane& lane, const Completion& completion, bool receiving) override;
  void read();

  const Region target_;
  std::unique_ptr<uint64_t> landing_;  // where the read goes; its value means nothing
  MemoryRegion target_region_, landing_region_;
  std::unique_ptr<Lane> lane_;
  std::vector<Request> waiting_, reading_;
  std::string broken_;
  uint64_t reads_ = 0;
};

}  // namespace alder::rdma
