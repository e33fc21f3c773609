// Division by a number that is known when the kernel is launched: a multiplication and a shift.
#pragma once

#include <cstdint>

#include "cuda/isa/backend.hpp"

namespace alder::ALDER_BACKEND {

// n / divisor for 0 <= n < 2^31. With l = ceil(log2 divisor) the multiplier is ceil(2^(31 + l) / divisor),
// too large by less than 2^l / 2^(31 + l) of itself, which n times over stays below 1 / divisor: nothing
// carries.
class Divider {
 public:
  Divider() = default;
  explicit Divider(int divisor) : divisor_(divisor) {
    if (divisor == 1) return;
    uint32_t log = 0;
    while ((int64_t{1} << log) < divisor) ++log;
    multiplier_ = static_cast<uint32_t>(((uint64_t{1} << (31 + log)) + divisor - 1) / divisor);
    shift_ = log - 1;
  }

  ALDER_HOST_DEVICE int divisor() const { return divisor_; }
  ALDER_HOST_DEVICE int quotient(int n) const {
    if (divisor_ == 1) return n;
    return static_cast<int>(uint64_t{static_cast<uint32_t>(n)} * multiplier_ >> 32 >> shift_);
  }
  ALDER_HOST_DEVICE int remainder(int n) const { return n - quotient(n) * divisor_; }

 private:
  int divisor_ = 1;
  uint32_t multiplier_ = 0, shift_ = 0;
};

}  // namespace alder::ALDER_BACKEND
