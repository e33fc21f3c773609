#include "rdma/memory/flush.hpp"

#include <array>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

FlushDecision by_rules(const GpuAttributes& gpu, const WritePath& path) {
  if (path.data_direct) {
    return {.policy = FlushPolicy::rdma_read,
            .reason = "Data Direct is a path of its own, which the driver's order does not cover"};
  }
  if (path.split) {
    return {.policy = FlushPolicy::rdma_read,
            .reason =
                "the GPU hangs on PCIe and on a coherent link, whose order with each other is not promised"};
  }
  if (gpu.writes_ordering >= WritesOrdering::owner) {
    return {.policy = FlushPolicy::none, .reason = "the GPU sees the writes of other devices in order"};
  }
  if (gpu.host_flush) {
    return {.policy = FlushPolicy::cuda,
            .reason = "the GPU does not order writes, its driver offers a flush"};
  }
  return {.policy = FlushPolicy::rdma_read,
          .reason = "the GPU does not order writes, its driver offers no flush"};
}

// What a person asked for. Only a read over the same path is right everywhere.
FlushDecision by_wish(FlushWish wish, const GpuAttributes& gpu, const WritePath& path) {
  const FlushDecision needed = by_rules(gpu, path);
  FlushDecision decision{.policy = wish == FlushWish::cuda        ? FlushPolicy::cuda
                                   : wish == FlushWish::rdma_read ? FlushPolicy::rdma_read
                                                                  : FlushPolicy::none,
                         .reason = "asked for"};
  const bool two_paths = path.split || path.data_direct;
  const bool enough = decision.policy == FlushPolicy::rdma_read || needed.policy == FlushPolicy::none ||
                      (decision.policy == FlushPolicy::cuda && !two_paths);
  if (!enough) {
    decision.warning = fmt::format("--flush {}: kernels may read stale data, because {}; the rules demand {}",
                                   to_string(decision.policy), needed.reason, to_string(needed.policy));
  }
  return decision;
}

}  // namespace

FlushWish parse_flush_wish(std::string_view word) {
  const std::array<std::string, 4> known{"auto", "none", "cuda", "rdma-read"};
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (word == known[i]) return static_cast<FlushWish>(i);
  }
  throw UsageError(unknown_name("flush policy", word, known));
}

std::string_view to_string(FlushPolicy policy) {
  switch (policy) {
    case FlushPolicy::none:
      return "none";
    case FlushPolicy::cuda:
      return "cuda";
    case FlushPolicy::rdma_read:
      return "rdma-read";
  }
  return "none";
}

FlushDecision decide_flush(FlushWish wish, const GpuAttributes& gpu, const WritePath& path) {
  if (wish == FlushWish::automatic) return by_rules(gpu, path);
  if (wish == FlushWish::cuda && !gpu.host_flush) {
    usage_error("--flush cuda: the driver offers no flush for GPU {} ({}); use rdma-read", to_string(gpu.pci),
                gpu.name);
  }
  return by_wish(wish, gpu, path);
}

}  // namespace alder::rdma
