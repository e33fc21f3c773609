// Forward and data gradient for sm_80: an implicit matrix product.
//
//   rows     pixels of a lattice (lattice.hpp)
//   columns  channels of the result
//   summed   taps x channels of the source, in slabs of eight chunks of eight channels. Chunks are counted
//            through the taps, so that a slab may reach over several of them and narrow layers waste nothing.
//
// The forward weights [filter][tap][channel] are K-major: a line is a filter, its chunks run as the slabs do.
// For the data gradient the same array is MN-major: a line is one (tap, filter), along it the channels of dx.
#pragma once

#include "cuda/kernels/lattice.hpp"
#include "cuda/kernels/norm_chunk.hpp"
#include "cuda/kernels/result_tile.hpp"
#include "cuda/kernels/sm80/operands.hpp"
#include "cuda/kernels/sm80/pipeline.hpp"
#include "cuda/kernels/team.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {

using namespace alder::ALDER_BACKEND::sm80;  // NOLINT: the building blocks are this namespace's own

struct GatherGemmArguments {
  const uint16_t* source = nullptr;
  const uint16_t* weights = nullptr;
  int source_channels = 0;  // C forward, K backward
  int weight_channels = 0;  // C
  int weight_taps = 0;      // of a filter
  Divider chunks_per_tap;   // source_channels / 8
  NormAffine norm;          // of the source
  ResultArguments result;
  Lattices lattices;  // one for each block_z
};

enum class Weights : uint8_t { k_major, mn_major };  // forward, data gradient

template <int kRowsOf, int kColumnsOf, int kRowWarpsOf, int kColumnWarpsOf, int kBlocksOf>
struct GatherGemmTile {
  static constexpr int kRows = kRowsOf, kColumns = kColumnsOf, kDepth = 64, kStages = 3;
  static constexpr int kRowWarps = kRowWarpsOf, kColumnWarps = kColumnWarpsOf;
  static constexpr int kThreads = kRowWarps * kColumnWarps * 32;
  static constexpr int kBlocks = kBlocksOf;  // on a multiprocessor of sm_80, at least
  static constexpr int kWarpRows = kRows / kRowWarps, kWarpColumns = kColumns / kColumnWarps;
  using Team = BlockTeam<kThreads>;
  using Result = ResultTile<kRows, kColumns, Team>;
  struct Stage {
    unsigned char source[kRows * kDepth * 2];
    unsigned char weights[kColumns * kDepth * 2];
  };
  union Shared {
    Stage stages[kStages];
    typename Result::Shared result;  // when the stages are done with
  };
  // A multiprocessor of sm_80 has 164 KiB and keeps one of them for itself with each block.
  static_assert(kBlocks * (sizeof(Shared) + 1024) <= 164 * 1024);
  static_assert(sizeof(Stage) % 128 == 0);
};

// A thread's share of the source: in every slab the same chunk of some rows.
template <typename Tile>
class SourceRows {
 public:
  using Operand = KMajor<Tile::kRows, Tile::kDepth>;
  static constexpr int kRowsApart = Tile::kThreads / Operand::kChunks;
  static constexpr int kCount = Tile::kRows / kRowsApart;
  static_assert(kCount * kRowsApart == Tile::kRows);

  ALDER_DEVICE SourceRows(const GatherGemmArguments& p, const Lattice& lattice, int first_row)
      : p_(p), lattice_(lattice) {
    ALDER_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const int row = first_row + line(i);
      const Lattice::Source source = lattice.source(row < lattice.rows ? row : 0);
      value_[i] = source.pixel * p.source_channels;
      met_[i] = row < lattice.rows ? source.taps : 0;
    }
  }

  ALDER_DEVICE void load(int slab, uint32_t tile) const {
    const Place place = here(slab);
    ALDER_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const bool some = met_[i] >> place.tap & 1;
      isa::cp_async16(tile + Operand::offset(line(i), chunk()),
                      p_.source + (some ? value_[i] + place.value : 0), some);
    }
  }

  // Padding stays zero: it is put around the normalised picture.
  ALDER_DEVICE void normalise(int slab, unsigned char* tile) const {
    const Place place = here(slab);
    if (place.tap >= lattice_.taps) return;
    const NormOctet norm(p_.norm, place.channel);
    ALDER_UNROLL
    for (int i = 0; i < kCount; ++i) {
      if (met_[i] >> place.tap & 1) norm.apply(tile + Operand::offset(line(i), chunk()));
    }
  }

 private:
  struct Place {
    int tap, channel, value;  // value: of the tap and channel, counted from the row's own
  };
  ALDER_DEVICE Place here(int slab) const {
    const int index = slab * Operand::kChunks + chunk();
    const int tap = p_.chunks_per_tap.quotient(index);
    if (tap >= lattice_.taps) return {31, 0, 0};  // behind the end: no row has met it
    const int channel = (index - tap * p_.chunks_per_tap.divisor()) * 8;
    return {tap, channel, lattice_.tap_pixel[tap] * p_.source_channels + channel};
  }
  static ALDER_DEVICE int chunk() { return static_cast<int>(isa::thread()) % Operand::kChunks; }
  static ALDER_DEVICE int line(int i) {
    return static_cast<int>(isa::thread()) / Operand::kChunks + i * kRowsApart;
  }

  const GatherGemmArguments& p_;
  const Lattice& lattice_;
  int value_[kCount];
  uint32_t met_[kCount];
};

// Its share of the weights.
template <typename Tile, Weights kWeights>
class WeightLines;

template <typename Tile>
class WeightLines<Tile, Weights::k_major> {
 public:
  using Operand = KMajor<Tile::kColumns, Tile::kDepth>;

  ALDER_DEVICE WeightLines(const GatherGemmArguments& p, const Lattice&, int first_column)
      : p_(p), first_(first_column) {}

  ALDER_DEVICE void load(int slab, uint32_t tile) const {
    const int chunk = static_cast<int>(isa::thread()) % Operand::kChunks;
    const int at = slab * Tile::kDepth + chunk * 8, length = p_.weight_taps * p_.weight_channels;
    ALDER_UNROLL
    for (int line = static_cast<int>(isa::thread()) / Operand::kChunks; line < Tile::kColumns;
         line += Tile::kThreads / Operand::kChunks) {
      const bool some = first_ + line < p_.result.channels && at < length;
      isa::cp_async16(tile + Operand::offset(line, chunk),
                      p_.weights + (some ? int64_t{first_ + line} * length + at : 0), some);
    }
  }

 private:
  const GatherGemmArguments& p_;
  int first_;
};

template <typename Tile>
class WeightLines<Tile, Weights::mn_major> {
 public:
  using Operand = MnMajor<Tile::kColumns, Tile::kDepth>;

  ALDER_DEVICE WeightLines(const GatherGemmArguments& p, const Lattice& lattice, int first_column)
      : p_(p), lattice_(lattice), first_(first_column) {}

  ALDER_DEVICE void load(int slab, uint32_t tile) const {
    const int chunk = static_cast<int>(isa::thread()) % Operand::kChunks;
    const int channel = first_ + chunk * 8;
    ALDER_UNROLL
    for (int line = static_cast<int>(isa::thread()) / Operand::kChunks; line < Tile::kDepth;
         line += Tile::kThreads / Operand::kChunks) {
      const int index = slab * Tile::kDepth / 8 + line / 8;
      const int tap = p_.chunks_per_tap.quotient(index);
      const bool some = tap < lattice_.taps && channel < p_.weight_channels;
      const int filter = (index - tap * p_.chunks_per_tap.divisor()) * 8 + line % 8;
      const int64_t at =
          some ? (int64_t{filter} * p_.weight_taps + lattice_.tap_weight[tap]) * p_.weight_channels + channel
               : 0;
      isa::cp_async16(tile + Operand::offset(line, chunk), p_.weights + at, some);
    }
  }

 private:
  const GatherGemmArguments& p_;
  const Lattice& lattice_;
  int first_;
};

template <typename Tile, Weights kWeights>
ALDER_KERNEL(Tile::kThreads, Tile::kBlocks)
gather_gemm(ALDER_PARAMETER GatherGemmArguments p) {
  const Lattice& lattice = p.lattices.at[isa::block_z()];
  const int column_block = static_cast<int>(isa::block_x()), tile = static_cast<int>(isa::block_y());
  const int first_row = tile * Tile::kRows;
  if (first_row >= lattice.rows) return;  // lattices of a launch differ in size

  auto& shared = isa::shared<typename Tile::Shared>();
  const SourceRows<Tile> source(p, lattice, first_row);
  const WeightLines<Tile, kWeights> weights(p, lattice, column_block * Tile::kColumns);
  const int warp = static_cast<int>(isa::warp());
  const int warp_row = warp % Tile::kRowWarps * Tile::kWarpRows;
  const int warp_column = warp / Tile::kRowWarps * Tile::kWarpColumns;
  WarpSums<Tile::kWarpRows, Tile::kWarpColumns> sums;

  constexpr int kSlabChunks = Tile::kDepth / 8;
  const int slabs = (lattice.taps * p.chunks_per_tap.divisor() + kSlabChunks - 1) / kSlabChunks;
  pipeline<Tile::kStages>(
      slabs,
      [&](int slab, int stage) {
        source.load(slab, isa::shared_address(shared.stages[stage].source));
        weights.load(slab, isa::shared_address(shared.stages[stage].weights));
      },
      [&](int slab, int stage) {
        if (p.norm.wanted()) source.normalise(slab, shared.stages[stage].source);
      },
      [&](int stage) {
        using A = typename SourceRows<Tile>::Operand;
        using B = typename WeightLines<Tile, kWeights>::Operand;
        sums.template multiply<A, B, Tile::kDepth>(isa::shared_address(shared.stages[stage].source),
                                                   isa::shared_address(shared.stages[stage].weights),
                                                   warp_row, warp_column);
      });

  const typename Tile::Team team;
  typename Tile::Result result(shared.result, team);
  sums.visit([&](int row, int column, float low, float high) {
    result.put(warp_row + row, warp_column + column, low, high);
  });
  team.sync();
  const int rows = lattice.rows - first_row < Tile::kRows ? lattice.rows - first_row : Tile::kRows;
  result.write(p.result, tile, column_block, rows,
               [&](int row) { return row < rows ? lattice.result_pixel(first_row + row) : -1; });
}

}  // namespace alder::ALDER_BACKEND::convolution::sm80
