// The way of a tile of results from accumulators to global memory: through shared memory, so that rows leave
// in whole 16-byte chunks, an addend comes in the same way, and each thread meets always the same eight
// channels, whose moments it keeps in registers.
//
//   shared memory        columns ->              a walk of 8 threads x 16 bytes (64 columns)
//     row 0   [ c0 | c1 | .. | c7 ] pad    thread  0   1   2   3   4   5   6   7
//     row 1   [ c0 | c1 | .. | c7 ] pad            8   9  ..
//
// The pad of 16 bytes turns each row by four banks: neither the walk nor the accumulators' pairs collide.
#pragma once

#include "cuda/isa/isa.hpp"
#include "cuda/kernels/statistics_merge.hpp"

namespace alder::ALDER_BACKEND {

// Eight bf16 as eight floats and back.
struct Octet {
  float v[8];

  static ALDER_DEVICE Octet unpack(const isa::U32x4& words) {
    Octet octet;
    ALDER_UNROLL
    for (int i = 0; i < 4; ++i) {
      octet.v[2 * i] = isa::low_bf16(words[i]);
      octet.v[2 * i + 1] = isa::high_bf16(words[i]);
    }
    return octet;
  }
  ALDER_DEVICE isa::U32x4 pack() const {
    isa::U32x4 words;
    ALDER_UNROLL
    for (int i = 0; i < 4; ++i) words[i] = isa::pack_bf16(v[2 * i], v[2 * i + 1]);
    return words;
  }
};

// What happens to a result on its way out. Arrays are [result pixel][channels] of bf16.
struct ResultArguments {
  uint16_t* result = nullptr;
  const uint16_t* addend = nullptr;
  int channels = 0;
  BatchStatistics statistics;
  MomentsScratch scratch;
};

template <int kRowsOf, int kColumnsOf, typename Team>
class ResultTile {
 public:
  static constexpr int kRows = kRowsOf, kColumns = kColumnsOf;
  static constexpr int kPitch = kColumns + 8;  // values
  static constexpr int kRowThreads = kColumns / 8;
  static constexpr int kRowsAtOnce = Team::kThreads / kRowThreads;  // some threads may be left over
  // Statistics are merged by blocks of columns that a team has threads for.
  static constexpr int kMergeColumns = kColumns <= Team::kThreads ? kColumns : kColumns / 2;
  static constexpr int kMerges = kColumns / kMergeColumns;
  static_assert(kColumns % 8 == 0 && kMergeColumns <= Team::kThreads && kMerges * kMergeColumns == kColumns);

  union Shared {
    alignas(16) uint16_t values[kRows * kPitch];
    isa::F32x2 sums[kRowsAtOnce][kColumns];  // when the values are written
    float merge[Team::kThreads];             // when the sums are added up
  };

  ALDER_DEVICE ResultTile(Shared& shared, const Team& team, const ResultArguments& to, int column_block)
      : shared_(shared), team_(team), to_(to), column_block_(column_block) {}

  // Two neighbouring columns of a row, the first one even. All rows of the tile, then sync() of the team,
  // then store(); before a next put(), sync() again.
  ALDER_DEVICE void put(int row, int column, float low, float high) {
    isa::store(&shared_.values[row * kPitch + column], isa::pack_bf16(low, high));
  }

  // Writes what was put. pixel(row): the row's pixel in the result, negative for a row that is none.
  template <typename Pixel>
  ALDER_DEVICE void store(const Pixel& pixel) {
    const int column = team_.thread() % kRowThreads * 8, first_row = team_.thread() / kRowThreads;
    const int channel = column_block_ * kColumns + column;
    if (channel >= to_.channels || first_row >= kRowsAtOnce) return;
    Octet shift = {};
    if (to_.statistics.wanted()) {
      ALDER_UNROLL
      for (int i = 0; i < 8; ++i) shift.v[i] = to_.statistics.running_mean[channel + i];
    }
    for (int row = first_row; row < kRows; row += kRowsAtOnce) {
      const int where = pixel(row);
      if (where < 0) continue;
      auto words = isa::load<isa::U32x4>(&shared_.values[row * kPitch + column]);
      const int64_t at = int64_t{where} * to_.channels + channel;
      if (to_.addend != nullptr) words = add(words, isa::load<isa::U32x4>(to_.addend + at));
      isa::store(to_.result + at, words);
      if (to_.statistics.wanted()) count(Octet::unpack(words), shift);
    }
  }

  // After all that this team stores of a tile: the statistics of its `rows` pixels. `tile` counts the teams'
  // tiles of one block of columns.
  ALDER_DEVICE void finish(int tile, int rows) {
    if (!to_.statistics.wanted()) return;
    share_sums();
    Moments moments[kMerges];
    ALDER_UNROLL
    for (int i = 0; i < kMerges; ++i) moments[i] = moments_of(i * kMergeColumns, rows);
    ALDER_UNROLL
    for (int i = 0; i < kMerges; ++i) {
      merge_statistics<kMergeColumns>(team_, to_.scratch, to_.statistics, tile, column_block_ * kMerges + i,
                                      moments[i], shared_.merge);
    }
  }

 private:
  static ALDER_DEVICE isa::U32x4 add(const isa::U32x4& words, const isa::U32x4& addend) {
    Octet sum = Octet::unpack(words);
    const Octet other = Octet::unpack(addend);
    ALDER_UNROLL
    for (int i = 0; i < 8; ++i) sum.v[i] += other.v[i];
    return sum.pack();
  }

  ALDER_DEVICE void count(const Octet& values, const Octet& shift) {
    ALDER_UNROLL
    for (int i = 0; i < 8; ++i) {
      const float away = values.v[i] - shift.v[i];
      first_[i] += away;
      second_[i] += away * away;
    }
  }

  ALDER_DEVICE void share_sums() {
    team_.sync();
    const int column = team_.thread() % kRowThreads * 8, row = team_.thread() / kRowThreads;
    if (row < kRowsAtOnce) {
      ALDER_UNROLL
      for (int i = 0; i < 8; ++i) {
        isa::store(&shared_.sums[row][column + i], isa::F32x2{{first_[i], second_[i]}});
      }
    }
    team_.sync();
  }

  // Of column first + thread, in threads < kMergeColumns; sums in the order of the rows.
  ALDER_DEVICE Moments moments_of(int first_column, int rows) const {
    float first = 0, second = 0;
    for (int i = 0; team_.thread() < kMergeColumns && i < kRowsAtOnce; ++i) {
      const auto sum = isa::load<isa::F32x2>(&shared_.sums[i][first_column + team_.thread()]);
      first += sum[0];
      second += sum[1];
    }
    if (rows == 0) return {0, 0, 0};
    const auto n = static_cast<float>(rows);
    const float m2 = second - first * (first / n);
    return {n, first / n, m2 < 0 ? 0 : m2};  // NaN stays NaN
  }

  Shared& shared_;
  const Team& team_;
  const ResultArguments& to_;
  const int column_block_;
  float first_[8] = {}, second_[8] = {};  // of (value - shift) and of its square, for eight channels
};

}  // namespace alder::ALDER_BACKEND
