// Times of kernels on the device's own clock.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

struct Measurement {
  double median_us = 0, best_us = 0;  // of one call
};

// Times each of `bodies` (which put work on the stream) `rounds` times, in turns, so that a change of clocks
// meets all of them. A call is repeated inside a captured graph until a repetition takes some 200 us:
// launches are then no part of it, as they are none of a step.
std::vector<Measurement> measure(const Stream& stream, const std::vector<std::function<void()>>& bodies,
                                 int rounds);

// One line on the device: "NVIDIA H200, 132 multiprocessors, 143.8 GB"; in the emulator, that times mean
// nothing.
std::string describe_device();

// Throws Error with the reason where there is no device to measure.
void require_device();

}  // namespace alder::ALDER_BACKEND
