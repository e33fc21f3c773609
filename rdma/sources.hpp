// The memory that a worker publishes from, as every rail's device knows it.
//
// With bf16 on the wire each attached region has a shadow of half its size that the device reads instead: an
// array is rounded into its shadow when it is published, and the shadow is free again when the array is.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "exchange/region.hpp"
#include "rdma/layout.hpp"
#include "rdma/link.hpp"
#include "rdma/rail.hpp"

namespace alder::rdma {

class Sources {
 public:
  Sources(Registrar& registrar, WireType type) : registrar_(&registrar), type_(type) {}

  // Registers regions with all rails. Throws Error.
  void attach(std::span<const Region> regions, std::span<Rail* const> rails);
  // Where the device finds what is published from here; with bf16, after rounding it there. Throws
  // std::logic_error for memory that is not attached.
  Source prepare(std::span<const float> values) const;

 private:
  struct Attached {
    Region region;                         // the worker's
    std::shared_ptr<const Region> shadow;  // bf16
  };
  Registrar* registrar_;
  WireType type_;
  std::vector<Attached> attached_;
};

}  // namespace alder::rdma
