#include "rdma/send_side.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace alder::rdma {

SendSide::SendSide(Generation first, std::vector<uint32_t> buckets, bool header)
    : buckets_(std::move(buckets)), header_(header) {
  for (uint64_t p = 0; p < 2; ++p) {
    slots_[p].next = first.value() + ((first.value() ^ p) & 1);
    slots_[p].entries.resize(buckets_.size() + (header_ ? 1 : 0));
  }
}

std::size_t SendSide::entry_of(const Item& item) const {
  if (item.is_header) return buckets_.size();
  return static_cast<std::size_t>(std::ranges::lower_bound(buckets_, item.bucket) - buckets_.begin());
}

bool SendSide::matches(const Slot& slot, Generation generation) const {
  return slot.held && slot.generation == generation.value();
}

const SendSide::Item* SendSide::next() const {
  if (waiting_.empty()) return nullptr;
  const Item& item = waiting_.front();
  const Slot& slot = slots_[item.generation.value() & 1];
  return !slot.held || slot.generation == item.generation.value() ? &item : nullptr;
}

void SendSide::take(Slot& slot, Generation generation) {
  if (slot.held || generation.value() < slot.next) {
    throw std::logic_error(fmt::format("generation {} would be written into a slot that generation {} {}",
                                       generation.value(), slot.held ? slot.generation : slot.next - 2,
                                       slot.held ? "still holds" : "was the last to use"));
  }
  slot.held = true;
  slot.credited = false;
  slot.generation = generation.value();
  std::ranges::fill(slot.entries, Entry{});
}

void SendSide::posted() {
  const Item item = waiting_.front();
  waiting_.pop_front();
  Slot& slot = slots_[item.generation.value() & 1];
  if (!matches(slot, item.generation)) take(slot, item.generation);
  slot.entries[entry_of(item)] = {.progress = Progress::posted, .item = item};
}

// Frees the slot when both sides are done with it.
void SendSide::settle(Slot& slot) {
  const auto sent = [](const Entry& entry) { return entry.progress == Progress::sent; };
  if (!slot.held || !slot.credited || !std::ranges::all_of(slot.entries, sent)) return;
  slot.held = false;
  slot.next = slot.generation + 2;
}

bool SendSide::bucket_sent(Generation generation, uint32_t bucket) {
  Slot& slot = slots_[generation.value() & 1];
  if (!matches(slot, generation)) return false;
  Entry& entry = slot.entries[entry_of({.bucket = bucket})];
  if (entry.progress != Progress::posted) return false;
  entry.progress = Progress::sent;
  settle(slot);
  return true;
}

void SendSide::header_sent(Generation generation) {
  Slot& slot = slots_[generation.value() & 1];
  if (!matches(slot, generation)) return;
  slot.entries.back().progress = Progress::sent;
  settle(slot);
}

std::string SendSide::credit(uint16_t tag) {
  Slot& slot = slots_[tag & 1];
  if (!slot.held || slot.credited) {
    return fmt::format(
        "a credit for generation {} (mod 65536) arrived, but the last one posted into that slot, {}, "
        "has been credited",
        tag, slot.held ? slot.generation : slot.next - 2);
  }
  const auto is_unposted = [](const Entry& entry) { return entry.progress == Progress::none; };
  if (tag_of(slot.generation) != tag) {
    return fmt::format(
        "a credit for generation {} (mod 65536) arrived, but the slot holds generation {} "
        "(mod 65536: {})",
        tag, slot.generation, tag_of(slot.generation));
  }
  if (std::ranges::any_of(slot.entries, is_unposted)) {
    return fmt::format("a credit for generation {} arrived before all of it was posted", slot.generation);
  }
  slot.credited = true;
  settle(slot);
  return {};
}

SendSide::Reconciled SendSide::reconcile(const ReceiveState& peer) {
  Reconciled result;
  // The later generation first, so that the earlier one ends up in front of it.
  std::array<std::size_t, 2> order = {0, 1};
  const auto is_unposted = [](const Entry& entry) { return entry.progress == Progress::none; };
  if (slots_[0].held && slots_[1].held && slots_[0].generation < slots_[1].generation) order = {1, 0};
  for (const std::size_t p : order) {
    Slot& slot = slots_[p];
    if (!slot.held) continue;
    const ReceiveState::Parity& theirs = peer.parity[p];
    const bool read = theirs.next > slot.generation;
    if (theirs.occupied && theirs.generation != slot.generation) {
      result.error = fmt::format("the neighbour has generation {} in a slot that we wrote generation {} into",
                                 theirs.generation, slot.generation);
      return result;
    }
    if (read && std::ranges::any_of(slot.entries, is_unposted)) {
      result.error = fmt::format("the neighbour says it has read generation {} before all of it was posted",
                                 slot.generation);
      return result;
    }
    for (std::size_t k = slot.entries.size(); k-- > 0;) {
      Entry& entry = slot.entries[k];
      if (entry.progress == Progress::none) continue;
      const Item& item = entry.item;
      const bool there =
          read || (theirs.occupied && (item.is_header ? theirs.header : theirs.buckets[item.bucket]));
      if (there) {
        if (entry.progress == Progress::posted && !item.is_header) {
          result.sent.push_back({item.generation, item.bucket});
        }
        entry.progress = Progress::sent;
      } else if (entry.progress == Progress::sent && !item.is_header) {
        result.error = fmt::format(
            "bucket {} of generation {} was acknowledged by the neighbour's device and has not "
            "reached it, and its source may have changed since",
            item.bucket, slot.generation);
        return result;
      } else {
        waiting_.push_front(item);
        entry.progress = Progress::none;
        ++result.again;
      }
    }
    if (read) slot.credited = true;
    settle(slot);
  }
  return result;
}

std::string SendSide::state() const {
  std::string text;
  for (const Slot& slot : slots_) {
    if (!slot.held) continue;
    const auto posted =
        std::ranges::count_if(slot.entries, [](const Entry& one) { return one.progress != Progress::none; });
    const auto sent =
        std::ranges::count_if(slot.entries, [](const Entry& one) { return one.progress == Progress::sent; });
    text += fmt::format("{}generation {}: {} of {} posted, {} sent, {}", text.empty() ? "" : ", ",
                        slot.generation, posted, slot.entries.size(), sent,
                        slot.credited ? "read" : "not read yet");
  }
  if (!waiting_.empty()) text += fmt::format("{}{} wait", text.empty() ? "" : "; ", waiting_.size());
  return text.empty() ? "nothing" : text;
}

bool SendSide::drained() const {
  return waiting_.empty() && std::ranges::none_of(slots_, [](const Slot& slot) {
           return slot.held && std::ranges::any_of(slot.entries, [](const Entry& one) {
                    return one.progress == Progress::posted;
                  });
         });
}

}  // namespace alder::rdma
