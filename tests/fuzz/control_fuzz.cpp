// Whatever a neighbour says: its hellos and offers are refused or sound, and its immediates and headers move
// the books of an edge only in ways that its flow control allows. The first byte chooses what the rest is.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "exchange/header.hpp"
#include "rdma/control_records.hpp"
#include "rdma/immediate.hpp"
#include "rdma/receive_side.hpp"
#include "rdma/send_side.hpp"

namespace {

using namespace alder;
using namespace alder::rdma;

constexpr std::size_t kChecksum = 8, kChecked = 12;
constexpr uint32_t kBuckets = 3;

void seal_bytes(std::vector<std::byte>& bytes) {
  if (bytes.size() < kChecked) return;
  const Wire32 sum = crc32c(std::span(bytes).subspan(kChecked));
  std::memcpy(bytes.data() + kChecksum, &sum, sizeof sum);
}

void fuzz_hello(const std::vector<std::byte>& bytes) {
  const Hello hello = parse_hello(bytes, kBuckets);
  for (uint64_t p = 0; p < 2; ++p) {
    const ReceiveState::Parity& parity = hello.state.parity[p];
    if ((parity.next & 1) != p || (parity.buckets >> kBuckets).any()) abort();
    if (parity.occupied && (parity.generation < parity.next || (parity.generation & 1) != p)) abort();
  }
  // A sender in the middle of its work, which believes it or does not.
  SendSide side(Generation(0), {0, 1, 2}, true);
  for (uint64_t g = 0; g < 2; ++g) {
    for (uint32_t b = 0; b < kBuckets; ++b) side.give({.generation = Generation(g), .bucket = b});
    side.give({.generation = Generation(g), .is_header = true});
  }
  for (int k = 0; k < 5; ++k) side.posted();
  side.bucket_sent(Generation(0), 1);
  if (side.reconcile(hello.state).error.empty() && side.outstanding() > 2) abort();
}

// Three bytes an event: what, and sixteen bits.
void fuzz_books(const uint8_t* data, std::size_t size) {
  ReceiveSide receive(Generation(0), {0, 1, 2}, true);
  uint64_t released = 0;
  for (; size >= 3; data += 3, size -= 3) {
    const auto bits = static_cast<uint16_t>(data[1] | data[2] << 8);
    const Immediate immediate = unpack(uint32_t{bits} << 16 | data[0]);
    ReceiveSide::Verdict verdict;
    if (data[0] % 5 == 0) {
      receive.release(released += data[1] % 3);
    } else if (data[0] % 5 == 1) {
      Header header{.generation = bits};
      seal(header);
      verdict = receive.header(tag_of(bits), header);
    } else {
      verdict = receive.bucket(immediate.generation, data[0] % 4);
    }
    if (!verdict.error.empty()) return;  // the edge ends here
    while (const auto credit = receive.take_credit()) {
      if (credit->value() >= released) abort();
    }
    for (const ReceiveState::Parity& parity : receive.state().parity) {
      if (parity.occupied && (parity.generation < parity.next || (parity.buckets >> kBuckets).any())) abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<std::byte> bytes(size - 1);
  if (size > 1) std::memcpy(bytes.data(), data + 1, size - 1);
  try {
    switch (data[0] % 4) {
      case 0:
        seal_bytes(bytes);
        fuzz_hello(bytes);
        break;
      case 1:
        seal_bytes(bytes);
        for (const auto& one : parse_offer(bytes, 2).connections) {
          if (one.data.size() != 2 || one.data[1].psn > kTwentyFourBits) abort();
        }
        break;
      case 2: {
        Header header;
        if (!bytes.empty()) std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
        ReceiveSide side(Generation(0), {0}, true);
        const bool taken = side.header(tag_of(header.generation), header).error.empty();
        if (taken && verify(header) != HeaderFault::none) abort();
        break;
      }
      default:
        fuzz_books(data + 1, size - 1);
    }
  } catch (const Error&) {
  }
  return 0;
}
