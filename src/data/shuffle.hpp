// The one way in which this room puts samples in random order.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "base/philox.hpp"

namespace alder::data {

// Fisher-Yates. std::shuffle is not used because its result differs between standard libraries.
inline void shuffle(std::span<int64_t> values, Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[random.below(static_cast<uint32_t>(i))]);
  }
}

}  // namespace alder::data
