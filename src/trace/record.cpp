#include "trace/record.hpp"

#include <array>
#include <cstddef>

namespace alder::trace {

std::string_view name_of(Kind kind) {
  constexpr std::array<std::string_view, kKinds> kNames{
      "step",        "data",           "forward",     "backward",     "mixing",
      "publish",     "wait header",    "wait bucket", "wait release", "evaluation",
      "checkpoint",  "post",           "sent",        "landed",       "arrival",
      "header post", "header arrival", "released",    "edge up",      "edge mended",
      "edge over",   "progress sleep", "kernel",      "copy",         "expects"};
  const auto at = static_cast<std::size_t>(kind);
  return at < kNames.size() ? kNames[at] : "unknown";
}

bool is_span(Kind kind) {
  return kind <= Kind::checkpoint || (kind >= Kind::progress_sleep && kind <= Kind::copy);
}

}  // namespace alder::trace
