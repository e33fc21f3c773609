#include "cuda/kernels/split_sum.hpp"

#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND {
namespace {

constexpr int kThreads = 256;

ALDER_KERNEL(kThreads)
split_sum(const float* parts, int splits, int quads, float* total) {
  const int i = static_cast<int>(isa::block_x() * isa::threads() + isa::thread());
  if (i >= quads) return;
  auto sum = isa::load<isa::F32x4, isa::Cache::streaming>(parts + int64_t{i} * 4);
  for (int split = 1; split < splits; ++split) {
    const auto part = isa::load<isa::F32x4, isa::Cache::streaming>(parts + (int64_t{split} * quads + i) * 4);
    ALDER_UNROLL
    for (int j = 0; j < 4; ++j) sum[j] += part[j];
  }
  isa::store(total + int64_t{i} * 4, sum);
}

}  // namespace

void sum_splits(const Stream& stream, const float* parts, int splits, std::size_t values, float* total) {
  const int quads = static_cast<int>(values / 4);
  launch(stream,
         {.name = "sum of splits",
          .grid = {static_cast<uint32_t>((quads + kThreads - 1) / kThreads)},
          .threads = kThreads},
         split_sum, parts, splits, quads, total);
}

}  // namespace alder::ALDER_BACKEND
