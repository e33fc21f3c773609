// A CUDA driver of one made-up GPU that records what it is asked. Addresses are real memory of this process,
// so that copies are copies; descriptors are of /dev/null, so that one can see whether they are closed.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "rdma/memory/gpu_memory.hpp"

namespace alder::rdma::test {

class FakeGpu final : public GpuMemory {
 public:
  GpuAttributes facts{.name = "H100",
                      .pci = {.bus = 0x13},
                      .compute_major = 9,
                      .memory_bytes = uint64_t{80} << 30,
                      .rdma_supported = true,
                      .dma_buf_supported = true,
                      .writes_ordering = WritesOrdering::owner,
                      .host_flush = true};
  bool rdma_capable = true;   // of every allocation
  bool pcie_mapping = false;  // the GPU has a second path, so that the flag is understood
  std::string export_error;   // of exports without the flag
  std::vector<std::string>* log = nullptr;
  std::vector<int> fds;  // given out

  int devices() override { return 1; }
  GpuAttributes attributes(int) override { return facts; }

  Allocation allocation_of(int, uint64_t address) override {
    note("allocation_of");
    for (const auto& [base, memory] : allocations_) {
      if (address >= base && address < base + memory->size()) {
        return {.base = base, .bytes = memory->size(), .rdma_capable = rdma_capable};
      }
    }
    fail("cuMemGetAddressRange on CUDA device 0: CUDA_ERROR_INVALID_VALUE");
  }
  DmaBuf export_dma_buf(int, uint64_t base, std::size_t bytes, Mapping mapping) override {
    note(fmt::format("export {} bytes{}", bytes, mapping == Mapping::pcie ? ", pcie" : ""));
    last_export = base;
    if (mapping == Mapping::pcie && !pcie_mapping) return {.error = "CUDA_ERROR_NOT_SUPPORTED"};
    if (!export_error.empty()) return {.error = export_error};
    fds.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return {.fd = fds.back()};
  }
  void set_sync_memops(int, uint64_t) override { note("sync_memops"); }
  void flush_writes(int) override { note("flush"); }
  void* allocate(int, std::size_t bytes) override {
    note(fmt::format("allocate {}", bytes));
    return add(bytes, 0);
  }
  void free(int, void* memory) noexcept override {
    note("free");
    allocations_.erase(reinterpret_cast<uint64_t>(memory));
  }
  void* allocate_host(int, std::size_t bytes) override {
    note(fmt::format("allocate_host {}", bytes));
    return new std::byte[bytes]{};
  }
  void free_host(int, void* memory) noexcept override {
    note("free_host");
    delete[] static_cast<std::byte*>(memory);
  }
  void copy_to_host(int, void* host, const void* gpu, std::size_t bytes) override {
    note(fmt::format("copy {}", bytes));
    std::memcpy(host, gpu, bytes);
  }

  // An allocation as an engine or framework makes it; its address ends in `offset` within a 4096-byte page.
  void* add(std::size_t bytes, std::size_t offset) {
    constexpr std::size_t kPage = 4096;
    auto memory = std::make_unique<Memory>(bytes, offset, kPage);
    void* address = memory->address();
    allocations_.emplace(reinterpret_cast<uint64_t>(address), std::move(memory));
    return address;
  }
  std::size_t allocations() const { return allocations_.size(); }

  uint64_t last_export = 0;

 private:
  class Memory {
   public:
    Memory(std::size_t bytes, std::size_t offset, std::size_t page)
        : bytes_(bytes), store_(bytes + 2 * page) {
      const auto at = reinterpret_cast<uintptr_t>(store_.data());
      start_ = (at + page - 1) / page * page - at + offset;
    }
    void* address() { return store_.data() + start_; }
    std::size_t size() const { return bytes_; }

   private:
    std::size_t bytes_, start_;
    std::vector<std::byte> store_;
  };

  void note(std::string call) {
    if (log != nullptr) log->push_back(std::move(call));
  }

  std::map<uint64_t, std::unique_ptr<Memory>> allocations_;
};

}  // namespace alder::rdma::test
