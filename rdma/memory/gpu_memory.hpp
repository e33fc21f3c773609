// The seam to the CUDA driver, as far as memory is made known to network cards: one function for each thing
// that is asked of it. What uses it is compiled and tested everywhere; the real one (make_gpu_memory) exists
// where Alder was built with the CUDA toolkit and finds a driver.
//
// Threads: any, but none of these calls belongs on a progress thread: a CUDA call can wait for a running
// kernel. Errors: alder::Error with the driver's name for the error, unless said otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "rdma/devices/topology.hpp"

namespace alder::rdma {

// CUgpuDirectRDMAWritesOrdering: who sees the writes of other devices in order without a flush.
enum class WritesOrdering : int { none = 0, owner = 100, all_devices = 200 };

struct GpuAttributes {
  std::string name;
  PciAddress pci;
  int compute_major = 0, compute_minor = 0;
  uint64_t memory_bytes = 0;
  bool rdma_supported = false;     // GPU_DIRECT_RDMA_SUPPORTED: nvidia-peermem can work
  bool dma_buf_supported = false;  // DMA_BUF_SUPPORTED
  WritesOrdering writes_ordering = WritesOrdering::none;
  bool host_flush = false;  // FLUSH_WRITES_OPTIONS, HOST: flush_writes works
};

struct Allocation {
  uint64_t base = 0;
  std::size_t bytes = 0;
  bool rdma_capable = true;  // memory of cuMemCreate need not be (allocFlags.gpuDirectRDMACapable)
};

// How an exported range is reached where a GPU hangs both on PCIe and on a coherent link to its CPU.
enum class Mapping : uint8_t { automatic, pcie };

struct DmaBuf {
  int fd = -1;        // the caller closes it
  std::string error;  // with fd -1: "CUDA_ERROR_NOT_SUPPORTED"
};

class GpuMemory {
 public:
  virtual ~GpuMemory() = default;

  virtual int devices() = 0;
  virtual GpuAttributes attributes(int device) = 0;

  // The allocation that an address belongs to (cuMemGetAddressRange).
  virtual Allocation allocation_of(int device, uint64_t address) = 0;
  // cuMemGetHandleForAddressRange; `base` and `bytes` are multiples of the host's page size. Does not throw.
  virtual DmaBuf export_dma_buf(int device, uint64_t base, std::size_t bytes, Mapping mapping) = 0;
  // Synchronous copies of this allocation then do not overlap with what other devices do to it.
  virtual void set_sync_memops(int device, uint64_t address) = 0;
  // cuFlushGPUDirectRDMAWrites, to the owner: what has arrived is visible to kernels launched afterwards.
  virtual void flush_writes(int device) = 0;

  // Device memory, zeroed, aligned to 2 MiB, fit for GPUDirect RDMA.
  virtual void* allocate(int device, std::size_t bytes) = 0;
  virtual void free(int device, void* memory) noexcept = 0;
  // Pinned host memory, zeroed, at an address that kernels may use as well.
  virtual void* allocate_host(int device, std::size_t bytes) = 0;
  virtual void free_host(int device, void* memory) noexcept = 0;
  // Ends when the copy is done.
  virtual void copy_to_host(int device, void* host, const void* gpu, std::size_t bytes) = 0;
};

// Null when there is none; `why` then says so in a sentence: built without CUDA, no driver, no GPU.
std::unique_ptr<GpuMemory> make_gpu_memory(std::string& why);

}  // namespace alder::rdma
