// Where registered memory comes from: the seam between the engine and whatever knows about GPUs.
//
// The engine registers two kinds of memory: what a worker publishes from (Exchange::attach), and the arena of
// slots that neighbours write into. On a GPU worker both are device memory; the engine never looks inside.
#pragma once

#include <cstddef>
#include <memory>

#include "exchange/region.hpp"
#include "rdma/handles.hpp"

namespace alder::rdma {

class Registrar {
 public:
  virtual ~Registrar() = default;
  // Makes a region known to one device. `access`: ibv_access_flags. Lifetimes: the region outlives the
  // registration, and that the Context of `pd`. Throws Error that names what was tried and why it failed.
  virtual MemoryRegion add(const ProtectionDomain& pd, const Region& region, int access) = 0;
  // Memory for the slots, zeroed, aligned to at least 4096 bytes; given back when the pointer goes.
  virtual std::shared_ptr<const Region> allocate_slots(std::size_t bytes) = 0;
  // The address to post for `bytes` of an added region that are about to be sent: their own, or, where the
  // region is staged, that of their copy in host memory, which this call brings up to date. Trainer's thread.
  virtual const void* prepare_source(const void* source, std::size_t /*bytes*/) { return source; }
};

// Host memory in whole pages, zeroed; given back when the pointer goes. Throws Error.
std::shared_ptr<const Region> allocate_host(std::size_t bytes);

// Host memory, by ibv_reg_mr. Throws Error for a region that is not host memory.
std::unique_ptr<Registrar> make_host_registrar();

}  // namespace alder::rdma
