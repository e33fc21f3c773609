#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "rdma/registrar.hpp"

namespace alder::rdma {
namespace {

class HostRegistrar final : public Registrar {
 public:
  MemoryRegion add(const ProtectionDomain& pd, const Region& region, int access) override {
    if (region.kind != MemoryKind::host) {
      fail("{} bytes at {} are memory of CUDA device {}, and this exchange registers host memory only",
           region.bytes, fmt::ptr(region.address), region.device);
    }
    return register_memory(pd, region.address, region.bytes, access);
  }

  std::shared_ptr<const Region> allocate_slots(std::size_t bytes) override { return allocate_host(bytes); }
};

}  // namespace

// Pages of their own: a registration pins whole pages, and nothing else should live on them.
std::shared_ptr<const Region> allocate_host(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  const std::size_t rounded = (bytes + kPage - 1) / kPage * kPage;
  void* memory = std::aligned_alloc(kPage, rounded);
  if (memory == nullptr) fail("{} bytes for the network card to use cannot be allocated", rounded);
  std::memset(memory, 0, rounded);
  return {new Region{.address = memory, .bytes = rounded, .kind = MemoryKind::host},
          [](const Region* region) {
            std::free(region->address);
            delete region;
          }};
}

std::unique_ptr<Registrar> make_host_registrar() {
  return std::make_unique<HostRegistrar>();
}

}  // namespace alder::rdma
