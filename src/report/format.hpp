// Numbers as a person reads them. Not finite values read "not finite", unknown ones "–".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace alder::report {

inline constexpr const char* kUnknown = "–";

std::string percent(double fraction, int decimals = 2);  // 0.9123 -> "91.23 %"
std::string bytes(double count);                         // 3.41e9 -> "3.41 GB" (GB = 1e9 bytes)
std::string duration(double seconds);                    // 725 -> "12 min 5 s"
std::string count(int64_t number);                       // 12345 -> "12,345"
std::string plain(double number);                        // three significant digits: 0.300, 1.10, 12,345

// `write(*value)`, or the dash where nothing is known.
template <typename Write>
std::string known(const std::optional<double>& value, Write write) {
  return value ? std::string(write(*value)) : kUnknown;
}

// A power of 1000 that suits `largest`, for axes and tables that keep one unit: {1e9, "GB"}.
struct Unit {
  double size;
  const char* name;
};
Unit byte_unit(double largest);

}  // namespace alder::report
