// Operand tiles of mma.sync in shared memory, and the product of two of them.
//
// A tile is stored as it lies in global memory, in lines of 16-byte chunks:
//
//   KMajor    a line is a row (or column) of the result, along it the summed index: [row][k]
//   MnMajor   a line is a value of the summed index, along it rows (or columns):    [k][row]
//
// ldmatrix reads eight lines at one chunk. So that these lie in eight different groups of four banks, chunk c
// of line l is kept at c ^ (l % 8) (with lines of four chunks: c ^ (l / 2 % 4), two lines fill the banks).
// An MnMajor tile is read by the transposing ldmatrix: nothing is ever transposed in memory.
#pragma once

#include "cuda/isa/isa.hpp"

namespace alder::ALDER_BACKEND::sm80 {

// Addresses of `kLinesOf` lines of `kLength` bf16 values.
template <int kLinesOf, int kLength>
struct Lines {
  static constexpr int kLines = kLinesOf;
  static constexpr int kChunks = kLength / 8;  // of a line
  static constexpr int kBytes = kLines * kLength * 2;
  static_assert(kChunks == 4 || kChunks % 8 == 0);

  static ALDER_DEVICE uint32_t offset(int line, int chunk) {
    const int turned = kChunks == 4 ? chunk ^ (line / 2 % 4) : chunk ^ (line % 8);
    return static_cast<uint32_t>(line * kLength * 2 + turned * 16);
  }
};

// kExtent rows of A (or columns of B) by kDepth. load_a<N>: the fragments of rows row .. row + 16 N - 1;
// load_b<N>: of columns column .. column + 8 N - 1, N even; both at k .. k + 15. `tile`: shared address.
template <int kExtent, int kDepth>
struct KMajor : Lines<kExtent, kDepth> {
  using Lines<kExtent, kDepth>::offset;

  template <int kBlocks>
  static ALDER_DEVICE void load_a(uint32_t (&a)[kBlocks][4], uint32_t tile, int row, int k) {
    const int lane = static_cast<int>(isa::lane());
    ALDER_UNROLL
    for (int i = 0; i < kBlocks; ++i) {
      isa::ldmatrix(a[i], tile + offset(row + i * 16 + lane % 16, k / 8 + lane / 16));
    }
  }
  template <int kBlocks>
  static ALDER_DEVICE void load_b(uint32_t (&b)[kBlocks][2], uint32_t tile, int column, int k) {
    const int lane = static_cast<int>(isa::lane());
    ALDER_UNROLL
    for (int j = 0; j < kBlocks; j += 2) {
      uint32_t two[4];
      isa::ldmatrix(two, tile + offset(column + j * 8 + lane / 16 * 8 + lane % 8, k / 8 + lane / 8 % 2));
      b[j][0] = two[0];
      b[j][1] = two[1];
      b[j + 1][0] = two[2];
      b[j + 1][1] = two[3];
    }
  }
};

template <int kExtent, int kDepth>
struct MnMajor : Lines<kDepth, kExtent> {
  using Lines<kDepth, kExtent>::offset;

  template <int kBlocks>
  static ALDER_DEVICE void load_a(uint32_t (&a)[kBlocks][4], uint32_t tile, int row, int k) {
    const int lane = static_cast<int>(isa::lane());
    ALDER_UNROLL
    for (int i = 0; i < kBlocks; ++i) {
      isa::ldmatrix<true>(a[i],
                          tile + offset(k + lane / 16 * 8 + lane % 8, (row + i * 16) / 8 + lane / 8 % 2));
    }
  }
  template <int kBlocks>
  static ALDER_DEVICE void load_b(uint32_t (&b)[kBlocks][2], uint32_t tile, int column, int k) {
    const int lane = static_cast<int>(isa::lane());
    ALDER_UNROLL
    for (int j = 0; j < kBlocks; j += 2) {
      uint32_t two[4];
      isa::ldmatrix<true>(two, tile + offset(k + lane % 16, (column + j * 8) / 8 + lane / 16));
      b[j][0] = two[0];
      b[j][1] = two[1];
      b[j + 1][0] = two[2];
      b[j + 1][1] = two[3];
    }
  }
};

// A warp's part of the result: kRows x kColumns sums in fragments of 16x8.
template <int kRows, int kColumns>
struct WarpSums {
  static constexpr int kRowBlocks = kRows / 16, kColumnBlocks = kColumns / 8;
  static_assert(kRows % 16 == 0 && kColumns % 16 == 0);
  float v[kRowBlocks][kColumnBlocks][4] = {};

  // += A B over the tiles' whole depth; row, column: where the warp's part begins in them.
  template <typename A, typename B, int kDepth>
  ALDER_DEVICE void multiply(uint32_t a_tile, uint32_t b_tile, int row, int column) {
    ALDER_UNROLL
    for (int k = 0; k < kDepth; k += 16) {
      uint32_t a[kRowBlocks][4], b[kColumnBlocks][2];
      A::load_a(a, a_tile, row, k);
      B::load_b(b, b_tile, column, k);
      isa::mma_tile(v, a, b);
    }
  }

  // visit(row, column, low, high) for each pair of neighbouring columns this thread holds.
  template <typename Visit>
  ALDER_DEVICE void visit(const Visit& visit) const {
    const int g = static_cast<int>(isa::lane()) / 4, t = static_cast<int>(isa::lane()) % 4;
    ALDER_UNROLL
    for (int i = 0; i < kRowBlocks; ++i) {
      ALDER_UNROLL
      for (int j = 0; j < kColumnBlocks; ++j) {
        visit(i * 16 + g, j * 8 + t * 2, v[i][j][0], v[i][j][1]);
        visit(i * 16 + g + 8, j * 8 + t * 2, v[i][j][2], v[i][j][3]);
      }
    }
  }
};

}  // namespace alder::ALDER_BACKEND::sm80
