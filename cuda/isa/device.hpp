// Bodies of isa.hpp for the device. The only files with PTX are this one and its Hopper half,
// device_hopper.hpp.
#pragma once

#include <cstdio>

namespace alder::ALDER_BACKEND::isa {

ALDER_DEVICE uint32_t thread() {
  return threadIdx.x;
}
ALDER_DEVICE uint32_t threads() {
  return blockDim.x;
}
ALDER_DEVICE uint32_t lane() {
  return threadIdx.x % kWarpThreads;
}
ALDER_DEVICE uint32_t warp() {
  return threadIdx.x / kWarpThreads;
}
ALDER_DEVICE uint32_t block_x() {
  return blockIdx.x;
}
ALDER_DEVICE uint32_t block_y() {
  return blockIdx.y;
}
ALDER_DEVICE uint32_t block_z() {
  return blockIdx.z;
}
ALDER_DEVICE uint32_t blocks_x() {
  return gridDim.x;
}
ALDER_DEVICE uint32_t blocks_y() {
  return gridDim.y;
}
ALDER_DEVICE uint32_t blocks_z() {
  return gridDim.z;
}

template <typename T>
ALDER_DEVICE T& shared(Site) {
  static_assert(alignof(T) <= 1024);
  extern __shared__ __align__(1024) unsigned char alder_shared_memory[];
  return *reinterpret_cast<T*>(alder_shared_memory);
}
ALDER_DEVICE uint32_t shared_address(const void* pointer, Site) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

ALDER_DEVICE void sync_block(Site) {
  __syncthreads();
}
ALDER_DEVICE bool sync_block_any(bool predicate, Site) {
  return __syncthreads_or(predicate) != 0;
}
ALDER_DEVICE bool sync_block_all(bool predicate, Site) {
  return __syncthreads_and(predicate) != 0;
}
ALDER_DEVICE int sync_block_count(bool predicate, Site) {
  return __syncthreads_count(predicate);
}
ALDER_DEVICE void barrier_sync(uint32_t id, uint32_t threads, Site) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
ALDER_DEVICE void barrier_arrive(uint32_t id, uint32_t threads, Site) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
ALDER_DEVICE void sync_warp(uint32_t mask, Site) {
  __syncwarp(mask);
}

template <typename T>
ALDER_DEVICE T shuffle(T value, uint32_t from_lane, uint32_t mask, Site) {
  return __shfl_sync(mask, value, static_cast<int>(from_lane));
}
template <typename T>
ALDER_DEVICE T shuffle_xor(T value, uint32_t lanes, uint32_t mask, Site) {
  return __shfl_xor_sync(mask, value, static_cast<int>(lanes));
}
template <typename T>
ALDER_DEVICE T shuffle_up(T value, uint32_t by, uint32_t mask, Site) {
  return __shfl_up_sync(mask, value, by);
}
template <typename T>
ALDER_DEVICE T shuffle_down(T value, uint32_t by, uint32_t mask, Site) {
  return __shfl_down_sync(mask, value, by);
}
ALDER_DEVICE uint32_t ballot(bool predicate, uint32_t mask, Site) {
  return __ballot_sync(mask, predicate);
}
ALDER_DEVICE bool any(bool predicate, uint32_t mask, Site) {
  return __any_sync(mask, predicate) != 0;
}
ALDER_DEVICE bool all(bool predicate, uint32_t mask, Site) {
  return __all_sync(mask, predicate) != 0;
}

ALDER_DEVICE void fence_block() {
  __threadfence_block();
}
ALDER_DEVICE void fence_device() {
  __threadfence();
}
ALDER_DEVICE void fence_system() {
  __threadfence_system();
}

template <typename T>
ALDER_DEVICE T atomic_add(T* address, T value, Site) {
  if constexpr (sizeof(T) == 8) {
    return atomicAdd(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(value));
  } else {
    return atomicAdd(address, value);
  }
}
template <typename T>
ALDER_DEVICE T atomic_max(T* address, T value, Site) {
  return atomicMax(address, value);
}
template <typename T>
ALDER_DEVICE T atomic_exchange(T* address, T value, Site) {
  return atomicExch(address, value);
}
ALDER_DEVICE uint32_t atomic_compare_exchange(uint32_t* address, uint32_t expected, uint32_t value, Site) {
  return atomicCAS(address, expected, value);
}
ALDER_DEVICE uint32_t atomic_add_acq_rel(uint32_t* address, uint32_t value, Site) {
  uint32_t old;
  asm volatile("atom.acq_rel.gpu.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(address), "r"(value) : "memory");
  return old;
}
ALDER_DEVICE uint32_t take_ticket(uint32_t* counter, uint32_t last, Site) {
  uint32_t old;
  asm volatile("atom.acq_rel.gpu.inc.u32 %0, [%1], %2;" : "=r"(old) : "l"(counter), "r"(last) : "memory");
  return old;
}
template <typename T>
ALDER_DEVICE T load_acquire(const T* address, Site) {
  T value;
  if constexpr (sizeof(T) == 8) {
    asm volatile("ld.acquire.gpu.b64 %0, [%1];" : "=l"(value) : "l"(address) : "memory");
  } else {
    asm volatile("ld.acquire.gpu.b32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  }
  return value;
}
template <typename T>
ALDER_DEVICE void store_release(T* address, T value, Site) {
  if constexpr (sizeof(T) == 8) {
    asm volatile("st.release.gpu.b64 [%0], %1;" ::"l"(address), "l"(value) : "memory");
  } else {
    asm volatile("st.release.gpu.b32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
  }
}
template <typename T>
ALDER_DEVICE T load_acquire_system(const T* address, Site) {
  T value;
  if constexpr (sizeof(T) == 8) {
    asm volatile("ld.acquire.sys.b64 %0, [%1];" : "=l"(value) : "l"(address) : "memory");
  } else {
    asm volatile("ld.acquire.sys.b32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  }
  return value;
}
template <typename T>
ALDER_DEVICE void store_release_system(T* address, T value, Site) {
  if constexpr (sizeof(T) == 8) {
    asm volatile("st.release.sys.b64 [%0], %1;" ::"l"(address), "l"(value) : "memory");
  } else {
    asm volatile("st.release.sys.b32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
  }
}

ALDER_DEVICE bool last_block_here(uint32_t* counter, uint32_t blocks, Site site) {
  __syncthreads();
  const bool last = threadIdx.x == 0 && take_ticket(counter, blocks - 1, site) == blocks - 1;
  return __syncthreads_or(last) != 0;
}

namespace detail {

// nvcc's own vector types: these become single 64- or 128-bit accesses.
template <int Bytes>
struct Words;
template <>
struct Words<4> {
  using Type = unsigned;
};
template <>
struct Words<8> {
  using Type = uint2;
};
template <>
struct Words<16> {
  using Type = uint4;
};

}  // namespace detail

template <typename V, Cache C>
ALDER_DEVICE V load(const void* address, Site) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
  using Words = typename detail::Words<sizeof(V)>::Type;
  const auto* words = static_cast<const Words*>(address);
  Words loaded;
  if constexpr (C == Cache::streaming) {
    loaded = __ldcs(words);
  } else if constexpr (C == Cache::read_only) {
    loaded = __ldg(words);
  } else {
    loaded = *words;
  }
  V value;
  memcpy(&value, &loaded, sizeof value);
  return value;
}
template <Cache C, typename V>
ALDER_DEVICE void store(void* address, const V& value, Site) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
  static_assert(C != Cache::read_only);
  using Words = typename detail::Words<sizeof(V)>::Type;
  Words words;
  memcpy(&words, &value, sizeof value);
  if constexpr (C == Cache::streaming) {
    __stcs(static_cast<Words*>(address), words);
  } else {
    *static_cast<Words*>(address) = words;
  }
}

ALDER_DEVICE uint16_t to_bf16(float value) {
  uint16_t rounded;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded) : "f"(value));
  return rounded;
}
ALDER_DEVICE float from_bf16(uint16_t value) {
  return __uint_as_float(static_cast<uint32_t>(value) << 16);
}
ALDER_DEVICE uint32_t pack_bf16(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
ALDER_DEVICE float low_bf16(uint32_t pair) {
  return __uint_as_float(pair << 16);
}
ALDER_DEVICE float high_bf16(uint32_t pair) {
  return __uint_as_float(pair & 0xFFFF0000U);
}
ALDER_DEVICE uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
ALDER_DEVICE uint32_t fma_relu_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.relu.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

ALDER_DEVICE float multiply(float a, float b) {
  return __fmul_rn(a, b);
}
ALDER_DEVICE float add(float a, float b) {
  return __fadd_rn(a, b);
}
ALDER_DEVICE float fused_multiply_add(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}

ALDER_DEVICE void cp_async16(uint32_t shared, const void* global, bool valid, Site) {
  const uint32_t bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared),
               "l"(__cvta_generic_to_global(global)), "r"(bytes)
               : "memory");
}
ALDER_DEVICE void cp_async4(uint32_t shared, const void* global, bool valid, Site) {
  const uint32_t bytes = valid ? 4 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared),
               "l"(__cvta_generic_to_global(global)), "r"(bytes)
               : "memory");
}
ALDER_DEVICE void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int Left>
ALDER_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

template <bool Transposed, int N>
ALDER_DEVICE void ldmatrix(uint32_t (&r)[N], uint32_t shared, Site) {
  static_assert(N == 1 || N == 2 || N == 4);
  if constexpr (N == 1 && !Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(r[0])
                 : "r"(shared)
                 : "memory");
  } else if constexpr (N == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(r[0])
                 : "r"(shared)
                 : "memory");
  } else if constexpr (N == 2 && !Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(shared)
                 : "memory");
  } else if constexpr (N == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(shared)
                 : "memory");
  } else if constexpr (!Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared)
                 : "memory");
  }
}
ALDER_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <int Rows, int Columns>
ALDER_DEVICE void mma_tile(float (&d)[Rows][Columns][4], const uint32_t (&a)[Rows][4],
                           const uint32_t (&b)[Columns][2], Site site) {
  ALDER_UNROLL
  for (int i = 0; i < Rows; ++i) {
    ALDER_UNROLL
    for (int j = 0; j < Columns; ++j) mma(d[i][j], a[i], b[j], site);
  }
}

ALDER_DEVICE void trap(const char* message, Site) {
  printf("block (%u,%u,%u), thread %u: %s\n", blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, message);
  __trap();
}

}  // namespace alder::ALDER_BACKEND::isa
