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
  static constexpr int kChunks = kColumns / 8;
  // Neighbouring threads share a row: as many as a power of two allows, so that lanes which meet the same
  // channels lie that far apart.
  static constexpr int kRowThreads = (kChunks & -kChunks) < 16 ? (kChunks & -kChunks) : 16;
  static constexpr int kPasses = kChunks / kRowThreads;
  static constexpr int kPassColumns = kRowThreads * 8;
  static constexpr int kRowsAtOnce = Team::kThreads / kRowThreads;
  static constexpr int kWarps = Team::kThreads / static_cast<int>(isa::kWarpThreads);
  static_assert(kColumns % 8 == 0 && kPasses * kRowThreads == kChunks);

  struct Shared {
    alignas(16) uint16_t values[kRows * kPitch];
    isa::F32x2 sums[kWarps][kPassColumns];
    float merge[Team::kThreads];
  };

  ALDER_DEVICE ResultTile(Shared& shared, const Team& team) : shared_(shared), team_(team) {}

  // Two neighbouring columns of a row, the first one even. sync() of the team must follow before write().
  ALDER_DEVICE void put(int row, int column, float low, float high) {
    isa::store(&shared_.values[row * kPitch + column], isa::pack_bf16(low, high));
  }

  // pixel(row): the row's pixel in the result, negative for a row that is none. `tile` and `rows` (how many
  // rows are pixels) are for the statistics: they count this team's tiles of one block of columns.
  template <typename Pixel>
  ALDER_DEVICE void write(const ResultArguments& to, int tile, int column_block, int rows,
                          const Pixel& pixel) {
    ALDER_NO_UNROLL
    for (int pass = 0; pass < kPasses; ++pass) {
      const int first_channel = column_block * kColumns + pass * kPassColumns;
      const int channel = first_channel + team_.thread() % kRowThreads * 8;
      Sums sums;
      if (channel < to.channels) walk(to, pass, channel, pixel, sums);
      if (to.statistics.wanted()) {
        const Moments moments = gather(sums, rows);
        merge_statistics<kPassColumns>(team_, to.scratch, to.statistics, tile, column_block * kPasses + pass,
                                       moments, shared_.merge);
      }
    }
  }

 private:
  struct Sums {
    float first[8] = {}, second[8] = {};  // of (value - shift) and of its square
  };

  template <typename Pixel>
  ALDER_DEVICE void walk(const ResultArguments& to, int pass, int channel, const Pixel& pixel, Sums& sums) {
    const bool counts = to.statistics.wanted();
    Octet shift = {};
    if (counts) {
      ALDER_UNROLL
      for (int i = 0; i < 8; ++i) shift.v[i] = to.statistics.running_mean[channel + i];
    }
    const int column = pass * kPassColumns + team_.thread() % kRowThreads * 8;
    for (int row = team_.thread() / kRowThreads; row < kRows; row += kRowsAtOnce) {
      const int where = pixel(row);
      if (where < 0) continue;
      auto words = isa::load<isa::U32x4>(&shared_.values[row * kPitch + column]);
      const int64_t at = int64_t{where} * to.channels + channel;
      if (to.addend != nullptr) words = add(words, isa::load<isa::U32x4>(to.addend + at));
      isa::store(to.result + at, words);
      if (counts) count(Octet::unpack(words), shift, sums);
    }
  }

  static ALDER_DEVICE isa::U32x4 add(const isa::U32x4& words, const isa::U32x4& addend) {
    Octet sum = Octet::unpack(words);
    const Octet other = Octet::unpack(addend);
    ALDER_UNROLL
    for (int i = 0; i < 8; ++i) sum.v[i] += other.v[i];
    return sum.pack();
  }

  static ALDER_DEVICE void count(const Octet& values, const Octet& shift, Sums& sums) {
    ALDER_UNROLL
    for (int i = 0; i < 8; ++i) {
      const float away = values.v[i] - shift.v[i];
      sums.first[i] += away;
      sums.second[i] += away * away;
    }
  }

  // Sums of all threads, lanes first, then warps in their order; ends with the moments of channel i of the
  // pass in thread i.
  ALDER_DEVICE Moments gather(Sums& sums, int rows) {
    ALDER_UNROLL
    for (uint32_t lanes = kRowThreads; lanes < isa::kWarpThreads; lanes *= 2) {
      ALDER_UNROLL
      for (int i = 0; i < 8; ++i) {
        sums.first[i] += isa::shuffle_xor(sums.first[i], lanes);
        sums.second[i] += isa::shuffle_xor(sums.second[i], lanes);
      }
    }
    const int thread = team_.thread(), lane = thread % static_cast<int>(isa::kWarpThreads);
    team_.sync();  // the sums of an earlier pass have been read
    if (lane < kRowThreads) {
      ALDER_UNROLL
      for (int i = 0; i < 8; ++i) {
        isa::store(&shared_.sums[thread / static_cast<int>(isa::kWarpThreads)][lane * 8 + i],
                   isa::F32x2{{sums.first[i], sums.second[i]}});
      }
    }
    team_.sync();
    float first = 0, second = 0;
    for (int w = 0; thread < kPassColumns && w < kWarps; ++w) {
      const auto sum = isa::load<isa::F32x2>(&shared_.sums[w][thread]);
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
};

}  // namespace alder::ALDER_BACKEND
