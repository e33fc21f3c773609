#include "column_sums.hpp"

#include "base/error.hpp"
#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::pipelines {
namespace {

constexpr uint32_t kWarps = ColumnSums::kThreads / isa::kWarpThreads;

struct Shared {
  float of_warp[kWarps][ColumnSums::kColumns];
};

// The block's sum of one column, valid in warp 0.
template <SumBug kBug>
ALDER_DEVICE float sum_of_block(const ColumnSums& p, Shared& shared) {
  const int column = static_cast<int>(isa::lane());
  const int first = static_cast<int>(isa::block_x()) * ColumnSums::kRowsPerBlock;
  float sum = 0;
  for (int i = static_cast<int>(isa::warp()); i < ColumnSums::kRowsPerBlock; i += kWarps) {
    if (first + i < p.rows) sum += p.x[(first + i) * ColumnSums::kColumns + column];
  }
  shared.of_warp[isa::warp()][column] = sum;
  if constexpr (kBug == SumBug::half_block_barrier) {
    if (isa::warp() < kWarps / 2) isa::barrier_sync(1, ColumnSums::kThreads);
  } else if constexpr (kBug != SumBug::no_block_barrier) {
    isa::sync_block();
  }
  sum = 0;
  if (isa::warp() == 0) {
    for (uint32_t w = 0; w < kWarps; ++w) sum += shared.of_warp[w][column];
  }
  return sum;
}

// Whether this block has to merge, told to all its threads.
template <SumBug kBug>
ALDER_DEVICE bool is_last(const ColumnSums& p) {
  const uint32_t blocks = isa::blocks_x();
  if constexpr (kBug == SumBug::no_ticket) return isa::sync_block_any(true);
  if constexpr (kBug == SumBug::ticket_one_short) return isa::last_block_here(p.counter, blocks - 1);
  if constexpr (kBug == SumBug::ticket_not_wrapped || kBug == SumBug::relaxed_ticket) {
    isa::sync_block();
    bool last = false;
    if (isa::thread() == 0) {
      last = isa::atomic_add(p.counter, 1U) % (kBug == SumBug::relaxed_ticket ? blocks : ~0U) == blocks - 1;
    }
    return isa::sync_block_any(last);
  }
  return isa::last_block_here(p.counter, blocks);
}

template <SumBug kBug>
ALDER_KERNEL(ColumnSums::kThreads)
column_sums_kernel(ColumnSums p) {
  const float sum = sum_of_block<kBug>(p, isa::shared<Shared>());
  const uint32_t column = isa::lane(), block = isa::block_x() + (kBug == SumBug::partial_overrun ? 1 : 0);
  if constexpr (kBug == SumBug::sums_by_arrival) {
    if (isa::warp() == 0) isa::atomic_add(&p.sums[column], sum);
    return;
  }
  if (isa::warp() == 0) p.partial[block * ColumnSums::kColumns + column] = sum;
  if (!is_last<kBug>(p) || isa::warp() != 0) return;
  float total = 0;
  for (uint32_t b = 0; b < isa::blocks_x(); ++b) total += p.partial[b * ColumnSums::kColumns + column];
  p.sums[column] = total;
}

template <SumBug kBug>
void start(const Stream& stream, const ColumnSums& arguments) {
  launch(stream,
         {.name = "column_sums",
          .grid = {static_cast<uint32_t>(arguments.blocks())},
          .threads = ColumnSums::kThreads,
          .shared_bytes = sizeof(Shared)},
         column_sums_kernel<kBug>, arguments);
}

#if !defined(__CUDACC__)
template <uint8_t... kNumbers>
void start_any(const Stream& stream, const ColumnSums& arguments, SumBug bug,
               std::integer_sequence<uint8_t, kNumbers...>) {
  ((bug == static_cast<SumBug>(kNumbers) ? start<static_cast<SumBug>(kNumbers)>(stream, arguments) : void()),
   ...);
}
#endif

}  // namespace

void column_sums(const Stream& stream, const ColumnSums& arguments, SumBug bug) {
#if defined(__CUDACC__)
  if (bug != SumBug::none) fail("column_sums: mistake {} is only for the emulator", static_cast<int>(bug));
  start<SumBug::none>(stream, arguments);
#else
  start_any(stream, arguments, bug, std::make_integer_sequence<uint8_t, kSumBugs>());
#endif
}

}  // namespace alder::ALDER_BACKEND::pipelines
