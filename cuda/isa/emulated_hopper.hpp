// Bodies of hopper.hpp for the host compiler.
#pragma once

#include "cuda/emulator/intrinsics.hpp"

namespace alder::ALDER_BACKEND::isa {

inline void mbarrier_init(Mbarrier& barrier, uint32_t arrivals, Site site) {
  emulator::mbarrier_init(emulator::shared_address(&barrier, site), arrivals, site);
}
inline void mbarrier_init_fence() {}
inline void mbarrier_arrive(Mbarrier& barrier, Site site) {
  emulator::mbarrier_arrive(emulator::shared_address(&barrier, site), site);
}
inline void mbarrier_arrive_expect(Mbarrier& barrier, uint32_t bytes, Site site) {
  emulator::mbarrier_expect(emulator::shared_address(&barrier, site), bytes, true, site);
}
inline void mbarrier_expect(Mbarrier& barrier, uint32_t bytes, Site site) {
  emulator::mbarrier_expect(emulator::shared_address(&barrier, site), bytes, false, site);
}
inline void mbarrier_wait(Mbarrier& barrier, uint32_t parity, Site site) {
  emulator::mbarrier_wait(emulator::shared_address(&barrier, site), parity, site);
}

inline void bulk_load(void* shared, const void* global, uint32_t bytes, Mbarrier& barrier, Site site) {
  emulator::bulk_load(shared, global, bytes, emulator::shared_address(&barrier, site), site);
}
template <int Rank>
inline void tma_load(void* shared, const TensorMap& map, Mbarrier& barrier, const int (&coordinates)[Rank],
                     Site site) {
  static_assert(Rank >= 1 && Rank <= 5);
  emulator::tma_load(shared, map, emulator::shared_address(&barrier, site), coordinates, Rank, site);
}
inline void tma_load_im2col(void* shared, const TensorMap& map, Mbarrier& barrier,
                            const int (&coordinates)[4], uint16_t offset_w, uint16_t offset_h, Site site) {
  emulator::tma_load_im2col(shared, map, emulator::shared_address(&barrier, site), coordinates, offset_w,
                            offset_h, site);
}
inline void tma_prefetch(const TensorMap&) {}

inline void bulk_store(void* global, const void* shared, uint32_t bytes, Site site) {
  emulator::bulk_store(global, shared, bytes, site);
}
template <int Rank>
inline void tma_store(const TensorMap& map, const void* shared, const int (&coordinates)[Rank], Site site) {
  static_assert(Rank >= 2 && Rank <= 4);
  emulator::tma_store(map, shared, coordinates, Rank, site);
}
inline void bulk_store_commit() {
  emulator::bulk_store_commit();
}
template <int Left>
inline void bulk_store_wait_read() {
  emulator::bulk_store_wait(Left);
}
template <int Left>
inline void bulk_store_wait() {
  emulator::bulk_store_wait(Left);
}

inline void fence_async_proxy() {
  emulator::fence_async_proxy();
}

inline void wgmma_fence(Site site) {
  emulator::wgmma_fence(site);
}
template <int N, Major A, Major B, int Registers>
inline void wgmma(float (&d)[Registers], uint64_t a, uint64_t b, bool accumulate, Site site) {
  static_assert(Registers == N / 2 && N % 8 == 0 && N >= 8 && N <= 256);
  emulator::wgmma({.n = N,
                   .a = a,
                   .b = b,
                   .a_registers = nullptr,
                   .a_mn_major = A == Major::mn,
                   .b_mn_major = B == Major::mn,
                   .accumulate = accumulate},
                  d, site);
}
template <int N, Major B, int Registers>
inline void wgmma_registers(float (&d)[Registers], const uint32_t (&a)[4], uint64_t b, bool accumulate,
                            Site site) {
  static_assert(Registers == N / 2 && N % 8 == 0 && N >= 8 && N <= 256);
  emulator::wgmma({.n = N,
                   .a = 0,
                   .b = b,
                   .a_registers = a,
                   .a_mn_major = false,
                   .b_mn_major = B == Major::mn,
                   .accumulate = accumulate},
                  d, site);
}
inline void wgmma_commit(Site site) {
  emulator::wgmma_commit(site);
}
template <int Left>
inline void wgmma_wait(Site site) {
  emulator::wgmma_wait(Left, site);
}
template <int N>
inline void pin(float (&)[N]) {}
template <int M, int N>
inline void pin(float (&)[M][N]) {}

template <int Count>
inline void registers_decrease(Site site) {
  static_assert(Count % 8 == 0 && Count >= 24 && Count <= 256);
  emulator::set_registers(Count, site);
}
template <int Count>
inline void registers_increase(Site site) {
  static_assert(Count % 8 == 0 && Count >= 24 && Count <= 256);
  emulator::set_registers(Count, site);
}

inline uint32_t cluster_rank() {
  return emulator::current->cluster_rank;
}
inline uint32_t cluster_blocks() {
  return emulator::current->cluster_blocks;
}
inline void cluster_sync(Site site) {
  emulator::cluster_barrier(site);
}
template <typename T>
inline T* cluster_shared(T* own, uint32_t rank, Site site) {
  return static_cast<T*>(emulator::cluster_pointer(own, rank, site));
}
inline void mbarrier_arrive_remote(Mbarrier& own, uint32_t rank, Site site) {
  emulator::mbarrier_arrive_remote(emulator::shared_address(&own, site), rank, site);
}

inline void grid_dependency_wait() {
  emulator::grid_dependency_wait();
}
inline void grid_dependency_launch() {}

inline uint32_t fma_relu_filled_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t sums = fma_relu_bf16x2(a, b, c);
  const uint32_t low = detail::low_half(a) == emulator::kNanBf16 ? 0 : sums & 0xFFFFU;
  const uint32_t high = detail::high_half(a) == emulator::kNanBf16 ? 0 : sums & 0xFFFF0000U;
  return low | high;
}

}  // namespace alder::ALDER_BACKEND::isa
