#include "rdma/tuning.hpp"

#include "base/error.hpp"

namespace alder::rdma {
namespace {

template <typename Value>
void within(const char* name, Value value, Value low, Value high) {
  if (value < low || value > high)
    usage_error("verbs exchange: {} is {}, expected {} .. {}", name, value, low, high);
}

}  // namespace

void check(const Tuning& tuning) {
  within("data_queue_pairs", tuning.data_queue_pairs, 1U, kMaxDataQueuePairs);
  within("spare_connections", tuning.spare_connections, 0U, kMaxConnections - 1);
  within("send_depth", tuning.send_depth, 4U, 16384U);
  within("ack_timeout", int{tuning.ack_timeout}, 1, 31);
  within("retry_count", int{tuning.retry_count}, 0, 7);
  within("rnr_retry", int{tuning.rnr_retry}, 0, 7);
  within("rnr_timer", int{tuning.rnr_timer}, 0, 31);
  within("heartbeat in ms", int64_t{tuning.heartbeat.count()}, int64_t{1}, int64_t{60000});
  within("grace in ms", int64_t{tuning.grace.count()}, 2 * int64_t{tuning.heartbeat.count()},
         int64_t{3600000});
  within("spin_polls", tuning.spin_polls, 0, 1 << 30);
  within("yield_polls", tuning.yield_polls, 0, 1 << 30);
}

}  // namespace alder::rdma
