// What a broken edge says to a person.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "rdma/descriptor.hpp"
#include "rdma/path.hpp"

namespace alder::rdma {

// One end of an edge, as messages name it.
struct LinkEnd {
  Rank rank = 0;
  std::string host;
  std::string port;  // "mlx5_0:1"
  uint16_t lid = 0;
  std::string gid;
  std::vector<uint32_t> queue_pairs;  // control first
};
// "worker 3 (hosta mlx5_0:1, LID 0, GID fe80::1, queue pairs 0x11 0x12)"
std::string to_string(const LinkEnd& end);

// Everything known at the moment of a failure.
struct FailureReport {
  LinkEnd self, neighbour;
  std::string cause;    // the first one
  std::string likely;   // causes of the cause, in order; may be empty
  uint64_t epoch = 0;   // of the connection
  uint64_t breaks = 0;  // connections used up before
  bool anything_sent = false, anything_received = false;
  uint64_t last_generation_sent = 0;
  uint32_t last_bucket_sent = 0;
  uint16_t last_tag_received = 0;  // low 16 bits of a generation
  uint32_t last_bucket_received = 0;
  uint64_t buckets_posted = 0, buckets_sent = 0, buckets_received = 0;
  uint64_t flushed = 0;
  double seconds_silent = 0;  // since the last sign of life
  std::string events;         // of the device, recent; may be empty
};
// One paragraph: what, where, both ends, counters, times, likely causes.
std::string describe(const FailureReport& report);

// "ended with 'transport retry counter exceeded' (12), vendor error 0x81"
std::string status_text(ibv_wc_status status, uint32_t vendor_error);
// "the neighbour's process is gone; its port or cable is down; ...": most likely first.
std::string likely_causes(ibv_wc_status status, uint8_t link_layer);

}  // namespace alder::rdma
