// A place in a kernel's source, for reports. std::source_location would do, but clang 14 has none with
// libstdc++.
#pragma once

namespace alder::emulator {

struct Site {
  const char* file = "?";
  int line = 0;

  // As a default argument it names the caller's caller: the line of the kernel that called the intrinsic.
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
  friend constexpr bool operator==(const Site&, const Site&) = default;
};

}  // namespace alder::emulator
