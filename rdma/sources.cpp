#include "rdma/sources.hpp"

#include "base/error.hpp"
#include "exchange/edges.hpp"
#include "rdma/bf16.hpp"

namespace alder::rdma {

void Sources::attach(std::span<const Region> regions, std::span<Rail* const> rails) {
  for (const Region& region : regions) {
    Attached one{.region = region, .shadow = nullptr};
    if (type_ == WireType::bf16) {
      if (region.kind != MemoryKind::host) {
        fail("bf16 on the wire is for models in host memory, and {} bytes at {} are on CUDA device {}",
             region.bytes, fmt::ptr(region.address), region.device);
      }
      one.shadow = allocate_host(region.bytes / 2);
    }
    const Region& seen = one.shadow != nullptr ? *one.shadow : region;
    for (Rail* rail : rails) {
      // Read only, and by nobody but our own device.
      if (rail->nic() != nullptr) rail->sources().push_back(registrar_->add(rail->nic()->pd(), seen, 0));
    }
    attached_.push_back(std::move(one));
  }
}

Source Sources::prepare(std::span<const float> values) const {
  const auto begin = reinterpret_cast<uint64_t>(values.data());
  for (std::size_t k = 0; k < attached_.size(); ++k) {
    const auto base = reinterpret_cast<uint64_t>(attached_[k].region.address);
    if (begin < base || begin + values.size_bytes() > base + attached_[k].region.bytes) continue;
    if (type_ == WireType::fp32) return {.address = begin, .region = static_cast<uint32_t>(k)};
    auto* const shadow = static_cast<std::byte*>(attached_[k].shadow->address) + (begin - base) / 2;
    encode_bf16(values, {reinterpret_cast<uint16_t*>(shadow), values.size()});
    return {.address = reinterpret_cast<uint64_t>(shadow), .region = static_cast<uint32_t>(k)};
  }
  misuse("{} values at {} are published, which lie in no attached memory", values.size(),
         fmt::ptr(values.data()));
}

}  // namespace alder::rdma
