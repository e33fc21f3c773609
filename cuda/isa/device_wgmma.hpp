// Bodies of hopper.hpp's wgmma for the device. An instruction names each of its N / 2 accumulators, so that
// each N is a text of its own: built here from a table.
#pragma once

namespace alder::ALDER_BACKEND::isa {

// clang-format off
#define ALDER_R8 "%0, %1, %2, %3"
#define ALDER_R16 ALDER_R8 ", %4, %5, %6, %7"
#define ALDER_R24 ALDER_R16 ", %8, %9, %10, %11"
#define ALDER_R32 ALDER_R24 ", %12, %13, %14, %15"
#define ALDER_R40 ALDER_R32 ", %16, %17, %18, %19"
#define ALDER_R48 ALDER_R40 ", %20, %21, %22, %23"
#define ALDER_R56 ALDER_R48 ", %24, %25, %26, %27"
#define ALDER_R64 ALDER_R56 ", %28, %29, %30, %31"
#define ALDER_R72 ALDER_R64 ", %32, %33, %34, %35"
#define ALDER_R80 ALDER_R72 ", %36, %37, %38, %39"
#define ALDER_R88 ALDER_R80 ", %40, %41, %42, %43"
#define ALDER_R96 ALDER_R88 ", %44, %45, %46, %47"
#define ALDER_R104 ALDER_R96 ", %48, %49, %50, %51"
#define ALDER_R112 ALDER_R104 ", %52, %53, %54, %55"
#define ALDER_R120 ALDER_R112 ", %56, %57, %58, %59"
#define ALDER_R128 ALDER_R120 ", %60, %61, %62, %63"
#define ALDER_R136 ALDER_R128 ", %64, %65, %66, %67"
#define ALDER_R144 ALDER_R136 ", %68, %69, %70, %71"
#define ALDER_R152 ALDER_R144 ", %72, %73, %74, %75"
#define ALDER_R160 ALDER_R152 ", %76, %77, %78, %79"
#define ALDER_R168 ALDER_R160 ", %80, %81, %82, %83"
#define ALDER_R176 ALDER_R168 ", %84, %85, %86, %87"
#define ALDER_R184 ALDER_R176 ", %88, %89, %90, %91"
#define ALDER_R192 ALDER_R184 ", %92, %93, %94, %95"
#define ALDER_R200 ALDER_R192 ", %96, %97, %98, %99"
#define ALDER_R208 ALDER_R200 ", %100, %101, %102, %103"
#define ALDER_R216 ALDER_R208 ", %104, %105, %106, %107"
#define ALDER_R224 ALDER_R216 ", %108, %109, %110, %111"
#define ALDER_R232 ALDER_R224 ", %112, %113, %114, %115"
#define ALDER_R240 ALDER_R232 ", %116, %117, %118, %119"
#define ALDER_R248 ALDER_R240 ", %120, %121, %122, %123"
#define ALDER_R256 ALDER_R248 ", %124, %125, %126, %127"

// The operands of accumulators i, i + 1, ..
#define ALDER_E4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define ALDER_E16(i) ALDER_E4(i), ALDER_E4((i) + 4), ALDER_E4((i) + 8), ALDER_E4((i) + 12)
#define ALDER_E64(i) ALDER_E16(i), ALDER_E16((i) + 16), ALDER_E16((i) + 32), ALDER_E16((i) + 48)

// X(N, the numbers of the seven operands after the accumulators, the accumulators)
#define ALDER_WGMMA_SHAPES(X) \
  X(8, 4, 5, 6, 7, 8, 9, 10, ALDER_E4(0)) \
  X(16, 8, 9, 10, 11, 12, 13, 14, ALDER_E4(0), ALDER_E4(4)) \
  X(24, 12, 13, 14, 15, 16, 17, 18, ALDER_E4(0), ALDER_E4(4), ALDER_E4(8)) \
  X(32, 16, 17, 18, 19, 20, 21, 22, ALDER_E16(0)) \
  X(40, 20, 21, 22, 23, 24, 25, 26, ALDER_E16(0), ALDER_E4(16)) \
  X(48, 24, 25, 26, 27, 28, 29, 30, ALDER_E16(0), ALDER_E4(16), ALDER_E4(20)) \
  X(56, 28, 29, 30, 31, 32, 33, 34, ALDER_E16(0), ALDER_E4(16), ALDER_E4(20), ALDER_E4(24)) \
  X(64, 32, 33, 34, 35, 36, 37, 38, ALDER_E16(0), ALDER_E16(16)) \
  X(72, 36, 37, 38, 39, 40, 41, 42, ALDER_E16(0), ALDER_E16(16), ALDER_E4(32)) \
  X(80, 40, 41, 42, 43, 44, 45, 46, ALDER_E16(0), ALDER_E16(16), ALDER_E4(32), ALDER_E4(36)) \
  X(88, 44, 45, 46, 47, 48, 49, 50, ALDER_E16(0), ALDER_E16(16), ALDER_E4(32), ALDER_E4(36), ALDER_E4(40)) \
  X(96, 48, 49, 50, 51, 52, 53, 54, ALDER_E16(0), ALDER_E16(16), ALDER_E16(32)) \
  X(104, 52, 53, 54, 55, 56, 57, 58, ALDER_E16(0), ALDER_E16(16), ALDER_E16(32), ALDER_E4(48)) \
  X(112, 56, 57, 58, 59, 60, 61, 62, ALDER_E16(0), ALDER_E16(16), ALDER_E16(32), ALDER_E4(48), ALDER_E4(52)) \
  X(120, 60, 61, 62, 63, 64, 65, 66, ALDER_E16(0), ALDER_E16(16), ALDER_E16(32), ALDER_E4(48), ALDER_E4(52), ALDER_E4(56)) \
  X(128, 64, 65, 66, 67, 68, 69, 70, ALDER_E64(0)) \
  X(136, 68, 69, 70, 71, 72, 73, 74, ALDER_E64(0), ALDER_E4(64)) \
  X(144, 72, 73, 74, 75, 76, 77, 78, ALDER_E64(0), ALDER_E4(64), ALDER_E4(68)) \
  X(152, 76, 77, 78, 79, 80, 81, 82, ALDER_E64(0), ALDER_E4(64), ALDER_E4(68), ALDER_E4(72)) \
  X(160, 80, 81, 82, 83, 84, 85, 86, ALDER_E64(0), ALDER_E16(64)) \
  X(168, 84, 85, 86, 87, 88, 89, 90, ALDER_E64(0), ALDER_E16(64), ALDER_E4(80)) \
  X(176, 88, 89, 90, 91, 92, 93, 94, ALDER_E64(0), ALDER_E16(64), ALDER_E4(80), ALDER_E4(84)) \
  X(184, 92, 93, 94, 95, 96, 97, 98, ALDER_E64(0), ALDER_E16(64), ALDER_E4(80), ALDER_E4(84), ALDER_E4(88)) \
  X(192, 96, 97, 98, 99, 100, 101, 102, ALDER_E64(0), ALDER_E16(64), ALDER_E16(80)) \
  X(200, 100, 101, 102, 103, 104, 105, 106, ALDER_E64(0), ALDER_E16(64), ALDER_E16(80), ALDER_E4(96)) \
  X(208, 104, 105, 106, 107, 108, 109, 110, ALDER_E64(0), ALDER_E16(64), ALDER_E16(80), ALDER_E4(96), ALDER_E4(100)) \
  X(216, 108, 109, 110, 111, 112, 113, 114, ALDER_E64(0), ALDER_E16(64), ALDER_E16(80), ALDER_E4(96), ALDER_E4(100), ALDER_E4(104)) \
  X(224, 112, 113, 114, 115, 116, 117, 118, ALDER_E64(0), ALDER_E16(64), ALDER_E16(80), ALDER_E16(96)) \
  X(232, 116, 117, 118, 119, 120, 121, 122, ALDER_E64(0), ALDER_E16(64), ALDER_E16(80), ALDER_E16(96), ALDER_E4(112)) \
  X(240, 120, 121, 122, 123, 124, 125, 126, ALDER_E64(0), ALDER_E16(64), ALDER_E16(80), ALDER_E16(96), ALDER_E4(112), ALDER_E4(116)) \
  X(248, 124, 125, 126, 127, 128, 129, 130, ALDER_E64(0), ALDER_E16(64), ALDER_E16(80), ALDER_E16(96), ALDER_E4(112), ALDER_E4(116), ALDER_E4(120)) \
  X(256, 128, 129, 130, 131, 132, 133, 134, ALDER_E64(0), ALDER_E64(64))

#define ALDER_WGMMA(n, q0, q1, q2, q3, q4, q5, q6, ...)                                                        \
  else if constexpr (N == n) {                                                                                 \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #q2 ", 0;\n"                                              \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" ALDER_R##n "}, %" #q0 ", %" #q1    \
                 ", p, 1, 1, %" #q3 ", %" #q4 ";\n}\n"                                                         \
                 : __VA_ARGS__                                                                                  \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(static_cast<int>(A)),                 \
                   "n"(static_cast<int>(B)));                                                                   \
  }
#define ALDER_WGMMA_REGISTERS(n, q0, q1, q2, q3, q4, q5, q6, ...)                                               \
  else if constexpr (N == n) {                                                                                 \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #q5 ", 0;\n"                                              \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" ALDER_R##n "}, {%" #q0 ", %" #q1   \
                 ", %" #q2 ", %" #q3 "}, %" #q4 ", p, 1, 1, %" #q6 ";\n}\n"                                    \
                 : __VA_ARGS__                                                                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(accumulate)),       \
                   "n"(static_cast<int>(B)));                                                                   \
  }
// clang-format on

template <int N, Major A, Major B, int Registers>
ALDER_DEVICE void wgmma(float (&d)[Registers], uint64_t a, uint64_t b, bool accumulate, Site) {
  static_assert(Registers == N / 2 && N % 8 == 0 && N >= 8 && N <= 256);
  if constexpr (N == 0) {
  }
  ALDER_WGMMA_SHAPES(ALDER_WGMMA)
}
template <int N, Major B, int Registers>
ALDER_DEVICE void wgmma_registers(float (&d)[Registers], const uint32_t (&a)[4], uint64_t b, bool accumulate,
                                  Site) {
  static_assert(Registers == N / 2 && N % 8 == 0 && N >= 8 && N <= 256);
  if constexpr (N == 0) {
  }
  ALDER_WGMMA_SHAPES(ALDER_WGMMA_REGISTERS)
}

#undef ALDER_WGMMA
#undef ALDER_WGMMA_REGISTERS
#undef ALDER_WGMMA_SHAPES

}  // namespace alder::ALDER_BACKEND::isa
