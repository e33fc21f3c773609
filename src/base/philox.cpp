#include "base/philox.hpp"

#include <cmath>
#include <numbers>

namespace alder {

double Random::normal() {
  const double u = (static_cast<double>(bits()) + 0.5) * 0x1p-32;
  const double angle = 2 * std::numbers::pi * static_cast<double>(bits()) * 0x1p-32;
  return std::sqrt(-2 * std::log(u)) * std::cos(angle);
}

}  // namespace alder
