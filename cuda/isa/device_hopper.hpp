// Bodies of hopper.hpp for the device, but for wgmma (device_wgmma.hpp).
#pragma once

#include "cuda/isa/device_wgmma.hpp"

namespace alder::ALDER_BACKEND::isa {

namespace detail {

ALDER_DEVICE uint32_t address_of(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

ALDER_DEVICE uint64_t nanoseconds() {
  uint64_t now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}

// Sleeps in hardware until the phase has ended, at most about 10 ms.
ALDER_DEVICE bool try_wait(uint32_t barrier, uint32_t parity) {
  constexpr uint32_t kNanoseconds = 10'000'000;
  uint32_t ended;
  asm volatile(
      "{\n.reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2, %3;\n"
      "selp.u32 %0, 1, 0, p;\n}\n"
      : "=r"(ended)
      : "r"(barrier), "r"(parity), "r"(kNanoseconds)
      : "memory");
  return ended != 0;
}

}  // namespace detail

ALDER_DEVICE void mbarrier_init(Mbarrier& barrier, uint32_t arrivals, Site) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(detail::address_of(&barrier)), "r"(arrivals)
               : "memory");
}
ALDER_DEVICE void mbarrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
ALDER_DEVICE void mbarrier_arrive(Mbarrier& barrier, Site) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(detail::address_of(&barrier)) : "memory");
}
ALDER_DEVICE void mbarrier_arrive_expect(Mbarrier& barrier, uint32_t bytes, Site) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(detail::address_of(&barrier)),
               "r"(bytes)
               : "memory");
}
ALDER_DEVICE void mbarrier_expect(Mbarrier& barrier, uint32_t bytes, Site) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(detail::address_of(&barrier)),
               "r"(bytes)
               : "memory");
}
ALDER_DEVICE void mbarrier_wait(Mbarrier& barrier, uint32_t parity, Site) {
  const uint32_t address = detail::address_of(&barrier);
  if (detail::try_wait(address, parity)) return;
  // No message here: printf would cost every kernel that waits a stack and, after registers_decrease,
  // registers.
  const uint64_t begin = detail::nanoseconds();
  while (!detail::try_wait(address, parity)) {
    if (detail::nanoseconds() - begin > kWaitSeconds * 1'000'000'000) __trap();
  }
}

ALDER_DEVICE void bulk_load(void* shared, const void* global, uint32_t bytes, Mbarrier& barrier, Site) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
          detail::address_of(shared)),
      "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(detail::address_of(&barrier))
      : "memory");
}

template <int Rank>
ALDER_DEVICE void tma_load(void* shared, const TensorMap& map, Mbarrier& barrier, const int (&c)[Rank],
                           Site) {
  static_assert(Rank >= 1 && Rank <= 5);
  const uint32_t to = detail::address_of(shared), done = detail::address_of(&barrier);
  if constexpr (Rank == 1) {
    asm volatile(
        "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3}], "
        "[%2];" ::"r"(to),
        "l"(&map), "r"(done), "r"(c[0])
        : "memory");
  } else if constexpr (Rank == 2) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, "
        "%4}], "
        "[%2];" ::"r"(to),
        "l"(&map), "r"(done), "r"(c[0]), "r"(c[1])
        : "memory");
  } else if constexpr (Rank == 3) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, "
        "%4, %5}], "
        "[%2];" ::"r"(to),
        "l"(&map), "r"(done), "r"(c[0]), "r"(c[1]), "r"(c[2])
        : "memory");
  } else if constexpr (Rank == 4) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%3, %4, %5, %6}], [%2];" ::"r"(to),
        "l"(&map), "r"(done), "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3])
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(to),
        "l"(&map), "r"(done), "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4])
        : "memory");
  }
}

ALDER_DEVICE void tma_load_im2col(void* shared, const TensorMap& map, Mbarrier& barrier, const int (&c)[4],
                                  uint16_t offset_w, uint16_t offset_h, Site) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(detail::address_of(shared)),
      "l"(&map), "r"(detail::address_of(&barrier)), "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "h"(offset_w),
      "h"(offset_h)
      : "memory");
}
ALDER_DEVICE void tma_prefetch(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

ALDER_DEVICE void bulk_store(void* global, const void* shared, uint32_t bytes, Site) {
  asm volatile(
      "cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(__cvta_generic_to_global(global)),
      "r"(detail::address_of(shared)), "r"(bytes)
      : "memory");
}
template <int Rank>
ALDER_DEVICE void tma_store(const TensorMap& map, const void* shared, const int (&c)[Rank], Site) {
  static_assert(Rank >= 2 && Rank <= 4);
  const uint32_t from = detail::address_of(shared);
  if constexpr (Rank == 2) {
    asm volatile(
        "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map),
        "r"(from), "r"(c[0]), "r"(c[1])
        : "memory");
  } else if constexpr (Rank == 3) {
    asm volatile(
        "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(&map),
        "r"(from), "r"(c[0]), "r"(c[1]), "r"(c[2])
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(
            &map),
        "r"(from), "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3])
        : "memory");
  }
}
ALDER_DEVICE void bulk_store_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
template <int Left>
ALDER_DEVICE void bulk_store_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Left) : "memory");
}
template <int Left>
ALDER_DEVICE void bulk_store_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Left) : "memory");
}

ALDER_DEVICE void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

ALDER_DEVICE void wgmma_fence(Site) {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
ALDER_DEVICE void wgmma_commit(Site) {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int Left>
ALDER_DEVICE void wgmma_wait(Site) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Left) : "memory");
}
template <int N>
ALDER_DEVICE void pin(float (&registers)[N]) {
  ALDER_UNROLL
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}
template <int M, int N>
ALDER_DEVICE void pin(float (&registers)[M][N]) {
  ALDER_UNROLL
  for (int i = 0; i < M; ++i) pin(registers[i]);
}

template <int Count>
ALDER_DEVICE void registers_decrease(Site) {
  static_assert(Count % 8 == 0 && Count >= 24 && Count <= 256);
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
}
template <int Count>
ALDER_DEVICE void registers_increase(Site) {
  static_assert(Count % 8 == 0 && Count >= 24 && Count <= 256);
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
}

ALDER_DEVICE uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
ALDER_DEVICE uint32_t cluster_blocks() {
  uint32_t blocks;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(blocks));
  return blocks;
}
ALDER_DEVICE void cluster_sync(Site) {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}
template <typename T>
ALDER_DEVICE T* cluster_shared(T* own, uint32_t rank, Site) {
  uint64_t there;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"(own), "r"(rank));
  return reinterpret_cast<T*>(there);
}
ALDER_DEVICE void mbarrier_arrive_remote(Mbarrier& own, uint32_t rank, Site) {
  asm volatile(
      "{\n.reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there];\n}\n" ::"r"(detail::address_of(&own)),
      "r"(rank)
      : "memory");
}

ALDER_DEVICE void grid_dependency_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
ALDER_DEVICE void grid_dependency_launch() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

ALDER_DEVICE uint32_t fma_relu_filled_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.oob.relu.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

}  // namespace alder::ALDER_BACKEND::isa
