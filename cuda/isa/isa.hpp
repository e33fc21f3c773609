// The one header that kernels include: everything a kernel may do that C++ has no word for.
//
// Each function here is one instruction, or the few that always go together, under a name of ours. Bodies:
// device.hpp (PTX, by nvcc) and emulated.hpp (calls into cuda/emulator, by the host compiler). Kernels are
// ordinary C++20 templates over these names: no asm, no __shared__, no <<<>>> (docs/emulator.md has the
// rules). hopper.hpp, included at the end, has what needs sm_90a: mbarriers, bulk tensor copies, wgmma,
// clusters.
//
// Blocks have one dimension. `site` arguments are never given: they name the calling line in the emulator's
// reports. A *shared address* is the 32-bit number by which ldmatrix, cp.async, mbarriers and matrix
// descriptors know shared memory; shared_address() converts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/isa/backend.hpp"
#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include "cuda/emulator/site.hpp"
#endif

namespace alder::ALDER_BACKEND::isa {

#if defined(__CUDACC__)
struct Site {
  __host__ __device__ static constexpr Site here() { return {}; }
};
// False where the code is compiled for a device before Hopper: guard kernels of sm_90a with if constexpr.
#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool kHopper = false;
#else
inline constexpr bool kHopper = true;
#endif
#else
using emulator::Site;
inline constexpr bool kHopper = true;
#endif

inline constexpr uint32_t kWarpThreads = 32;
inline constexpr uint32_t kFullMask = 0xFFFFFFFF;

// N values moved as one: aligned to its size, which is 4, 8 or 16 bytes.
template <typename T, int N>
struct alignas(sizeof(T) * N) Vector {
  T v[N];
  ALDER_HOST_DEVICE T& operator[](int i) { return v[i]; }
  ALDER_HOST_DEVICE const T& operator[](int i) const { return v[i]; }
};
using U32x2 = Vector<uint32_t, 2>;
using U32x4 = Vector<uint32_t, 4>;
using F32x2 = Vector<float, 2>;
using F32x4 = Vector<float, 4>;

// ---- who am I

ALDER_DEVICE uint32_t thread();   // 0 .. threads() - 1
ALDER_DEVICE uint32_t threads();  // of the block
ALDER_DEVICE uint32_t lane();     // thread() % 32
ALDER_DEVICE uint32_t warp();     // thread() / 32
ALDER_DEVICE uint32_t block_x();
ALDER_DEVICE uint32_t block_y();
ALDER_DEVICE uint32_t block_z();
ALDER_DEVICE uint32_t blocks_x();  // of the grid
ALDER_DEVICE uint32_t blocks_y();
ALDER_DEVICE uint32_t blocks_z();

// ---- shared memory

// The block's dynamic shared memory as one struct; 1024-byte aligned. Holds no values at the start.
template <typename T>
ALDER_DEVICE T& shared(Site site = Site::here());
ALDER_DEVICE uint32_t shared_address(const void* pointer, Site site = Site::here());

// ---- meeting points

// All threads of the block that have not left the kernel; orders their memory accesses.
ALDER_DEVICE void sync_block(Site site = Site::here());
// The same, and tells everybody whether any / whether all / how many gave true.
ALDER_DEVICE bool sync_block_any(bool predicate, Site site = Site::here());
ALDER_DEVICE bool sync_block_all(bool predicate, Site site = Site::here());
ALDER_DEVICE int sync_block_count(bool predicate, Site site = Site::here());
// Named barriers 1 .. 15 (0 is sync_block's) of `threads` arrivals, a multiple of 32. `arrive` does not wait.
ALDER_DEVICE void barrier_sync(uint32_t id, uint32_t threads, Site site = Site::here());
ALDER_DEVICE void barrier_arrive(uint32_t id, uint32_t threads, Site site = Site::here());
// The lanes of `mask`; orders their memory accesses. There is no warp synchrony without it.
ALDER_DEVICE void sync_warp(uint32_t mask = kFullMask, Site site = Site::here());

// ---- between the lanes of a warp. T has 4 or 8 bytes. These do not order memory accesses.

template <typename T>
ALDER_DEVICE T shuffle(T value, uint32_t from_lane, uint32_t mask = kFullMask, Site site = Site::here());
template <typename T>
ALDER_DEVICE T shuffle_xor(T value, uint32_t lanes, uint32_t mask = kFullMask, Site site = Site::here());
template <typename T>  // lane l receives lane l - by; lanes below `by` keep their own
ALDER_DEVICE T shuffle_up(T value, uint32_t by, uint32_t mask = kFullMask, Site site = Site::here());
template <typename T>  // lane l receives lane l + by
ALDER_DEVICE T shuffle_down(T value, uint32_t by, uint32_t mask = kFullMask, Site site = Site::here());
ALDER_DEVICE uint32_t ballot(bool predicate, uint32_t mask = kFullMask, Site site = Site::here());
ALDER_DEVICE bool any(bool predicate, uint32_t mask = kFullMask, Site site = Site::here());
ALDER_DEVICE bool all(bool predicate, uint32_t mask = kFullMask, Site site = Site::here());

// ---- order between threads that do not meet

ALDER_DEVICE void fence_block();
ALDER_DEVICE void fence_device();
ALDER_DEVICE void fence_system();  // also the host and other devices

// Atomics of device scope return the old value. Relaxed: they order nothing else. T: uint32_t, uint64_t, int,
// float.
template <typename T>
ALDER_DEVICE T atomic_add(T* address, T value, Site site = Site::here());
template <typename T>  // uint32_t, int
ALDER_DEVICE T atomic_max(T* address, T value, Site site = Site::here());
template <typename T>  // uint32_t, int
ALDER_DEVICE T atomic_exchange(T* address, T value, Site site = Site::here());
ALDER_DEVICE uint32_t atomic_compare_exchange(uint32_t* address, uint32_t expected, uint32_t value,
                                              Site site = Site::here());
// Acquire and release, so that a ticket hands over what its holder wrote (and, after a block barrier, what
// the whole block wrote).
ALDER_DEVICE uint32_t atomic_add_acq_rel(uint32_t* address, uint32_t value, Site site = Site::here());
// The same with wrap-around: 0, 1, .. last, 0, ..; leaves the counter ready for the next launch.
ALDER_DEVICE uint32_t take_ticket(uint32_t* counter, uint32_t last, Site site = Site::here());
// T: uint32_t or uint64_t. Device scope, and system scope for flags of the host or of another device.
template <typename T>
ALDER_DEVICE T load_acquire(const T* address, Site site = Site::here());
template <typename T>
ALDER_DEVICE void store_release(T* address, T value, Site site = Site::here());
template <typename T>
ALDER_DEVICE T load_acquire_system(const T* address, Site site = Site::here());
template <typename T>
ALDER_DEVICE void store_release_system(T* address, T value, Site site = Site::here());

// Whether this block is the last of `blocks` to come here, told to all its threads. What the others wrote
// before is then visible to it. `counter`: one word in global memory, 0 before the first launch, 0 again
// afterwards.
ALDER_DEVICE bool last_block_here(uint32_t* counter, uint32_t blocks, Site site = Site::here());

// ---- memory as vectors

// streaming: read or written once, evict first. read_only: nobody writes it during the launch.
enum class Cache : uint8_t { normal, streaming, read_only };

// V: 4, 8 or 16 bytes, at an address that is a multiple of its size. Global memory; with Cache::normal also
// shared. Operands in shared memory that wgmma or a bulk store will read must be written by `store`, so that
// the emulator can see whether a fence_async_proxy is missing.
template <typename V, Cache C = Cache::normal>
ALDER_DEVICE V load(const void* address, Site site = Site::here());
template <Cache C = Cache::normal, typename V>
ALDER_DEVICE void store(void* address, const V& value, Site site = Site::here());

// ---- bf16: 16-bit lanes, two to a word, the first in the low half. Rounded to nearest, ties to even; NaN is
// 0x7FFF.

ALDER_DEVICE uint16_t to_bf16(float value);
ALDER_DEVICE float from_bf16(uint16_t value);
ALDER_DEVICE uint32_t pack_bf16(float low, float high);
ALDER_DEVICE float low_bf16(uint32_t pair);
ALDER_DEVICE float high_bf16(uint32_t pair);
ALDER_DEVICE uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c);       // a * b + c, rounded once
ALDER_DEVICE uint32_t fma_relu_bf16x2(uint32_t a, uint32_t b, uint32_t c);  // the same, at least 0

// ---- float32 that rounds as written: never contracted. (a * b + c in plain C++ is, or is not, a fused
// operation.)

ALDER_DEVICE float multiply(float a, float b);
ALDER_DEVICE float add(float a, float b);
ALDER_DEVICE float fused_multiply_add(float a, float b, float c);

// ---- asynchronous copies from global to shared memory (sm_80), in groups of the calling thread

// 16 bytes; both sides 16-byte aligned. `valid` false: reads nothing and writes zeros (a halo).
ALDER_DEVICE void cp_async16(uint32_t shared, const void* global, bool valid = true,
                             Site site = Site::here());
// 4 bytes, for rows that are not 16-byte aligned.
ALDER_DEVICE void cp_async4(uint32_t shared, const void* global, bool valid = true, Site site = Site::here());
ALDER_DEVICE void cp_async_commit();
// Waits until at most `Left` of this thread's groups are under way. Others see the bytes after a barrier.
template <int Left>
ALDER_DEVICE void cp_async_wait();

// ---- tensor cores (sm_80)

// N = 1, 2 or 4 matrices of 8x8 16-bit values; lane l gives the shared address of row l % 8 of matrix l / 8
// (16 bytes, 16-byte aligned) and receives of each matrix the pair (l / 4, 2 * (l % 4)), of the transposed
// one if wanted.
template <bool Transposed = false, int N>
ALDER_DEVICE void ldmatrix(uint32_t (&registers)[N], uint32_t shared, Site site = Site::here());

// d += a * b: 16x16 by 16x8, bf16 to float32. With g = lane / 4, t = lane % 4, registers hold
//   a: (g, 2t..) (g+8, 2t..) (g, 2t+8..) (g+8, 2t+8..)   pairs along k
//   b: (2t.., g) (2t+8.., g)                             pairs along k
//   d: (g, 2t) (g, 2t+1) (g+8, 2t) (g+8, 2t+1)
ALDER_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                      Site site = Site::here());
// Rows x Columns of them: d[i][j] += a[i] * b[j]. One meeting point in the emulator: much quicker there.
template <int Rows, int Columns>
ALDER_DEVICE void mma_tile(float (&d)[Rows][Columns][4], const uint32_t (&a)[Rows][4],
                           const uint32_t (&b)[Columns][2], Site site = Site::here());

// Ends the launch with an error. The emulator reports the message; the device prints it.
ALDER_DEVICE void trap(const char* message, Site site = Site::here());

}  // namespace alder::ALDER_BACKEND::isa

#include "cuda/isa/hopper.hpp"
#if defined(__CUDACC__)
#include "cuda/isa/device.hpp"
#include "cuda/isa/device_hopper.hpp"
#else
#include "cuda/isa/emulated.hpp"
#include "cuda/isa/emulated_hopper.hpp"
#endif
