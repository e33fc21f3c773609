#include "trace/rings.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <mutex>

namespace alder::trace::detail {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<std::shared_ptr<ThreadRing>> rings;
  uint32_t threads = 0;
};

// Never destroyed: threads may end after everything else has.
Registry& registry() {
  static auto* const one = new Registry;
  return *one;
}

}  // namespace

std::shared_ptr<ThreadRing> make_ring_of_this_thread() {
  std::array<char, 16> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.rings.push_back(std::make_shared<ThreadRing>(all.threads++, name.data()));
  return all.rings.back();
}

std::vector<std::shared_ptr<ThreadRing>> all_rings() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.rings, [](const auto& ring) {
    return ring->thread_ended.load(std::memory_order_acquire) && ring->records.empty();
  });
  return all.rings;
}

}  // namespace alder::trace::detail
