// Handing buckets to a GPU and back without a thread in between.
//
// A stream can wait for a 64-bit word in mapped host memory to reach a value, and write one when it gets
// there (cuStreamWaitValue64, cuStreamWriteValue64). So the progress thread stores a word when a bucket has
// arrived, which lets the mixing kernel start, and takes a word that the stream wrote after a kernel as leave
// to send or to release. The words are plain memory here; who maps them for a GPU is not this room's
// business.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "exchange/exchange.hpp"
#include "rdma/messages.hpp"

namespace alder::rdma {

// An endpoint of the verbs exchange, for engines that work in streams. Threads: as Endpoint.
class SignalledEndpoint : public Endpoint {
 public:
  // One word a bucket, each written by the progress threads only: generation + 1 once the bucket has arrived
  // from everyone heard in that generation, in the order of generations. A word stays behind when a neighbour
  // fails: await_bucket says so, and then proceed() lets the stream go on with the row chosen without it.
  // Once, before the first open. fp32 on the wire only: std::logic_error.
  virtual void signal_arrivals(std::span<std::atomic<uint64_t>* const> words) = 0;
  virtual void proceed(Generation generation, Bucket bucket) = 0;

  // As publish and release, once `gate` is open.
  virtual void publish_after(const Gate& gate, Generation generation, Bucket bucket,
                             std::span<const float> source) = 0;
  virtual void release_after(const Gate& gate, Generation generation) = 0;
};

}  // namespace alder::rdma
