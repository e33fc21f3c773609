#include "cuda/kernels/convolution.hpp"

#include <limits>
#include <vector>

#include "base/error.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace {

// What stands in the way of each variant so far, for the reason of the choice or of the failure.
void note(std::string& why, const Variant& variant, const std::string& what) {
  why += fmt::format("{}{}: {}", why.empty() ? "" : "; ", variant.name(), what);
}

Choice chosen(const Variant& variant, const std::string& others) {
  return {&variant,
          others.empty() ? std::string(variant.name()) : fmt::format("{} ({})", variant.name(), others)};
}

}  // namespace

std::string to_string(const Problem& p) {
  return fmt::format("{}x{}/{} {}->{} on {}x{}x{}", p.kernel, p.kernel, p.stride, p.channels, p.filters,
                     p.images, p.height, p.width);
}

std::string_view to_string(Direction direction) {
  switch (direction) {
    case Direction::forward:
      return "forward";
    case Direction::data_gradient:
      return "data gradient";
    case Direction::weight_gradient:
      return "weight gradient";
  }
  return "?";
}

void check(const Problem& p) {
  if (p.kernel != 1 && p.kernel != 3) fail("convolution {}: kernels are 1x1 or 3x3", to_string(p));
  if (p.stride != 1 && p.stride != 2) fail("convolution {}: strides are 1 or 2", to_string(p));
  for (const int extent : {p.images, p.height, p.width, p.channels, p.filters}) {
    if (extent < 1) fail("convolution {}: {} is no extent", to_string(p), extent);
  }
  constexpr double kMost = std::numeric_limits<int32_t>::max();  // kernels count values in 32 bits
  const double x = double(p.images) * p.height * p.width * p.channels;
  const double y = double(p.images) * p.out_height() * p.out_width() * p.filters;
  const double w = double(p.filters) * p.taps() * p.channels;
  for (const double values : {x, y, w}) {
    if (values > kMost) {
      fail("convolution {}: an array of {:.0f} values, at most {:.0f} are possible; use a smaller batch",
           to_string(p), values, kMost);
    }
  }
}

const Variant& find_variant(std::string_view name) {
  std::vector<std::string> known;
  for (const Variant* variant : variants()) {
    if (variant->name() == name) return *variant;
    known.emplace_back(variant->name());
  }
  usage_error("{}", unknown_name("convolution variant", name, known));
}

Choice choose(const Problem& problem, Direction direction, const DeviceProperties& device,
              std::string_view preferred) {
  check(problem);
  std::string why;
  if (!preferred.empty()) {
    const Variant& variant = find_variant(preferred);
    const std::string refusal = variant.refusal(problem, direction, device);
    if (refusal.empty()) return {&variant, fmt::format("{} (asked for)", preferred)};
    note(why, variant, "asked for, but " + refusal);
  }
  const Variant* reserved = nullptr;
  for (const Variant* variant : variants()) {
    if (variant->name() == preferred) continue;
    if (const auto refusal = variant->refusal(problem, direction, device); !refusal.empty()) {
      note(why, *variant, refusal);
      continue;
    }
    const auto reservation = variant->reservation(problem, direction, device);
    if (reservation.empty()) return chosen(*variant, why);
    if (reserved == nullptr) reserved = variant;
    note(why, *variant, reservation);
  }
  if (reserved != nullptr) return chosen(*reserved, why);
  fail("convolution {}, {}: no variant for device {} of compute capability {}: {}", to_string(problem),
       to_string(direction), device.name, device.capability, why);
}

}  // namespace alder::ALDER_BACKEND::convolution
