// A registrar whose slots stand before the exchange asks for them, since how arrivals in them are flushed has
// to be known when the exchange opens its ports.
#pragma once

#include <memory>
#include <utility>

#include "base/error.hpp"
#include "rdma/memory/region_registrar.hpp"

namespace alder::rdma {

class PreparedSlots final : public Registrar {
 public:
  // `inner` outlives this. `bytes`: of all slots, 0 for none. On the calling thread, which may call CUDA.
  PreparedSlots(RegionRegistrar& inner, std::size_t bytes) : inner_(inner) {
    if (bytes == 0) return;
    slots_ = inner.allocate_slots(bytes);
    flush_ = inner.flush_for(*slots_);
  }

  const FlushDecision& flush() const { return flush_; }

  MemoryRegion add(const ProtectionDomain& pd, const Region& region, int access) override {
    return inner_.add(pd, region, access);
  }
  // Once.
  std::shared_ptr<const Region> allocate_slots(std::size_t bytes) override {
    if (slots_ == nullptr || bytes > slots_->bytes) {
      fail("slots of {} bytes were prepared, and {} are asked for", slots_ == nullptr ? 0 : slots_->bytes,
           bytes);
    }
    return std::exchange(slots_, nullptr);
  }
  const void* prepare_source(const void* source, std::size_t bytes) override {
    return inner_.prepare_source(source, bytes);
  }

 private:
  RegionRegistrar& inner_;
  std::shared_ptr<const Region> slots_;
  FlushDecision flush_;
};

}  // namespace alder::rdma
