// What cuda/isa/emulated.hpp calls: the emulated instructions. Each checks what the hardware only trusts, and
// ends the launch with a report when it is not so. Meanings and arguments are documented in cuda/isa/isa.hpp;
// `site` is the line of the kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/emulator/indices.hpp"
#include "cuda/emulator/site.hpp"
#include "cuda/isa/tensor_map.hpp"

namespace alder::emulator {

// ---- shared and global memory (shared_memory.cpp)
void* shared_memory(std::size_t bytes, std::size_t alignment, Site site);
uint32_t shared_address(const void* pointer, Site site);
// That `bytes` at a pointer lie in one allocation of device memory, or in this cluster's shared memory, and
// are aligned to their size. `what` names the instruction.
void check_access(const void* pointer, std::size_t bytes, const char* what, Site site);
void check_range(const void* pointer, std::size_t bytes, std::size_t alignment, const char* what, Site site);
void note_store(void* pointer, std::size_t bytes);  // through the generic proxy
[[noreturn]] void trap(const char* message, Site site);

// ---- meeting points (barriers.cpp, warp.cpp)
enum class Reduce : uint8_t { none, any, all, count };
int barrier_all(Reduce reduce, bool predicate, Site site);
void barrier_named(uint32_t id, uint32_t threads, bool wait, Site site);
void cluster_barrier(Site site);
void* cluster_pointer(void* shared, uint32_t rank, Site site);
void sync_warp(uint32_t mask, Site site);

enum class ShuffleMode : uint8_t { index, up, down, exclusive_or };
uint32_t shuffle(ShuffleMode mode, uint32_t mask, uint32_t value, uint32_t argument, Site site);
uint32_t ballot(uint32_t mask, bool predicate, Site site);
void fence();  // of any scope: all that is told to the race checker

// ---- tensor cores of sm_80 (matrix.cpp)
void ldmatrix(uint32_t* registers, int matrices, bool transposed, uint32_t address, Site site);
// d[i][j] += a[i] * b[j] for tile_rows x tile_columns products of m16n8k16, packed as isa::mma_tile's arrays
// are.
void mma(float* d, const uint32_t* a, const uint32_t* b, int tile_rows, int tile_columns, Site site);

// ---- cp.async (copies.cpp)
void cp_async(uint32_t to, const void* from, uint32_t bytes, uint32_t valid, Site site);
void cp_async_commit();
void cp_async_wait(uint32_t groups_left);

// ---- mbarriers, by shared address (mbarrier.cpp)
void mbarrier_init(uint32_t address, uint32_t count, Site site);
void mbarrier_arrive(uint32_t address, Site site);
void mbarrier_arrive_remote(uint32_t address, uint32_t rank, Site site);
void mbarrier_expect(uint32_t address, uint32_t bytes, bool and_arrive, Site site);
void mbarrier_wait(uint32_t address, uint32_t parity, Site site);

// ---- bulk copies (bulk.cpp)
void bulk_load(void* to, const void* from, uint32_t bytes, uint32_t mbarrier, Site site);
void tma_load(void* to, const TensorMap& map, uint32_t mbarrier, const int* coordinates, int rank, Site site);
void tma_load_im2col(void* to, const TensorMap& map, uint32_t mbarrier, const int* coordinates, int offset_w,
                     int offset_h, Site site);
void bulk_store(void* to, const void* from, uint32_t bytes, Site site);
void tma_store(const TensorMap& map, const void* from, const int* coordinates, int rank, Site site);
void bulk_store_commit();
void bulk_store_wait(uint32_t groups_left);
void fence_async_proxy();

// ---- wgmma (wgmma.cpp)
struct WgmmaArguments {
  int n;
  uint64_t a, b;                // descriptors
  const uint32_t* a_registers;  // null: A is in shared memory
  bool a_mn_major, b_mn_major;
  bool accumulate;
};
void wgmma_fence(Site site);
void wgmma(const WgmmaArguments& arguments, float* d, Site site);
void wgmma_commit(Site site);
void wgmma_wait(uint32_t groups_left, Site site);
void set_registers(uint32_t count, Site site);

void grid_dependency_wait();

}  // namespace alder::emulator
