// A reduction over blocks, deterministic: each block sums its rows, the last one to come merges the partial
// sums in their order. No second launch, no atomics on floats.
#pragma once

#include <cstdint>

#include "cuda/isa/backend.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND::pipelines {

struct ColumnSums {
  static constexpr int kColumns = 32, kThreads = 128, kRowsPerBlock = 16;

  const float* x;     // [rows][kColumns]
  float* partial;     // [blocks][kColumns]: scratch
  float* sums;        // [kColumns]
  uint32_t* counter;  // one word, 0
  int rows;

  int blocks() const { return (rows + kRowsPerBlock - 1) / kRowsPerBlock; }
};

enum class SumBug : uint8_t {
  none,
  no_block_barrier,    // the warps' sums are read before they are written
  half_block_barrier,  // half of the block passes it by
  no_ticket,           // every block merges, after a barrier that only it knows of
  ticket_one_short,    // the last but one block merges
  ticket_not_wrapped,  // right only in the first launch
  sums_by_arrival,     // atomics in the order of arrival: other bits each time
  partial_overrun,     // a row behind the scratch is written
  relaxed_ticket,      // the ticket hands nothing over; only the race checker can tell
};
inline constexpr const char* kSumBugNames[] = {"none",
                                               "no_block_barrier",
                                               "half_block_barrier",
                                               "no_ticket",
                                               "ticket_one_short",
                                               "ticket_not_wrapped",
                                               "sums_by_arrival",
                                               "partial_overrun",
                                               "relaxed_ticket"};
inline constexpr uint8_t kSumBugs = sizeof kSumBugNames / sizeof *kSumBugNames;
// The device knows only `none`.
void column_sums(const Stream& stream, const ColumnSums& arguments, SumBug bug = SumBug::none);

}  // namespace alder::ALDER_BACKEND::pipelines
