#include "report/format.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace alder::report {
namespace {

constexpr const char* kNotFinite = "not finite";

}  // namespace

std::string percent(double fraction, int decimals) {
  if (!std::isfinite(fraction)) return kNotFinite;
  return fmt::format("{:.{}f} %", fraction * 100, decimals);
}

Unit byte_unit(double largest) {
  constexpr std::array<Unit, 6> kUnits{
      {{1e15, "PB"}, {1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}, {1, "B"}}};
  for (const Unit& unit : kUnits) {
    if (largest >= unit.size) return unit;
  }
  return kUnits.back();
}

std::string bytes(double count) {
  if (!std::isfinite(count)) return kNotFinite;
  const Unit unit = byte_unit(count);
  const double value = count / unit.size;
  if (unit.size == 1) return fmt::format("{:.0f} B", value);
  return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, unit.name);
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return kNotFinite;
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{:.1f} s", seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  const int64_t minutes = (whole + 30) / 60;
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

std::string count(int64_t number) {
  std::string digits = std::to_string(number < 0 ? -number : number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  if (number < 0) digits.insert(0, 1, '-');
  return digits;
}

std::string plain(double number) {
  if (!std::isfinite(number)) return kNotFinite;
  const double size = std::abs(number);
  if (size >= 1000 && size < 1e9) return count(std::llround(number));
  if (size >= 1e9 || (size > 0 && size < 1e-3)) return fmt::format("{:.2e}", number);
  if (size == 0) return "0";
  // Digits are counted after rounding, or 9.996 would read 10.00.
  const double rounded = std::stod(fmt::format("{:.2e}", number));
  const int decimals = 2 - static_cast<int>(std::floor(std::log10(std::abs(rounded))));
  return decimals < 0 ? count(std::llround(rounded)) : fmt::format("{:.{}f}", rounded, decimals);
}

}  // namespace alder::report
