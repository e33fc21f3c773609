// Whatever the bytes: parse throws alder::Error or returns tensors whose bytes can all be read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "train/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::span<const std::byte> input = std::as_bytes(std::span(data, size));
  try {
    const alder::SafeTensors file = alder::SafeTensors::parse({input.begin(), input.end()}, "input");
    std::size_t bytes = 0;
    unsigned sum = 0;
    for (const auto& [name, view] : file.tensors()) {
      for (const std::byte byte : view.bytes) sum += static_cast<unsigned>(byte);
      bytes += view.bytes.size();
    }
    // Tensors do not overlap, so together they are no larger than the input.
    if (bytes > size || sum > 255 * bytes) std::abort();
  } catch (const alder::Error&) {
  }
  return 0;
}
