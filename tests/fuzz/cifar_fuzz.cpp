// The CIFAR record parser must accept or refuse any bytes with an Error, and what it accepts must be
// what the bytes say. The first byte picks the layout.
#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "data/cifar.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto layout = data[0] % 2 == 0 ? alder::data::cifar10_layout() : alder::data::cifar100_layout();
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  alder::data::Pictures pictures;
  try {
    alder::data::parse_records(bytes, layout, "fuzz.bin", pictures);
  } catch (const alder::Error&) {
    return 0;
  }
  if (bytes.size() != pictures.labels.size() * layout.bytes()) std::abort();
  if (pictures.pixels.size() != pictures.labels.size() * pictures.bytes_per_picture()) std::abort();
  for (const int32_t label : pictures.labels) {
    if (label < 0 || label >= layout.label_limits.back()) std::abort();
  }
  return 0;
}
