// The knobs of the verbs exchange. Every one of them changes how bytes travel and none changes what arrives
// (except the wire type, which says so); tests hold that.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "rdma/descriptor.hpp"
#include "rdma/layout.hpp"

namespace alder::rdma {

struct Tuning {
  WireType wire_type = WireType::fp32;

  // Longest write; 0: whatever the ports allow. Longer buckets are split, which also lets several queue pairs
  // carry one bucket.
  uint32_t chunk_bytes = 0;
  // Data queue pairs of an edge on each rail, 1 .. kMaxDataQueuePairs. More than one where the fabric picks a
  // path by queue pair (RoCE with ECMP), or above 200 Gb/s.
  uint32_t data_queue_pairs = 1;
  Notify notify = Notify::with_data;
  // Requests that a data queue pair may have in flight.
  uint32_t send_depth = 128;

  // Reliable connection: a request is repeated after 4.096 us * 2^ack_timeout, retry_count times, then the
  // connection is broken: 1.3 s in all. Soft-RoCE takes 7 retries as endless.
  uint8_t ack_timeout = 16;
  uint8_t retry_count = 4;
  // Receives are posted before they can be needed, so a receiver that is not ready is a bug of ours; few
  // retries let it be seen.
  uint8_t rnr_retry = 3;
  uint8_t rnr_timer = 12;  // 0.64 ms

  // A sign of life goes out on an edge that has been idle this long.
  std::chrono::milliseconds heartbeat{100};
  // A neighbour that gives no sign of life this long is given up. Ports may go down and come back within it.
  std::chrono::milliseconds grace{2800};
  // Connections kept ready beside the one in use, 0 .. kMaxConnections - 1: each break of a connection uses
  // one up, and the next one that stands replaces it.
  uint32_t spare_connections = 2;
  // To find each other in the beginning, and to part in the end.
  std::chrono::milliseconds connect_deadline{30000};
  std::chrono::milliseconds close_deadline{5000};

  // The progress thread's patience: empty polls before it yields its core at each further one, and before it
  // sleeps until something happens. Spinning pays only with a core to itself.
  int spin_polls = 0;
  int yield_polls = 64;
  bool pin = false;  // to Path::cpus
};

// Throws UsageError that names the knob, its value and its range.
void check(const Tuning& tuning);

}  // namespace alder::rdma
