// ldmatrix and mma.sync: what the tensor cores of sm_80 read and compute.
#include <bit>
#include <cstring>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"
#include "cuda/emulator/tile.hpp"

namespace alder::emulator {
namespace {

using Words8 = uint32_t __attribute__((vector_size(32)));

struct LoadMatrix {
  uint32_t* registers;
  uint32_t address;
  int matrices;
  bool transposed;
  Site site;
};

const LoadMatrix& load_of(const Warp& warp, uint32_t lane) {
  return *static_cast<const LoadMatrix*>(warp.threads[lane].argument);
}

// One 8x8 matrix of 16-bit values: lanes 8*index .. 8*index+7 give the addresses of its rows; lane l receives
// elements (l/4, 2*(l%4)) and (l/4, 2*(l%4)+1), or of the transposed matrix.
void load_one(Warp& warp, uint32_t index, bool transposed) {
  const std::byte* rows[8];
  uint32_t banks = 0;
  for (uint32_t r = 0; r < 8; ++r) {
    const LoadMatrix& load = load_of(warp, index * 8 + r);
    rows[r] = warp.block->at(load.address, 16, 16, "ldmatrix", load.site);
    banks |= 1U << (load.address / 16 % 8);
  }
  Statistics& statistics = warp.block->sm->statistics;
  ++statistics.ldmatrix_phases;
  statistics.ldmatrix_conflicts += std::popcount(banks) < 8 ? 1 : 0;
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    const uint32_t row = lane / 4, column = lane % 4 * 2;
    uint32_t value = 0;
    if (transposed) {
      std::memcpy(&value, rows[column] + row * 2, 2);
      std::memcpy(reinterpret_cast<std::byte*>(&value) + 2, rows[column + 1] + row * 2, 2);
    } else {
      std::memcpy(&value, rows[row] + column * 2, 4);
    }
    load_of(warp, lane).registers[index] = value;
  }
}

void execute_load(Warp& warp, uint32_t) {
  const LoadMatrix& first = load_of(warp, 0);
  for (int index = 0; index < first.matrices; ++index) {
    load_one(warp, static_cast<uint32_t>(index), first.transposed);
  }
}

struct Multiply {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
  int rows, columns;
};

// The B fragment of 16 x 8: lane 4 g + t holds the pairs k = 2 t, 2 t + 1 and k = 2 t + 8, 2 t + 9 of column
// g.
void gather_b(Floats8 (&b)[16], const Multiply* const (&lanes)[kWarp], int column) {
  alignas(32) uint32_t pairs[8][8];  // [k / 2][column]
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    const uint32_t g = lane / 4, t = lane % 4;
    pairs[t][g] = lanes[lane]->b[column * 2];
    pairs[t + 4][g] = lanes[lane]->b[column * 2 + 1];
  }
  for (uint32_t k = 0; k < 8; ++k) {
    Words8 words;
    std::memcpy(&words, pairs[k], sizeof words);
    b[2 * k] = std::bit_cast<Floats8>(words << 16);
    b[2 * k + 1] = std::bit_cast<Floats8>(words & 0xFFFF0000U);
  }
}

void execute_multiply(Warp& warp, uint32_t) {
  const Multiply* lanes[kWarp];
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    lanes[lane] = static_cast<const Multiply*>(warp.threads[lane].argument);
  }
  const int rows = lanes[0]->rows, columns = lanes[0]->columns;
  constexpr int kMaxColumns = 32;
  if (columns > kMaxColumns) warp.block->sm->fail({}, "mma_tile of more than 32 columns of 8");
  float a[16][16];
  Floats8 b[kMaxColumns][16];
  for (int j = 0; j < columns; ++j) gather_b(b[j], lanes, j);
  for (int i = 0; i < rows; ++i) {
    gather_a(a, [&](uint32_t lane) { return lanes[lane]->a + i * 4; });
    for (int j = 0; j < columns; ++j) {
      const auto of = [&](uint32_t lane) { return lanes[lane]->d + (i * columns + j) * 4; };
      Floats8 d[16];
      gather_tile(d, of);
      multiply_tile(d, a, b[j]);
      scatter_tile(d, of);
    }
  }
  warp.block->sm->statistics.multiply_adds += static_cast<uint64_t>(rows) * columns * 16 * 8 * 16;
}

}  // namespace

void ldmatrix(uint32_t* registers, int matrices, bool transposed, uint32_t address, Site site) {
  static constexpr Operation kOperation{"ldmatrix", execute_load, true, false};
  if constexpr (kRaceChecked) {
    // Each lane that names a row is the one that reads it.
    const Thread& self = *running->thread;
    if (self.lane < static_cast<uint32_t>(matrices) * 8) {
      race_read(self.warp->block->at(address, 16, 16, "ldmatrix", site), 16);
    }
  }
  LoadMatrix load{registers, address, matrices, transposed, site};
  meet(kOperation, ~0U, &load, static_cast<uint64_t>(matrices) * 2 + (transposed ? 1 : 0), site);
}

void mma(float* d, const uint32_t* a, const uint32_t* b, int tile_rows, int tile_columns, Site site) {
  static constexpr Operation kOperation{"mma.sync", execute_multiply, true, false};
  Multiply multiply{d, a, b, tile_rows, tile_columns};
  meet(kOperation, ~0U, &multiply,
       static_cast<uint64_t>(tile_rows) * 64 + static_cast<uint64_t>(tile_columns), site);
}

}  // namespace alder::emulator
