// The half of isa.hpp that needs sm_90a. Kernels that use it guard their body with `if constexpr
// (isa::kHopper)`.
//
// Two proxies look at shared memory: ordinary loads, stores and cp.async are the generic one, bulk copies and
// wgmma the asynchronous one. What a thread wrote through the generic proxy, the asynchronous one sees after
// that thread's fence_async_proxy() and a meeting point. What a bulk copy wrote, everybody sees who waits for
// its mbarrier.
#pragma once

#include "cuda/isa/tensor_map.hpp"

namespace alder::ALDER_BACKEND::isa {

// ---- mbarriers: in shared memory, phases that end when all arrivals have come and all expected bytes have
// landed

struct alignas(8) Mbarrier {
  uint64_t opaque;
};

// By one thread; then mbarrier_init_fence and sync_block, before anybody uses it.
ALDER_DEVICE void mbarrier_init(Mbarrier& barrier, uint32_t arrivals, Site site = Site::here());
ALDER_DEVICE void mbarrier_init_fence();
ALDER_DEVICE void mbarrier_arrive(Mbarrier& barrier, Site site = Site::here());
// One arrival, and `bytes` (below 2^20) more to land in this phase. To be called before the copies are
// issued.
ALDER_DEVICE void mbarrier_arrive_expect(Mbarrier& barrier, uint32_t bytes, Site site = Site::here());
ALDER_DEVICE void mbarrier_expect(Mbarrier& barrier, uint32_t bytes, Site site = Site::here());
// Returns when the phase of this parity has ended: 0 for the first, 1 for the second, 0, .. Before the first
// phase has ended, parity 1 counts as ended: a producer's first wait for an empty stage. Ends the launch with
// an error after kWaitSeconds.
inline constexpr uint64_t kWaitSeconds = 20;
ALDER_DEVICE void mbarrier_wait(Mbarrier& barrier, uint32_t parity, Site site = Site::here());

// ---- bulk copies: issued by one thread, carried out by the copy engine

// `bytes`: a multiple of 16, both sides 16-byte aligned; completes on the mbarrier.
ALDER_DEVICE void bulk_load(void* shared, const void* global, uint32_t bytes, Mbarrier& barrier,
                            Site site = Site::here());
// A box of a tiled map, its corner at the coordinates (innermost first, may be negative). Elements outside of
// the tensor become the map's fill. `shared` is 128-byte aligned, with a swizzle usually a multiple of its
// period. All bytes of the box count for the mbarrier, filled ones too.
template <int Rank>
ALDER_DEVICE void tma_load(void* shared, const TensorMap& map, Mbarrier& barrier,
                           const int (&coordinates)[Rank], Site site = Site::here());
// A column of pixels of an im2col map: {channel, w, h, n} is the first, the others follow along w, then h,
// then n within the map's bounding box; each is read at (w + offset_w, h + offset_h).
ALDER_DEVICE void tma_load_im2col(void* shared, const TensorMap& map, Mbarrier& barrier,
                                  const int (&coordinates)[4], uint16_t offset_w, uint16_t offset_h,
                                  Site site = Site::here());
ALDER_DEVICE void tma_prefetch(const TensorMap& map);

// From shared to global memory, in groups of the issuing thread. Elements outside of the tensor are not
// written.
ALDER_DEVICE void bulk_store(void* global, const void* shared, uint32_t bytes, Site site = Site::here());
template <int Rank>
ALDER_DEVICE void tma_store(const TensorMap& map, const void* shared, const int (&coordinates)[Rank],
                            Site site = Site::here());
ALDER_DEVICE void bulk_store_commit();
// Until at most `Left` groups still read shared memory; needed before it is written again and before the
// block ends.
template <int Left>
ALDER_DEVICE void bulk_store_wait_read();
// Until at most `Left` groups are not yet visible in global memory.
template <int Left>
ALDER_DEVICE void bulk_store_wait();

ALDER_DEVICE void fence_async_proxy();

// ---- wgmma: four warps multiply 64 x 16 by 16 x N, bf16 to float32, asynchronously

// Which index of an operand runs fastest in memory: that of the sum, or that of the rows (A) or columns (B).
enum class Major : uint8_t { k, mn };

// An operand in shared memory, in 16-byte chunks; `start` is the shared address of its first element, a
// multiple of 16.
//   Major::k, without swizzle: eight rows x 16 bytes are 128 adjacent bytes; `leading` bytes to the next
//   eight of k,
//     `stride` bytes to the next eight rows.
//   Major::k, with a swizzle of S bytes: rows of S bytes, `stride` bytes to the next eight rows; `leading` is
//     ignored; a step of 16 along k adds 32 to `start`.
//   Major::mn, without swizzle: eight k x 16 bytes are 128 adjacent bytes; `leading` bytes to the next eight
//   k,
//     `stride` bytes to the next eight rows.
//   Major::mn, with a swizzle of S bytes: a line of S bytes holds S / 2 rows of one k; eight lines for eight
//   k;
//     `stride` bytes to the next eight k, `leading` bytes to the next S / 2 rows.
ALDER_HOST_DEVICE constexpr uint64_t matrix_descriptor(uint32_t start, Swizzle swizzle, uint32_t leading,
                                                       uint32_t stride) {
  constexpr uint64_t kLayouts[] = {0, 3, 2, 1};  // by Swizzle
  constexpr uint32_t kMask = 0x3FFFF;            // 14 bits, in units of 16 bytes
  return uint64_t{(start & kMask) >> 4} | uint64_t{(leading & kMask) >> 4} << 16 |
         uint64_t{(stride & kMask) >> 4} << 32 | kLayouts[static_cast<int>(swizzle)] << 62;
}

// Between writing the registers that wgmma will use and the first wgmma of a batch.
ALDER_DEVICE void wgmma_fence(Site site = Site::here());
// d = a * b (+ d if `accumulate`), by all four warps of a warpgroup (threads 128 i .. 128 i + 127) alike. N
// is a multiple of 8 up to 256. Warp w of the four holds rows 16 w + (g, g + 8); with g = lane / 4, t = lane
// % 4:
//   d[4 j + 0..3]: (g, 8 j + 2 t) (g, 8 j + 2 t + 1) (g + 8, 8 j + 2 t) (g + 8, 8 j + 2 t + 1)
template <int N, Major A = Major::k, Major B = Major::k, int Registers>
ALDER_DEVICE void wgmma(float (&d)[Registers], uint64_t a, uint64_t b, bool accumulate,
                        Site site = Site::here());
// With A in registers, as mma's.
template <int N, Major B = Major::k, int Registers>
ALDER_DEVICE void wgmma_registers(float (&d)[Registers], const uint32_t (&a)[4], uint64_t b, bool accumulate,
                                  Site site = Site::here());
ALDER_DEVICE void wgmma_commit(Site site = Site::here());
// Until at most `Left` committed groups are under way. Until then nobody may touch the accumulators or
// overwrite the operands.
template <int Left>
ALDER_DEVICE void wgmma_wait(Site site = Site::here());
// Keeps the compiler from moving uses of these registers across: after wgmma_wait on accumulators to be read,
// and before wgmma_fence on those that were written.
template <int N>
ALDER_DEVICE void pin(float (&registers)[N]);
template <int M, int N>
ALDER_DEVICE void pin(float (&registers)[M][N]);

// By all warps of a warpgroup: gives registers up, or takes them. Count: a multiple of 8 from 24 to 256, a
// thread.
template <int Count>
ALDER_DEVICE void registers_decrease(Site site = Site::here());
template <int Count>
ALDER_DEVICE void registers_increase(Site site = Site::here());

// ---- clusters

ALDER_DEVICE uint32_t cluster_rank();
ALDER_DEVICE uint32_t cluster_blocks();
// All threads of all blocks of the cluster; orders their memory accesses. No block may leave while others use
// its shared memory.
ALDER_DEVICE void cluster_sync(Site site = Site::here());
// The same place in the shared memory of block `rank`.
template <typename T>
ALDER_DEVICE T* cluster_shared(T* own, uint32_t rank, Site site = Site::here());
ALDER_DEVICE void mbarrier_arrive_remote(Mbarrier& own, uint32_t rank, Site site = Site::here());

// ---- programmatic dependent launch: allowed before sm_90 too, where they do nothing

// Until the preceding kernels have ended and what they wrote is visible.
ALDER_DEVICE void grid_dependency_wait();
// The next kernel may begin when all blocks have called this or ended.
ALDER_DEVICE void grid_dependency_launch();

// ---- the fill of tensor maps as a mark: fma_relu_bf16x2, but 0 where `a` is the out-of-bounds NaN (0x7FFF)
ALDER_DEVICE uint32_t fma_relu_filled_bf16x2(uint32_t a, uint32_t b, uint32_t c);

}  // namespace alder::ALDER_BACKEND::isa
