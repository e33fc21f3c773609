// Weight gradient of 3x3 filters with stride 1 for sm_90a: all nine taps of a block of filters and channels
// from the same patches.
//
//   rows     64 filters
//   columns  64 or 80 channels, for each of nine taps
//   summed   pixels: of a patch, 16 at a time, two neighbouring lines of a cell
//
// Both operands are MN-major views of the layout of patches.hpp. Three warpgroups own one filter row each and
// share a patch of x, which they read at their three taps; the gradients of the 16 pixels are loaded into
// registers once and multiplied with three operands from shared memory. A fourth warpgroup gathers.
//
// Patches are dealt out over `splits` blocks. Those of a cluster add their sums up through each other's
// shared memory, in the order of their ranks, so that few parts are left for the second pass (split_sum.hpp).
#pragma once

#include "cuda/kernels/norm_chunk.hpp"
#include "cuda/kernels/sm90/patches.hpp"
#include "cuda/kernels/sm90/ring.hpp"
#include "cuda/kernels/team.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

struct WeightGradientKernelArguments {
  const uint16_t* x = nullptr;
  const uint16_t* dy = nullptr;
  float* dw = nullptr;  // [cluster of splits][filter][tap][channel]
  int channels = 0, filters = 0;
  int channel_blocks = 0;  // block_y counts channel blocks, then filter blocks; block_x the splits
  NormAffine norm;         // of x
  Patches patches;         // with halo, of the forward lattice
};

template <int kChannelsOf>
struct WeightGradientTile {
  static constexpr int kFilters = 64, kChannels = kChannelsOf, kStages = 2;
  static constexpr int kFilterPlanes = kFilters / 8, kChannelPlanes = kChannels / 8;
  static constexpr int kFilterRows = 3, kFilterColumns = 3;
  static constexpr int kMultiplyThreads = kFilterRows * WarpgroupTeam::kThreads;
  static constexpr int kGatherThreads = WarpgroupTeam::kThreads;
  static constexpr int kThreads = kMultiplyThreads + kGatherThreads;
  // 80 channels are 120 registers of sums. Gathering has time enough to do with few.
  static constexpr int kGatherRegisters = kChannels > 64 ? 32 : 56;
  static constexpr int kMultiplyRegisters = kChannels > 64 ? 160 : 152;
  static_assert(kGatherRegisters * kGatherThreads + kMultiplyRegisters * kMultiplyThreads <= 65536);

  // Gradients have no halo: cell after cell, 64 pixels each.
  static constexpr int kGradientPlane = plane_bytes(kPatchRows);
  struct Stage {
    unsigned char dy[kFilterPlanes * kGradientPlane];
    unsigned char x[kChannelPlanes * plane_bytes(kMostPixels)];
  };
  // The sums of one tap of each filter row, for the other blocks of the cluster to read. The pad turns each
  // filter by eight banks.
  static constexpr int kRowSums = kFilterRows * kChannels, kRowPitch = kRowSums + 8;
  struct Shared {
    union {
      alignas(128) Stage stages[kStages];
      float sums[kFilters * kRowPitch];
    };
    int x_pixel[kMostPixels], dy_pixel[kPatchRows];  // of the patch being gathered; -1: none
    isa::Mbarrier full[kStages], empty[kStages];
  };
  static_assert(sizeof(Shared) <= 227 * 1024);
};

template <typename Tile>
class WeightGradient {
 public:
  using Shared = typename Tile::Shared;

  ALDER_DEVICE WeightGradient(const WeightGradientKernelArguments& p, Shared& shared)
      : p_(p),
        shared_(shared),
        first_channel_(static_cast<int>(isa::block_y()) % p.channel_blocks * Tile::kChannels),
        first_filter_(static_cast<int>(isa::block_y()) / p.channel_blocks * Tile::kFilters) {}

  ALDER_DEVICE void make_barriers() {
    if (isa::thread() == 0) {
      for (int i = 0; i < Tile::kStages; ++i) {
        isa::mbarrier_init(shared_.full[i], Tile::kGatherThreads);
        isa::mbarrier_init(shared_.empty[i], Tile::kMultiplyThreads / isa::kWarpThreads);
      }
      isa::mbarrier_init_fence();
    }
    isa::sync_block();
  }

  // ---- kGatherThreads threads
  ALDER_DEVICE void gather(int thread) {
    Ring stages(Tile::kStages);
    for (int i = first_patch(); i < p_.patches.count; i += step(), stages.next()) {
      tabulate(p_.patches.at(i), thread);
      typename Tile::Stage& stage = shared_.stages[stages.stage];
      isa::mbarrier_wait(shared_.empty[stages.stage], stages.parity ^ 1);
      copy<Tile::kFilterPlanes>(stage.dy, Tile::kGradientPlane, p_.dy, p_.filters, first_filter_,
                                shared_.dy_pixel, kPatchRows, thread);
      copy<Tile::kChannelPlanes>(stage.x, p_.patches.plane, p_.x, p_.channels, first_channel_,
                                 shared_.x_pixel, p_.patches.pixels, thread);
      isa::cp_async_commit();
      isa::cp_async_wait<0>();
      if (p_.norm.wanted()) normalise(stage.x, thread);
      isa::fence_async_proxy();
      isa::mbarrier_arrive(shared_.full[stages.stage]);
    }
    isa::sync_block();  // nobody reads the stages any more
    for (int s = 0; s < Tile::kFilterColumns; ++s) add_up(s);
  }

  // ---- a warpgroup; `r`: its row of the filters
  ALDER_DEVICE void multiply(int r) {
    Sums sums;  // every split has a patch: the first products define it
    Ring stages(Tile::kStages);
    bool some = false;
    for (int i = first_patch(); i < p_.patches.count; i += step(), stages.next()) {
      isa::mbarrier_wait(shared_.full[stages.stage], stages.parity);
      ALDER_NO_UNROLL
      for (int cell = 0; cell < kCells; ++cell, some = true) {
        add_cell(shared_.stages[stages.stage], r, cell, some, sums);
      }
      isa::wgmma_wait<0>();
      if (isa::lane() == 0) isa::mbarrier_arrive(shared_.empty[stages.stage]);
    }
    isa::pin(sums);
    isa::sync_block();  // nobody reads the stages any more
    ALDER_UNROLL
    for (int s = 0; s < Tile::kFilterColumns; ++s) {
      put(r, sums[s]);
      add_up(s);
    }
  }

 private:
  using Sums = float[Tile::kFilterColumns][Tile::kChannels / 2];

  static ALDER_DEVICE int first_patch() { return static_cast<int>(isa::block_x()); }
  static ALDER_DEVICE int step() { return static_cast<int>(isa::blocks_x()); }

  ALDER_DEVICE void tabulate(const Patch& patch, int thread) {
    constexpr uint32_t kBarrier = 1;
    isa::barrier_sync(kBarrier, Tile::kGatherThreads);  // the last patch's tables are done with
    ALDER_NO_UNROLL
    for (int i = thread; i < p_.patches.pixels; i += Tile::kGatherThreads) {
      const Lattice::Source source = p_.patches.source(patch, i);
      shared_.x_pixel[i] = source.taps != 0 ? source.pixel : -1;
    }
    ALDER_NO_UNROLL
    for (int i = thread; i < kPatchRows; i += Tile::kGatherThreads) {
      shared_.dy_pixel[i] = p_.patches.result_pixel(patch, i / kCellPixels, i % kCellPixels);
    }
    isa::barrier_sync(kBarrier, Tile::kGatherThreads);
  }

  // Eight channels of a pixel at a time, the channels of a pixel by neighbouring threads.
  template <int kPlanes>
  ALDER_DEVICE void copy(unsigned char* to, int plane, const uint16_t* from, int channels, int first_channel,
                         const int* pixels, int count, int thread) {
    const uint32_t base = isa::shared_address(to);
    ALDER_NO_UNROLL
    for (int i = thread; i < count * kPlanes; i += Tile::kGatherThreads) {
      const int chunk = i % kPlanes, pixel = i / kPlanes, channel = first_channel + chunk * 8;
      const int source = pixels[pixel];
      const bool some = source >= 0 && channel < channels;
      isa::cp_async16(base + static_cast<uint32_t>(chunk * plane + pixel * 16),
                      from + (some ? source * channels + channel : 0), some);
    }
  }

  // The chunks that copy() gave this thread.
  ALDER_DEVICE void normalise(unsigned char* x, int thread) {
    ALDER_NO_UNROLL
    for (int i = thread; i < p_.patches.pixels * Tile::kChannelPlanes; i += Tile::kGatherThreads) {
      const int chunk = i % Tile::kChannelPlanes, pixel = i / Tile::kChannelPlanes;
      const int channel = first_channel_ + chunk * 8;
      if (shared_.x_pixel[pixel] < 0 || channel >= p_.channels) continue;
      NormOctet(p_.norm, channel).apply(x + chunk * p_.patches.plane + pixel * 16);
    }
  }

  // The 64 pixels of a cell: four steps of two lines. Ends with the products of the last step under way, all
  // others done.
  ALDER_DEVICE void add_cell(const typename Tile::Stage& stage, int r, int cell, bool some, Sums& sums) {
    const auto plane = static_cast<uint32_t>(p_.patches.plane);
    const auto line = static_cast<uint32_t>(p_.patches.line_bytes());
    const uint32_t x = isa::shared_address(stage.x) + static_cast<uint32_t>(p_.patches.cell_start(cell)) +
                       static_cast<uint32_t>(r) * line;
    // Two sets of registers: one is loaded while the products of the other are under way.
    uint32_t dy[2][4];
    ALDER_UNROLL
    for (int k = 0; k < kCell / 2; ++k) {
      load_gradients(dy[k % 2], stage, cell * kCellPixels + k * 16);
      isa::wgmma_fence();
      ALDER_UNROLL
      for (int s = 0; s < Tile::kFilterColumns; ++s) {
        const uint32_t tap = x + static_cast<uint32_t>(k) * 2 * line + static_cast<uint32_t>(s) * 16;
        const uint64_t b = isa::matrix_descriptor(tap, Swizzle::none, line, plane);
        isa::wgmma_registers<Tile::kChannels, isa::Major::mn>(sums[s], dy[k % 2], b, some || k > 0);
      }
      isa::wgmma_commit();
      isa::wgmma_wait<1>();
    }
  }

  // Sixteen filters (a warp's) of 16 pixels, pairs along the pixels: the transposing ldmatrix on two planes.
  ALDER_DEVICE void load_gradients(uint32_t (&a)[4], const typename Tile::Stage& stage, int pixel) {
    const int lane = static_cast<int>(isa::lane()), warp = static_cast<int>(isa::warp()) % 4;
    const int plane = warp * 2 + lane / 8 % 2, at = pixel + lane / 16 * 8 + lane % 8;
    isa::ldmatrix<true>(
        a, isa::shared_address(stage.dy) + static_cast<uint32_t>(plane * Tile::kGradientPlane + at * 16));
  }

  ALDER_DEVICE void put(int r, const float (&sums)[Tile::kChannels / 2]) {
    const int lane = static_cast<int>(isa::lane()), warp = static_cast<int>(isa::warp()) % 4;
    float* row = shared_.sums + (warp * 16 + lane / 4) * Tile::kRowPitch + r * Tile::kChannels + lane % 4 * 2;
    ALDER_UNROLL
    for (int j = 0; j < Tile::kChannels / 8; ++j) {
      isa::store(row + j * 8, isa::F32x2{{sums[j * 4], sums[j * 4 + 1]}});
      isa::store(row + 8 * Tile::kRowPitch + j * 8, isa::F32x2{{sums[j * 4 + 2], sums[j * 4 + 3]}});
    }
  }

  // By all threads of the cluster: each block adds up its share of what all have put, and writes it.
  ALDER_DEVICE void add_up(int s) {
    constexpr int kQuads = Tile::kFilters * Tile::kRowSums / 4,
                  kTaps = Tile::kFilterRows * Tile::kFilterColumns;
    const int blocks = static_cast<int>(isa::cluster_blocks()), rank = static_cast<int>(isa::cluster_rank());
    float* dw = p_.dw + int64_t{first_patch() / blocks} * p_.filters * kTaps * p_.channels;
    isa::cluster_sync();
    ALDER_NO_UNROLL
    for (int i = rank * Tile::kThreads + static_cast<int>(isa::thread()); i < kQuads;
         i += blocks * Tile::kThreads) {
      const int row = i / (Tile::kRowSums / 4), at = i % (Tile::kRowSums / 4) * 4;
      const int r = at / Tile::kChannels, channel = first_channel_ + at % Tile::kChannels;
      if (first_filter_ + row >= p_.filters || channel >= p_.channels) continue;
      isa::F32x4 sum = {};
      for (int block = 0; block < blocks; ++block) {
        const float* theirs = isa::cluster_shared(shared_.sums, static_cast<uint32_t>(block));
        const auto part = isa::load<isa::F32x4>(theirs + row * Tile::kRowPitch + at);
        ALDER_UNROLL
        for (int j = 0; j < 4; ++j) sum[j] += part[j];
      }
      const int tap = r * Tile::kFilterColumns + s;
      isa::store(dw + (int64_t{first_filter_ + row} * kTaps + tap) * p_.channels + channel, sum);
    }
    isa::cluster_sync();  // all have been read: room for the next, or leave to end
  }

  const WeightGradientKernelArguments& p_;
  Shared& shared_;
  const int first_channel_, first_filter_;
};

template <typename Tile>
ALDER_KERNEL(Tile::kThreads, 1)
weight_gradient_kernel(ALDER_PARAMETER WeightGradientKernelArguments p) {
  if constexpr (isa::kHopper) {
    WeightGradient<Tile> block(p, isa::shared<typename Tile::Shared>());
    block.make_barriers();
    // Told to be the same for all lanes, or the compiler takes the roles for divergent and wgmma for unsafe.
    const int warpgroup = static_cast<int>(isa::shuffle(isa::thread() / WarpgroupTeam::kThreads, 0));
    if (warpgroup < Tile::kFilterRows) {
      isa::registers_increase<Tile::kMultiplyRegisters>();
      block.multiply(warpgroup);
    } else {
      isa::registers_decrease<Tile::kGatherRegisters>();
      block.gather(static_cast<int>(isa::thread()) - Tile::kMultiplyThreads);
    }
  }
}

}  // namespace alder::ALDER_BACKEND::convolution::sm90
