#include "rdma/receive_side.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "exchange/header.hpp"

namespace alder::rdma {
namespace {

// A tag that is this far ahead of what is next is taken for one of the past.
constexpr uint16_t kAhead = 1 << 15;

}  // namespace

ReceiveSide::ReceiveSide(Generation first, std::vector<uint32_t> buckets, bool header)
    : buckets_(std::move(buckets)), header_(header) {
  for (uint64_t p = 0; p < 2; ++p) state_.parity[p].next = first.value() + ((first.value() ^ p) & 1);
}

// The generation behind a tag, which takes the slot if that was free.
ReceiveSide::Verdict ReceiveSide::find(uint16_t tag) {
  ReceiveState::Parity& slot = state_.parity[tag & 1];
  if (slot.occupied) {
    const Generation taken(slot.generation);
    if (tag_of(slot.generation) == tag) return {taken, {}};
    return {taken,
            fmt::format("generation {} (mod 65536) arrives in a slot that generation {} (mod 65536: {}) "
                        "still holds",
                        tag, slot.generation, tag_of(slot.generation))};
  }
  const auto ahead = static_cast<uint16_t>(tag - tag_of(slot.next));
  if (ahead >= kAhead) {
    return {
        Generation(slot.next),
        fmt::format("generation {} (mod 65536) is of the past: in its slot generation {} (mod 65536: {}) is "
                    "next",
                    tag, slot.next, tag_of(slot.next))};
  }
  slot.occupied = true;
  slot.generation = slot.next + ahead;
  return {Generation(slot.generation), {}};
}

ReceiveSide::Verdict ReceiveSide::bucket(uint16_t tag, uint32_t bucket) {
  if (!std::ranges::binary_search(buckets_, bucket)) {
    return {{}, fmt::format("bucket {} arrived, which this rail does not carry", bucket)};
  }
  Verdict verdict = find(tag);
  if (!verdict.error.empty()) return verdict;
  ReceiveState::Parity& slot = state_.parity[tag & 1];
  if (slot.buckets[bucket]) {
    verdict.error = fmt::format("bucket {} of generation {} arrived twice", bucket, slot.generation);
    return verdict;
  }
  slot.buckets.set(bucket);
  ++arrived_[tag & 1];
  return verdict;
}

ReceiveSide::Verdict ReceiveSide::header(uint16_t tag, const Header& header) {
  if (!header_) return {{}, "a header arrived on a rail that carries none"};
  if (const HeaderFault fault = verify(header); fault != HeaderFault::none) {
    return {
        {},
        fmt::format("a header arrived with {}: {:#010x} where this program has {:#010x}, checksum {:#010x}",
                    to_string(fault), header.magic_version, Header::kMagicVersion, header.crc32c)};
  }
  Verdict verdict = find(tag);
  if (!verdict.error.empty()) return verdict;
  ReceiveState::Parity& slot = state_.parity[tag & 1];
  if (header.generation != slot.generation) {
    verdict.error =
        fmt::format("a header of generation {} arrived as generation {}", header.generation, slot.generation);
  } else if (slot.header) {
    verdict.error = fmt::format("the header of generation {} arrived twice", slot.generation);
  }
  slot.header = true;
  return verdict;
}

void ReceiveSide::release(uint64_t below) {
  released_below_ = std::max(released_below_, below);
}

std::optional<Generation> ReceiveSide::take_credit() {
  for (std::size_t p = 0; p < 2; ++p) {
    ReceiveState::Parity& slot = state_.parity[p];
    if (!slot.occupied || slot.generation >= released_below_) continue;
    if (arrived_[p] < buckets_.size() || (header_ && !slot.header)) continue;
    const Generation given(slot.generation);
    slot = {.next = given.value() + 2, .buckets = {}};
    arrived_[p] = 0;
    return given;
  }
  return std::nullopt;
}

}  // namespace alder::rdma
