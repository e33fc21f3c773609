// The problem that the convolution pipelines of these tests solve, and the one function that starts the sm_80
// one.
#pragma once

#include <cstdint>

#include "cuda/isa/backend.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND::pipelines {

// 3x3, pad 1, stride 1. x is [n][h][w][c] bf16, w is [k][3][3][c] bf16, y is [n][h][w][k] float32; c and k
// are multiples of 64.
struct ConvShape {
  int n, h, w, c, k;
  ALDER_HOST_DEVICE int pixels() const { return n * h * w; }
};
struct ConvArguments {
  const uint16_t* x;
  const uint16_t* w;
  float* y;
  ConvShape shape;
};

// Mistakes of the kind that people make, one each; the tests of the emulator want each found.
enum class ConvBug : uint8_t {
  none,
  no_wait,                // the copies are never waited for
  waits_for_one_too_few,  // the newest needed group may still be under way
  no_barrier,             // other threads' copies are read unseen
  load_before_barrier,    // a stage is refilled while slower warps read it
  conditional_commit,     // no empty groups at the end, so that the last waits count wrong
  no_halo_mask,           // the row's neighbour instead of padding
  wrong_swizzle,          // read with another pattern than written
  wrong_ldmatrix_row,     // lanes 8-15 repeat the rows of lanes 0-7
  misaligned_row,         // rows of 136 bytes under 16-byte reads
  overrun_of_x,           // the last block reads pixels that do not exist
  overrun_of_y,           // and writes them
};
inline constexpr const char* kConvBugNames[] = {"none",
                                                "no_wait",
                                                "waits_for_one_too_few",
                                                "no_barrier",
                                                "load_before_barrier",
                                                "conditional_commit",
                                                "no_halo_mask",
                                                "wrong_swizzle",
                                                "wrong_ldmatrix_row",
                                                "misaligned_row",
                                                "overrun_of_x",
                                                "overrun_of_y"};
inline constexpr uint8_t kConvBugs = sizeof kConvBugNames / sizeof *kConvBugNames;
// The device knows only `none`.
void conv_sm80(const Stream& stream, const ConvArguments& arguments, ConvBug bug = ConvBug::none);

enum class HopperBug : uint8_t {
  none,
  no_init_barrier,   // mbarriers are used before they are made
  no_full_wait,      // a stage is multiplied before it is filled
  no_empty_wait,     // and refilled while it is multiplied
  wrong_phase,       // waits for the other parity
  expects_too_few,   // bytes: the phase ends early
  expects_too_many,  // never
  early_release,     // the stage is given back before wgmma has read it
  over_arrival,      // all lanes arrive where one per warp is counted
  wrong_swizzle,     // the descriptor's is not the map's
  no_wgmma_fence,
  no_wgmma_wait,     // the sums are read while they are made
  no_halo,           // the copies begin at the pixel, not at the filter's corner
  no_proxy_fence,    // the bulk store may read old bytes
  no_store_barrier,  // and begin before all have written
  no_store_wait,     // and be cut off by the block's end
};
inline constexpr const char* kHopperBugNames[] = {
    "none",         "no_init_barrier", "no_full_wait",     "no_empty_wait",
    "wrong_phase",  "expects_too_few", "expects_too_many", "early_release",
    "over_arrival", "wrong_swizzle",   "no_wgmma_fence",   "no_wgmma_wait",
    "no_halo",      "no_proxy_fence",  "no_store_barrier", "no_store_wait"};
inline constexpr uint8_t kHopperBugs = sizeof kHopperBugNames / sizeof *kHopperBugNames;
void conv_sm90(const Stream& stream, const ConvArguments& arguments, HopperBug bug = HopperBug::none);

}  // namespace alder::ALDER_BACKEND::pipelines
