// Whether, and how, writes that a card put into GPU memory are flushed before a kernel may read them.
//
// A completion lies in host memory and its payload in GPU memory: two destinations behind two PCIe paths, so
// that the one proves nothing of the other. The GPU says which writes its own kernels see in order
// (CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING); but where a GPU has two paths, PCIe and a coherent
// link, the driver reports order for all and makes its flush a no-op, though the paths are not ordered with
// each other (cuda.h, cuFlushGPUDirectRDMAWrites). ConnectX-8's Data Direct is such a second path too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rdma/memory/gpu_memory.hpp"
#include "rdma/path.hpp"

namespace alder::rdma {

enum class FlushWish : uint8_t { automatic, none, cuda, rdma_read };
// "auto", "none", "cuda", "rdma-read"; throws UsageError for another word.
FlushWish parse_flush_wish(std::string_view word);
std::string_view to_string(FlushPolicy policy);

// How the card reaches the memory that it writes to.
struct WritePath {
  bool split = false;        // exported with the PCIe mapping of a GPU that also has a coherent link
  bool data_direct = false;  // registered for Data Direct
};

struct FlushDecision {
  FlushPolicy policy = FlushPolicy::none;
  std::string reason;
  // Set when a person asked for less than the rules demand: kernels may read stale data.
  std::string warning;
};

// The rules, for `automatic`: two paths: rdma_read; ordered for the owner: none; flushed by the host: cuda;
// else rdma_read. Throws UsageError for `cuda` on a GPU that does not offer it.
FlushDecision decide_flush(FlushWish wish, const GpuAttributes& gpu, const WritePath& path);

}  // namespace alder::rdma
