// The exchange contract: edges and generations, nothing about learning.
//
// A *generation* is one published version of a worker's model array. For each generation g a worker
//   1. publish(g, bucket, source)  hands over memory that stays unchanged until all live neighbours have
//                                  read it (await_released says when);
//   2. announce(g, header)         sends 64 bytes (loss, degree, ...), at any time before the
//                                  neighbours need them;
//   3. await(g, ...)               waits, with a deadline, for headers or buckets of its live neighbours;
//   4. reads slot(neighbour, g)    the neighbour's array, in place where that is possible;
//   5. release(g)                  says that it has read them.
// Edges may be directed: `live` at generation g names whom this worker sends to and hears from.
//
// Threads: one Endpoint belongs to one worker and is used by one thread at a time.
// No call blocks without a deadline; what is missing comes back as a status per neighbour, so that the
// caller can go on without that neighbour (its weight returns to self).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.hpp"
#include "exchange/region.hpp"

namespace alder {

// What travels beside every model: one cache line, one writer (the sender), checked by crc32c.
struct alignas(64) Header {
  static constexpr uint32_t kMagicVersion = 0xA1DE0001;  // protocol version 1
  uint32_t magic_version = kMagicVersion;
  uint32_t epoch = 0;  // of membership, not of training: fences a zombie
  uint64_t generation = 0;
  uint64_t step = 0;
  float loss = 0;                    // what leaders are ranked by; not finite ranks last
  uint32_t degree = 0;               // live neighbours of the sender
  uint64_t consumed_generation = 0;  // the sender has released every generation below this one
  uint32_t flags = 0;
  uint32_t wire_type = 0;   // 0: float32
  uint64_t graph_hash = 0;  // both ends must run the same schedule
  uint32_t crc32c = 0;      // of the preceding 56 bytes
  uint32_t reserved = 0;
};
static_assert(sizeof(Header) == 64 && alignof(Header) == 64);

enum class Arrival : uint8_t {
  arrived,
  late,    // the deadline passed
  failed,  // the edge is broken, or the neighbour is gone or has passed this generation by
};
std::string_view to_string(Arrival arrival);

// Who exchanges with whom in one generation, seen from one worker. Sorted by rank, without self.
struct LiveEdges {
  std::vector<Rank> send_to;
  std::vector<Rank> receive_from;
};

using Deadline = std::chrono::steady_clock::time_point;

// await_released can be asked for this many generations back, counted from the last opened one.
inline constexpr std::size_t kRememberedGenerations = 8;

// Generations that one worker may have open (opened and not released) at once: a transport keeps this many
// slots for every neighbour. Two, so that one can arrive while another is read.
inline constexpr std::size_t kOpenGenerations = 2;

// Calls in the wrong order (a generation that does not increase, a slot read before await said `arrived`
// or after release, a bucket of the wrong length) are errors of the program: std::logic_error, which says
// who did what. A generation is published whole or not at all: some transports give its slot back only when
// all its buckets and its header have arrived. What is published is published before it is released.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  virtual Rank rank() const = 0;

  // Opens a generation (strictly increasing) on these edges.
  virtual void open(Generation generation, const LiveEdges& live) = 0;
  virtual void publish(Generation generation, Bucket bucket, std::span<const float> source) = 0;
  // The caller gives epoch, step, loss, degree, flags and graph_hash; the endpoint fills in the rest.
  virtual void announce(Generation generation, const Header& header) = 0;

  // One status per live.receive_from, in its order; returns as soon as all are settled. A deadline that
  // has passed asks without waiting.
  virtual std::vector<Arrival> await_headers(Generation generation, Deadline deadline) = 0;
  virtual std::vector<Arrival> await_bucket(Generation generation, Bucket bucket, Deadline deadline) = 0;

  // Valid after arrival and until release(generation).
  virtual Header header(Rank neighbour, Generation generation) const = 0;
  // The slots of consecutive buckets of one neighbour are adjacent, as the buckets are in the model array.
  virtual std::span<const float> slot(Rank neighbour, Generation generation, Bucket bucket) const = 0;
  virtual void release(Generation generation) = 0;  // in the order of opening

  // Whether every live.send_to neighbour has read what was published in `generation`, or has a copy of it,
  // so that the source may be overwritten.
  virtual std::vector<Arrival> await_released(Generation generation, Deadline deadline) = 0;

  // Payload bytes this worker sent along the edge to `neighbour` since construction (counted as if
  // sent, also where they were read in place).
  virtual int64_t bytes_sent(Rank neighbour) const = 0;
};

// Something that befell an edge, for the run's record.
struct EdgeNotice {
  Rank worker = 0, neighbour = 0;
  bool lost = false;        // for good; else it broke and was mended
  Generation generation{};  // the last one that the worker had opened
  double seconds = 0;       // since the exchange was made
  std::string text;         // one paragraph: what, both ends, why
};

// What an edge of a local worker is doing, for a person.
struct EdgeState {
  Rank worker = 0, neighbour = 0;
  std::string text;  // one line
};

// What carries the payload, for figures.
struct WireFacts {
  std::vector<std::string> ports;  // "mlx5_0:1": what this process sends through; none: memory only
  int element_bytes = 4;           // of a model's element on its way
};

// A job's exchange: hands out the endpoints of the workers that live in this process.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual int workers() const = 0;
  virtual std::vector<Rank> local() const = 0;
  virtual Endpoint& endpoint(Rank local_rank) = 0;
  // The memory that a local worker publishes from: every source handed to publish() lies within one of these
  // regions. Once per worker, before it opens its first generation, so that a transport can register them.
  // They outlive the exchange, which may still be sending from them. Throws Error.
  virtual void attach(Rank /*local_rank*/, std::span<const Region> /*sources*/) {}
  // A local worker cannot go on: its edges report `failed` at both ends from now on, waits in progress
  // included. From any thread. What neighbours were told has arrived they may read until they release it.
  virtual void mark_failed(Rank local_rank) = 0;
  // What befell the local workers' edges since the last call. From any thread.
  virtual std::vector<EdgeNotice> take_notices() { return {}; }
  // What was chosen and why, since the last call: lines for a person.
  virtual std::vector<std::string> take_remarks() { return {}; }
  virtual std::string description() const = 0;
  virtual WireFacts wire() const { return {}; }
  // What every edge of the local workers does now. From any thread, also while a worker waits; returns within
  // a second whatever hangs.
  virtual std::vector<EdgeState> edge_states() { return {}; }
};

// A wait that did not end well, for a person.
struct Wait {
  Rank waiter = 0;
  std::string_view what;  // "the header", "bucket 0", "the release"
  Generation generation;
  std::span<const Rank> neighbours;   // who was waited for
  std::span<const Arrival> arrivals;  // what came of it, same order
  double seconds = 0;                 // since when
};
// "worker 3 waited 30.0 s for bucket 0 of generation 12: worker 1 is late, worker 5 has failed". Names only
// those that did not arrive.
std::string describe_wait(const Wait& wait);

// All workers in this process; neighbours' arrays are read in place, no copy is made.
// `buckets` lengths in elements, in order; they add up to the model array.
std::unique_ptr<Exchange> make_local_exchange(int workers, std::vector<std::size_t> buckets);

// Nobody hears anybody: every await says `failed` at once. For measuring a run without exchange. With `only`:
// this worker alone lives in this process.
std::unique_ptr<Exchange> make_no_exchange(int workers);
std::unique_ptr<Exchange> make_no_exchange(int workers, Rank only);

}  // namespace alder
