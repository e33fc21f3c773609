// What the trainer's thread and a progress thread tell each other, through one ring each way.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/types.hpp"
#include "exchange/exchange.hpp"
#include "rdma/link.hpp"

namespace alder::rdma {

// An order may wait for a word in memory to reach a value: a word that a GPU's stream writes when a kernel
// has finished, so that no thread has to wake up in between. Null: at once.
struct Gate {
  const std::atomic<uint64_t>* word = nullptr;
  uint64_t value = 0;
  bool open() const { return word == nullptr || word->load(std::memory_order_acquire) >= value; }
};

// From the trainer.
struct Order {
  enum class Kind : uint8_t {
    expect,    // the edge is heard in this generation: counts for arrival words
    opened,    // all edges of the generation have been named
    publish,   // a bucket, on an edge
    announce,  // a header, on an edge
    release,   // the generation, on all edges
    proceed,   // store the bucket's arrival word for the generation, whoever is missing
    drop,      // the edge, without a word: another rail has lost it
    ended,     // the same: the launcher says that the neighbour's process has ended
    leave,     // all edges, orderly, once all that was given has left
  };
  Kind kind = Kind::publish;
  uint32_t edge = 0, bucket = 0;
  Generation generation{};
  Source source{};
  Header header{};
  Gate gate{};
  bool names_an_edge() const {
    return kind == Kind::expect || kind == Kind::publish || kind == Kind::announce || kind == Kind::drop ||
           kind == Kind::ended;
  }
  int64_t patience_ns = 0;  // of `leave`: after that long, whatever has not left stays
};

// To the trainer.
struct Event {
  enum class Kind : uint8_t { up, bucket_arrived, header_arrived, bucket_sent, mended, over };
  Kind kind = Kind::up;
  bool orderly = false;  // of `over`
  uint32_t edge = 0, bucket = 0;
  Generation generation{};
  Header header{};
};

}  // namespace alder::rdma
