// ldmatrix and mma.sync.
#include "case.hpp"

namespace alder::ALDER_BACKEND::conformance {
namespace {

constexpr uint32_t kLanes = 32;

// ---- ldmatrix: rows lie where lanes say, here in a scrambled order. Element (matrix, row, column) holds
// 64 matrix + 8 row + column.

struct Rows {
  alignas(16) uint16_t rows[32][8];
};
ALDER_HOST_DEVICE uint32_t place_of(uint32_t row) {
  return row * 13 % 32;
}

template <int N, bool Transposed>
ALDER_DEVICE void load_and_write(const Rows& rows, uint32_t* out) {
  uint32_t registers[N];
  isa::ldmatrix<Transposed>(registers, isa::shared_address(rows.rows[place_of(isa::lane() % (8 * N))]));
  for (int i = 0; i < N; ++i) out[isa::lane() * N + static_cast<uint32_t>(i)] = registers[i];
}

ALDER_KERNEL(kLanes)
ldmatrices(uint32_t* out) {
  auto& rows = isa::shared<Rows>();
  for (uint32_t c = 0; c < 8; ++c)
    rows.rows[place_of(isa::lane())][c] = static_cast<uint16_t>(isa::lane() * 8 + c);
  isa::sync_warp();
  load_and_write<1, false>(rows, out);
  load_and_write<2, false>(rows, out + 32);
  load_and_write<4, false>(rows, out + 96);
  load_and_write<1, true>(rows, out + 224);
  load_and_write<2, true>(rows, out + 256);
  load_and_write<4, true>(rows, out + 320);
}
Words run_ldmatrices(const Stream& stream) {
  return run_kernel(stream, {.name = "ldmatrix", .threads = kLanes, .shared_bytes = sizeof(Rows)}, 448,
                    ldmatrices);
}
Words expect_ldmatrices() {
  Words words;
  for (const bool transposed : {false, true}) {
    for (const uint32_t matrices : {1, 2, 4}) {
      for (uint32_t i = 0; i < kLanes * matrices; ++i) {
        const uint32_t matrix = i % matrices, lane = i / matrices, row = lane / 4, column = lane % 4 * 2;
        const auto at = [&](uint32_t r, uint32_t c) {
          return matrix * 64 + (transposed ? c * 8 + r : r * 8 + c);
        };
        words.push_back(at(row, column) | at(row, column + 1) << 16);
      }
    }
  }
  return words;
}

// ---- mma: every element of a product of small integers, from registers filled by their documented places

constexpr int a_value(int row, int k) {
  return (row * 3 + k * 5) % 7 - 3;
}
constexpr int b_value(int k, int column) {
  return (k * 2 + column * 3) % 9 - 4;
}
constexpr int d_value(int row, int column) {
  return row * 8 - column;
}

constexpr int product(int row, int column, int depth) {
  int sum = d_value(row, column);
  for (int k = 0; k < depth; ++k) sum += a_value(row, k) * b_value(k, column);
  return sum;
}

// Registers of 32 rows of A and 16 columns of B, as the host packs them.
struct Operands {
  uint32_t a[kLanes][2][4];
  uint32_t b[kLanes][2][2];
};
Operands make_operands() {
  Operands operands;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const int g = static_cast<int>(lane / 4), t = static_cast<int>(lane % 4) * 2;
    for (int i = 0; i < 2; ++i) {
      for (int q = 0; q < 4; ++q) {
        const int row = i * 16 + g + q % 2 * 8, k = t + q / 2 * 8;
        operands.a[lane][i][q] = bf16_of(a_value(row, k)) | uint32_t{bf16_of(a_value(row, k + 1))} << 16;
      }
      for (int q = 0; q < 2; ++q) {
        const int k = t + q * 8, column = i * 8 + g;
        operands.b[lane][i][q] = bf16_of(b_value(k, column)) | uint32_t{bf16_of(b_value(k + 1, column))}
                                                                   << 16;
      }
    }
  }
  return operands;
}

ALDER_KERNEL(kLanes)
mmas(uint32_t* out, const Operands* operands) {
  const uint32_t lane = isa::lane();
  const int g = static_cast<int>(lane / 4), t = static_cast<int>(lane % 4) * 2;
  uint32_t a[2][4], b[2][2];
  float d[2][2][4], single[4];
  for (int i = 0; i < 2; ++i) {
    for (int q = 0; q < 4; ++q) a[i][q] = operands->a[lane][i][q];
    for (int q = 0; q < 2; ++q) b[i][q] = operands->b[lane][i][q];
    for (int j = 0; j < 2; ++j) {
      for (int q = 0; q < 4; ++q)
        d[i][j][q] = static_cast<float>((i * 16 + g + q / 2 * 8) * 8 - (j * 8 + t + q % 2));
    }
  }
  for (int q = 0; q < 4; ++q) single[q] = d[0][0][q];
  isa::mma_tile(d, a, b);
  isa::mma(single, a[0], b[0]);
  memcpy(out + lane * 20, d, sizeof d);
  memcpy(out + lane * 20 + 16, single, sizeof single);
}
Words run_mmas(const Stream& stream) {
  const DeviceArray<Operands> operands = on_device<Operands>(stream, {make_operands()}, "operands");
  return run_kernel(stream, {.name = "mma", .threads = kLanes}, std::size_t{20} * kLanes, mmas,
                    static_cast<const Operands*>(operands.data()));
}
Words expect_mmas() {
  return generate(std::size_t{20} * kLanes, [](uint32_t index) {
    const int lane = static_cast<int>(index / 20), w = static_cast<int>(index % 20) % 16;
    const int i = w / 8, j = w / 4 % 2, q = w % 4;
    const int row = i * 16 + lane / 4 + q / 2 * 8, column = j * 8 + lane % 4 * 2 + q % 2;
    return bits_of(static_cast<float>(product(row, column, 16)));
  });
}

constexpr Case kCases[] = {
    {"ldmatrix", 80, run_ldmatrices, expect_ldmatrices},
    {"mma", 80, run_mmas, expect_mmas},
};

}  // namespace

std::span<const Case> matrix_cases() {
  return kCases;
}

}  // namespace alder::ALDER_BACKEND::conformance
