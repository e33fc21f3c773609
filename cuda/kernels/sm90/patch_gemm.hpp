// Forward and data gradient for sm_90a: wgmma on patches that stay in shared memory for all taps.
//
//   rows     the 256 pixels of a patch, 128 for each of two multiplying warpgroups
//   columns  channels of the result
//   summed   slabs of 64 source channels; for each, all taps, as start addresses into the same patch
//
// A block lives as long as the launch: it takes patch after patch, always for the same columns, so that sums
// for statistics stay in registers to its end. Its roles:
//
//   gather_patches   three warps copy the pixels, put norm and ReLU on each of them once, and publish patches
//   stream_weights   one thread has the copy engine fetch slices of 64 channels of one tap for all columns
//   multiply         two warpgroups
//
// When all slices of its columns fit into the stages (those of 64 channels do), they are fetched once and
// stay. When a result also needs one patch only, the two warpgroups take turns: one multiplies while the
// other writes its results. (Neither can be ahead of the other where both read the same stream of weights or
// patches.)
#pragma once

#include "cuda/kernels/norm_chunk.hpp"
#include "cuda/kernels/result_tile.hpp"
#include "cuda/kernels/sm90/patches.hpp"
#include "cuda/kernels/sm90/ring.hpp"
#include "cuda/kernels/team.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

struct PatchGemmArguments {
  const uint16_t* source = nullptr;
  const uint16_t* weights = nullptr;  // read by way of the tensor map
  int source_channels = 0, slabs = 0;
  int weight_channels = 0;  // C
  int column_blocks = 0;    // divides the grid: neighbours share their patches
  int buffers = 0;          // of patches
  bool weights_stay = false;
  bool turns = false;
  NormAffine norm;  // of the source
  ResultArguments result;
  Patches patches;
};

// Forward weights [filter][tap, channel] are K-major columns; a slice is kColumns lines of 64 channels. For
// the data gradient they are MN-major: a slice is 64 filters, in boxes of 64 channels of dx.
template <int kColumnsOf, isa::Major kWeightsOf, int kStagesOf>
struct PatchGemmTile {
  static constexpr int kColumns = kColumnsOf, kStages = kStagesOf;
  static constexpr isa::Major kWeights = kWeightsOf;
  static constexpr int kLineBytes = kSlab * 2;  // the span of the 128-byte swizzle
  static constexpr int kBoxes = kWeights == isa::Major::mn ? (kColumns + kSlab - 1) / kSlab : 1;
  static constexpr int kBoxLines = kWeights == isa::Major::mn ? kSlab : kColumns;
  static constexpr int kBoxBytes = kBoxLines * kLineBytes;
  static constexpr int kSliceBytes = kBoxes * kBoxBytes;

  static constexpr int kWarpgroups = 2;  // that multiply
  static constexpr int kCellsEach = kCells / kWarpgroups;
  static constexpr int kMultiplyThreads = kWarpgroups * WarpgroupTeam::kThreads;
  static constexpr int kThreads = kMultiplyThreads + WarpgroupTeam::kThreads;
  static constexpr int kGatherThreads = WarpgroupTeam::kThreads - 32;
  static constexpr int kGatherRegisters = 56, kMultiplyRegisters = 224;
  static_assert(kGatherRegisters * WarpgroupTeam::kThreads + kMultiplyRegisters * kMultiplyThreads <=
                65536 / kThreads / 8 * 8 * kThreads);

  // Two with a halo, of which the next is fetched while nine taps are multiplied; three that serve one tap.
  static constexpr int kHaloBuffers = 2, kRowBuffers = 3;
  static constexpr int kHaloBytes = kHaloBuffers * kPlanes * plane_bytes(kMostPixels);
  static constexpr int kRowBytes = kRowBuffers * kPlanes * plane_bytes(kPatchRows);
  using Result = ResultTile<kCellPixels, kColumns, WarpgroupTeam>;

  struct Shared {
    alignas(1024) unsigned char weights[kStages][kSliceBytes];
    alignas(128) unsigned char patches[kHaloBytes > kRowBytes ? kHaloBytes : kRowBytes];
    typename Result::Shared result[kWarpgroups];
    Lattice::Source table[2][kMostPixels];  // of the patch being gathered and the one before it
    uint32_t told[kWarpgroups];
    isa::Mbarrier weights_full[kStages], weights_empty[kStages];
    isa::Mbarrier patch_full[kRowBuffers], patch_empty[kRowBuffers];
  };
  static_assert(sizeof(Shared) <= 227 * 1024);
  static_assert(kBoxBytes % 1024 == 0, "the swizzle's pattern repeats every 1024 bytes");
};

// Named barriers; 0 is the block's.
enum Barriers : uint32_t { kGatherBarrier = 1, kTeamBarrier = 2, kTurnBarrier = 4 };

template <typename Tile>
class PatchGemm {
 public:
  using Shared = typename Tile::Shared;

  ALDER_DEVICE PatchGemm(const PatchGemmArguments& p, Shared& shared) : p_(p), shared_(shared) {}

  ALDER_DEVICE void make_barriers() {
    constexpr uint32_t kReaders = Tile::kMultiplyThreads / isa::kWarpThreads;
    if (isa::thread() == 0) {
      for (int i = 0; i < Tile::kStages; ++i) {
        isa::mbarrier_init(shared_.weights_full[i], 1);
        isa::mbarrier_init(shared_.weights_empty[i], kReaders);
      }
      for (int i = 0; i < Tile::kRowBuffers; ++i) {
        isa::mbarrier_init(shared_.patch_full[i], Tile::kGatherThreads);
        isa::mbarrier_init(shared_.patch_empty[i], kReaders);
      }
      isa::mbarrier_init_fence();
    }
    isa::sync_block();
  }

  // ---- one thread
  ALDER_DEVICE void stream_weights(const TensorMap& map) {
    Ring stages(Tile::kStages);
    for (int i = first_patch(); i < p_.patches.count; i += step()) {
      const Lattice& lattice = *p_.patches.at(i).lattice;
      for (int slab = 0; slab < p_.slabs; ++slab) {
        for (int tap = 0; tap < lattice.taps; ++tap, stages.next()) {
          isa::mbarrier_wait(shared_.weights_empty[stages.stage], stages.parity ^ 1);
          load_slice(map, stages.stage, lattice.tap_weight[tap] * p_.weight_channels, slab * kSlab,
                     column_block() * Tile::kColumns);
        }
      }
      if (p_.weights_stay) return;
    }
  }

  // ---- kGatherThreads threads, `thread` their number
  ALDER_DEVICE void gather_patches(int thread) {
    Ring buffers(p_.buffers);
    const bool late = p_.patches.taps_at_once == 1;
    Gathered previous{};
    int table = 0;
    for (int i = first_patch(); i < p_.patches.count; i += step(), table ^= 1) {
      const Patch patch = p_.patches.at(i);
      tabulate(patch, table, thread);
      for (int slab = 0; slab < p_.slabs; ++slab) {
        for (int tap = 0; tap < p_.patches.patch_taps(patch); ++tap, buffers.next()) {
          const Gathered patch_here{table, slab, tap, buffers.stage, true};
          isa::mbarrier_wait(shared_.patch_empty[buffers.stage], buffers.parity ^ 1);
          copy(patch, patch_here, thread);
          isa::cp_async_commit();
          // Small patches are published one late, so that two are on their way at any time.
          if (late) {
            isa::cp_async_wait<1>();
            if (previous.some) publish(previous, thread);
          } else {
            isa::cp_async_wait<0>();
            publish(patch_here, thread);
          }
          previous = patch_here;
        }
      }
    }
    isa::cp_async_wait<0>();
    if (late && previous.some) publish(previous, thread);
  }

  // ---- a warpgroup, 0 or 1
  ALDER_DEVICE void multiply(int warpgroup) {
    const WarpgroupTeam team(kTeamBarrier + static_cast<uint32_t>(warpgroup), &shared_.told[warpgroup]);
    Ring stages(Tile::kStages), buffers(p_.buffers);
    const Turns turns(p_.turns, warpgroup);
    typename Tile::Result result(shared_.result[warpgroup], team, p_.result, column_block());
    int rows = 0;
    for (int i = first_patch(); i < p_.patches.count; i += step()) {
      const Patch patch = p_.patches.at(i);
      Sums sums;
      turns.begin();
      sum_up(patch, warpgroup, stages, buffers, sums);
      turns.end(i + step() < p_.patches.count);
      write(result, team, patch, warpgroup, sums);
      rows += p_.patches.result_rows(patch, warpgroup);
    }
    result.finish(first_patch() * Tile::kWarpgroups + warpgroup, rows);
  }

 private:
  // A patch, or one tap's, on its way.
  struct Gathered {
    int table, slab, tap, buffer;
    bool some;
  };

  // Of the two warpgroups: only one multiplies at a time.
  class Turns {
   public:
    ALDER_DEVICE Turns(bool wanted, int warpgroup) : wanted_(wanted), own_(static_cast<uint32_t>(warpgroup)) {
      if (wanted_ && own_ == 1) isa::barrier_arrive(kTurnBarrier, Tile::kMultiplyThreads);
    }
    ALDER_DEVICE void begin() const {
      if (wanted_) isa::barrier_sync(kTurnBarrier + own_, Tile::kMultiplyThreads);
    }
    // `more`: this warpgroup will begin again. Nobody waits for the last turn of the second one.
    ALDER_DEVICE void end(bool more) const {
      if (wanted_ && (own_ == 0 || more)) {
        isa::barrier_arrive(kTurnBarrier + (own_ ^ 1), Tile::kMultiplyThreads);
      }
    }

   private:
    bool wanted_;
    uint32_t own_;
  };

  using Sums = float[Tile::kCellsEach][Tile::kColumns / 2];

  ALDER_DEVICE int first_patch() const { return static_cast<int>(isa::block_x()) / p_.column_blocks; }
  ALDER_DEVICE int step() const { return static_cast<int>(isa::blocks_x()) / p_.column_blocks; }
  ALDER_DEVICE int column_block() const { return static_cast<int>(isa::block_x()) % p_.column_blocks; }
  ALDER_DEVICE unsigned char* buffer(int i) const { return shared_.patches + i * p_.patches.bytes(); }
  // Steps of 16 channels in a slab. The last may reach over the channels' end: there the patch holds zeros.
  ALDER_DEVICE int steps_of(int slab) const {
    const int left = p_.source_channels - slab * kSlab;
    return left >= kSlab ? kSlab / 16 : (left + 15) / 16;
  }

  ALDER_DEVICE void load_slice(const TensorMap& map, int stage, int tap_column, int summed, int column) {
    isa::Mbarrier& full = shared_.weights_full[stage];
    isa::mbarrier_arrive_expect(full, Tile::kSliceBytes);
    if constexpr (Tile::kWeights == isa::Major::k) {
      isa::tma_load(shared_.weights[stage], map, full, {tap_column + summed, column});
    } else {
      ALDER_UNROLL
      for (int box = 0; box < Tile::kBoxes; ++box) {
        isa::tma_load(shared_.weights[stage] + box * Tile::kBoxBytes, map, full,
                      {tap_column + column + box * kSlab, summed});
      }
    }
  }

  ALDER_DEVICE void tabulate(const Patch& patch, int table, int thread) {
    isa::barrier_sync(kGatherBarrier, Tile::kGatherThreads);  // the table before the last is done with
    ALDER_NO_UNROLL
    for (int i = thread; i < p_.patches.pixels; i += Tile::kGatherThreads) {
      shared_.table[table][i] = p_.patches.source(patch, i);
    }
    isa::barrier_sync(kGatherBarrier, Tile::kGatherThreads);
  }

  // Eight threads to a pixel, one for each plane.
  static constexpr int kPixelsAtOnce = Tile::kGatherThreads / kPlanes;

  ALDER_DEVICE void copy(const Patch& patch, const Gathered& g, int thread) {
    const int plane = thread % kPlanes, channel = g.slab * kSlab + plane * 8;
    if (plane >= 2 * steps_of(g.slab)) return;
    const bool exists = channel < p_.source_channels;
    const int tap_pixel = p_.patches.taps_at_once == 1 ? patch.lattice->tap_pixel[g.tap] : 0;
    const uint32_t to =
        isa::shared_address(buffer(g.buffer)) + static_cast<uint32_t>(plane * p_.patches.plane);
    for (int i = thread / kPlanes; i < p_.patches.pixels; i += kPixelsAtOnce) {
      const Lattice::Source source = shared_.table[g.table][i];
      const bool some = exists && (source.taps >> g.tap & 1);
      const int at = some ? (source.pixel + tap_pixel) * p_.source_channels + channel : 0;
      isa::cp_async16(to + static_cast<uint32_t>(i * 16), p_.source + at, some);
    }
  }

  // The calling thread's copies have landed: norm, and the news to the multiplying warpgroups, who look
  // through the asynchronous proxy.
  ALDER_DEVICE void publish(const Gathered& g, int thread) {
    const int plane = thread % kPlanes, channel = g.slab * kSlab + plane * 8;
    if (p_.norm.wanted() && channel < p_.source_channels) {
      const NormOctet norm(p_.norm, channel);
      unsigned char* at = buffer(g.buffer) + plane * p_.patches.plane;
      ALDER_NO_UNROLL
      for (int i = thread / kPlanes; i < p_.patches.pixels; i += kPixelsAtOnce) {
        if (shared_.table[g.table][i].taps >> g.tap & 1) norm.apply(at + i * 16);
      }
    }
    isa::fence_async_proxy();
    isa::mbarrier_arrive(shared_.patch_full[g.buffer]);
  }

  ALDER_DEVICE void sum_up(const Patch& patch, int warpgroup, Ring& stages, Ring& buffers, Sums& sums) {
    if (p_.weights_stay) stages = Ring(Tile::kStages);
    const int together = p_.patches.taps_at_once;
    bool some = false;  // products before this one
    Release before;
    for (int slab = 0; slab < p_.slabs; ++slab) {
      for (int first = 0; first < patch.lattice->taps; first += together, buffers.next()) {
        isa::mbarrier_wait(shared_.patch_full[buffers.stage], buffers.parity);
        for (int tap = first; tap < first + together; ++tap, stages.next(), some = true) {
          isa::mbarrier_wait(shared_.weights_full[stages.stage], stages.parity);
          add_products(patch, warpgroup, slab, tap, stages.stage, buffers.stage, some, sums);
          isa::wgmma_wait<1>();  // the products before these
          release(before);
          before = {p_.weights_stay ? nullptr : &shared_.weights_empty[stages.stage],
                    tap + 1 == first + together ? &shared_.patch_empty[buffers.stage] : nullptr};
        }
      }
    }
    isa::wgmma_wait<0>();
    release(before);
    isa::pin(sums);
    if (some) return;
    ALDER_UNROLL
    for (auto& cell : sums) {
      ALDER_UNROLL
      for (float& sum : cell) sum = 0;
    }
  }

  // What is free when the products under way are done.
  struct Release {
    isa::Mbarrier* weights = nullptr;
    isa::Mbarrier* patch = nullptr;
  };
  static ALDER_DEVICE void release(const Release& what) {
    if (isa::lane() != 0) return;
    if (what.weights != nullptr) isa::mbarrier_arrive(*what.weights);
    if (what.patch != nullptr) isa::mbarrier_arrive(*what.patch);
  }

  ALDER_DEVICE void add_products(const Patch& patch, int warpgroup, int slab, int tap, int stage,
                                 int patch_buffer, bool some, Sums& sums) {
    const uint32_t weights = isa::shared_address(shared_.weights[stage]);
    const uint32_t pixels = isa::shared_address(buffer(patch_buffer));
    const auto plane = static_cast<uint32_t>(p_.patches.plane);
    const auto line = static_cast<uint32_t>(p_.patches.line_bytes());
    uint32_t cells[Tile::kCellsEach];
    ALDER_UNROLL
    for (int i = 0; i < Tile::kCellsEach; ++i) {
      cells[i] =
          pixels + static_cast<uint32_t>(p_.patches.cell_start(patch, warpgroup * Tile::kCellsEach + i, tap));
    }
    const int steps = steps_of(slab);
    const auto product = [&](int k) {
      const auto at = static_cast<uint32_t>(k);
      const uint64_t b = weights_descriptor(weights, at);
      ALDER_UNROLL
      for (int i = 0; i < Tile::kCellsEach; ++i) {
        const uint64_t a = isa::matrix_descriptor(cells[i] + at * 2 * plane, Swizzle::none, plane, line);
        isa::wgmma<Tile::kColumns, isa::Major::k, Tile::kWeights>(sums[i], a, b, some || k > 0);
      }
    };
    if (steps == kSlab / 16) {
      isa::wgmma_fence();
      ALDER_UNROLL
      for (int k = 0; k < kSlab / 16; ++k) product(k);
      isa::wgmma_commit();
    } else {
      ALDER_NO_UNROLL
      for (int k = 0; k < steps; ++k) {
        isa::wgmma_fence();
        product(k);
      }
      isa::wgmma_commit();
    }
  }

  // Of 16 values of the summed index: 32 bytes along the lines, or 16 lines.
  static ALDER_DEVICE uint64_t weights_descriptor(uint32_t slice, uint32_t k) {
    constexpr uint32_t kEightLines = 8 * Tile::kLineBytes;
    if constexpr (Tile::kWeights == isa::Major::k) {
      return isa::matrix_descriptor(slice + k * 32, Swizzle::bytes128, 16, kEightLines);
    } else {
      return isa::matrix_descriptor(slice + k * 2 * kEightLines, Swizzle::bytes128, Tile::kBoxBytes,
                                    kEightLines);
    }
  }

  ALDER_DEVICE void write(typename Tile::Result& result, const WarpgroupTeam& team, const Patch& patch,
                          int warpgroup, const Sums& sums) {
    const int g = static_cast<int>(isa::lane()) / 4, t = static_cast<int>(isa::lane()) % 4;
    const int row = team.thread() / 32 * 16 + g;
    ALDER_UNROLL
    for (int i = 0; i < Tile::kCellsEach; ++i) {
      team.sync();  // shared memory is free again
      ALDER_UNROLL
      for (int j = 0; j < Tile::kColumns / 8; ++j) {
        result.put(row, j * 8 + t * 2, sums[i][j * 4], sums[i][j * 4 + 1]);
        result.put(row + 8, j * 8 + t * 2, sums[i][j * 4 + 2], sums[i][j * 4 + 3]);
      }
      team.sync();
      const int cell = warpgroup * Tile::kCellsEach + i;
      result.store([&](int r) { return p_.patches.result_pixel(patch, cell, r); });
    }
  }

  const PatchGemmArguments& p_;
  Shared& shared_;
};

template <typename Tile>
ALDER_KERNEL(Tile::kThreads, 1)
patch_gemm(ALDER_PARAMETER PatchGemmArguments p, ALDER_PARAMETER TensorMap weights) {
  if constexpr (isa::kHopper) {
    PatchGemm<Tile> block(p, isa::shared<typename Tile::Shared>());
    block.make_barriers();
    // Told to be the same for all lanes, or the compiler takes the roles for divergent and wgmma for unsafe.
    const int warpgroup = static_cast<int>(isa::shuffle(isa::thread() / WarpgroupTeam::kThreads, 0));
    if (warpgroup < Tile::kWarpgroups) {
      isa::registers_increase<Tile::kMultiplyRegisters>();
      block.multiply(warpgroup);
      return;
    }
    isa::registers_decrease<Tile::kGatherRegisters>();
    const int thread = static_cast<int>(isa::thread()) - Tile::kMultiplyThreads - 32;
    if (thread >= 0) {
      block.gather_patches(thread);
    } else if (isa::lane() == 0) {
      block.stream_weights(weights);
    }
  }
}

}  // namespace alder::ALDER_BACKEND::convolution::sm90
