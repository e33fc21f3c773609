// cp.async: copies of single threads from global to shared memory, in groups.
//
// A copy takes effect at some time between its issue and the end of the wait that covers it. Lazy: at that
// wait, and never when nobody waits. Eager: at its issue. Random: either.
#include <algorithm>
#include <cstring>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {

void CopyQueue::clear() {
  copies.clear();
  group_ends.clear();
  landed = groups_done = 0;
}

bool lands_at_once(Multiprocessor& sm) {
  if (sm.options->copies == Copies::random) return sm.random() % 2 == 0;
  return sm.options->copies == Copies::eager;
}

// Lands the copies before number `upto`, in order; those that landed early are skipped (bytes == 0).
void land_copies(Thread& thread, std::size_t upto) {
  CopyQueue& queue = thread.copies;
  for (; queue.landed < upto; ++queue.landed) {
    PendingCopy& copy = queue.copies[queue.landed];
    if (copy.bytes == 0) continue;
    race_write(copy.to, copy.bytes);
    if (copy.valid > 0) race_read(copy.from, copy.valid);
    const Quiet quiet;
    if (copy.valid == 16) {  // by far the most: the compiler makes it one move
      std::memcpy(copy.to, copy.from, 16);
    } else {
      std::memset(copy.to + copy.valid, 0, copy.bytes - copy.valid);
      std::memcpy(copy.to, copy.from, copy.valid);
    }
    note_generic_write(copy.to, copy.bytes);
    running->statistics.copied_bytes += copy.valid;
    copy.bytes = 0;
  }
}

namespace {

void land_one(PendingCopy& copy, Thread& thread) {
  CopyQueue& queue = thread.copies;
  const auto index = static_cast<std::size_t>(&copy - queue.copies.data());
  const std::size_t landed = queue.landed;
  queue.landed = index;
  land_copies(thread, index + 1);
  queue.landed = landed;
}

}  // namespace

void cp_async(uint32_t to, const void* from, uint32_t bytes, uint32_t valid, Site site) {
  Multiprocessor& sm = *running;
  Thread& self = *sm.thread;
  std::byte* const target = self.warp->block->at(to, bytes, bytes, "cp.async", site);
  if (valid > 0) {
    check_access(from, bytes, "cp.async", site);
  } else if (reinterpret_cast<std::uintptr_t>(from) % bytes != 0) {
    sm.fail(site, fmt::format("cp.async from {}, which is not a multiple of {}", from, bytes));
  }
  {
    const Quiet quiet;
    self.copies.copies.push_back({target, static_cast<const std::byte*>(from), bytes, valid});
  }
  if (lands_at_once(sm)) land_one(self.copies.copies.back(), self);
}

void cp_async_commit() {
  const Quiet quiet;
  CopyQueue& queue = running->thread->copies;
  queue.group_ends.push_back(queue.copies.size());
}

void cp_async_wait(uint32_t groups_left) {
  Thread& self = *running->thread;
  CopyQueue& queue = self.copies;
  const std::size_t open = queue.group_ends.size() - queue.groups_done;
  if (open <= groups_left) return;
  queue.groups_done = queue.group_ends.size() - groups_left;
  land_copies(self, queue.group_ends[queue.groups_done - 1]);
  if (queue.landed == queue.copies.size() && queue.groups_done == queue.group_ends.size()) {
    queue.clear();
  } else if (queue.landed > 1024) {  // a long pipeline: forget what is done
    const Quiet quiet;
    queue.copies.erase(queue.copies.begin(),
                       queue.copies.begin() + static_cast<std::ptrdiff_t>(queue.landed));
    queue.group_ends.erase(queue.group_ends.begin(),
                           queue.group_ends.begin() + static_cast<std::ptrdiff_t>(queue.groups_done));
    for (std::size_t& end : queue.group_ends) end -= queue.landed;
    queue.landed = queue.groups_done = 0;
  }
}

}  // namespace alder::emulator
