// Whatever the bytes: a descriptor is refused with alder::Error or is within all its limits, and then it
// comes back from its own bytes. Inputs get a right checksum, or nothing behind it would ever be reached.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "exchange/header.hpp"
#include "rdma/descriptor.hpp"

namespace {

constexpr std::size_t kChecksum = 8, kChecked = 12;  // where it stands, and what it covers

void check(const alder::rdma::Descriptor& one) {
  using namespace alder::rdma;
  if (one.from < 0 || one.to < 0 || one.data_queue_pairs < 1 || one.data_queue_pairs > kMaxDataQueuePairs)
    abort();
  if (one.rails.empty() || one.rails.size() > kMaxRails) abort();
  for (const RailAddress& rail : one.rails) {
    if (rail.port < 1 || mtu_bytes(rail.mtu) == 0) abort();
    if (rail.connections.empty() || rail.connections.size() > kMaxConnections) abort();
    for (const ConnectionAddress& connection : rail.connections) {
      if (connection.data.size() != one.data_queue_pairs || connection.control.number > kTwentyFourBits)
        abort();
    }
  }
  const Descriptor again = parse_descriptor(serialize(one));
  if (again.host != one.host || again.rails.size() != one.rails.size()) abort();
  for (std::size_t r = 0; r < one.rails.size(); ++r) {
    if (again.rails[r].connections != one.rails[r].connections) abort();
  }
  try {
    check_agreement(again, one);
  } catch (const alder::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  if (size >= kChecked) {
    const alder::rdma::Wire32 sum = alder::crc32c(std::span(bytes).subspan(kChecked));
    std::memcpy(bytes.data() + kChecksum, &sum, sizeof sum);
  }
  try {
    check(alder::rdma::parse_descriptor(bytes));
  } catch (const alder::Error&) {
  }
  return 0;
}
