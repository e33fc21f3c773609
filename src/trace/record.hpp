// What a trace is made of: fixed-size records of spans and instants.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/types.hpp"

namespace alder::trace {

// The numbers stand in files: they never change, new ones go to the end.
enum class Kind : uint8_t {
  // Spans of a worker's own thread.
  step = 0,          // generation: the step's number
  data = 1,          // a batch is read and augmented
  forward = 2,       // from the pictures to the loss
  backward = 3,      // from the loss to the gradients
  mixing = 4,        // generation: whose models are combined
  publish = 5,       // the call for one bucket
  wait_header = 6,   // for the headers of all neighbours
  wait_bucket = 7,   // for one bucket of all neighbours
  wait_release = 8,  // until all have read what was published in `generation`
  evaluation = 9,
  checkpoint = 10,
  // Instants of the exchange, by whatever thread sees them.
  post = 11,            // a bucket is handed to the link towards `neighbour`
  sent = 12,            // its source is not read any more
  landed = 13,          // a bucket of `neighbour` is complete, and not yet visible to a GPU
  arrival = 14,         // a bucket of `neighbour` may be read
  header_post = 15,     // this worker has announced `generation`
  header_arrival = 16,  // the neighbour's header of it is here
  released = 17,        // `neighbour` has read this worker's array, where it reads it in place
  edge_up = 18,         // the edge to `neighbour` stands
  edge_mended = 19,     // after a break
  edge_over = 20,       // for good
  progress_sleep = 21,  // a span: the progress thread waits for something to happen
  // Spans of a device, by whoever can time them (append).
  kernel = 22,
  copy = 23,
  expects = 24,  // an instant: `neighbour` is heard in `generation`
};
inline constexpr int kKinds = 25;
std::string_view name_of(Kind kind);
bool is_span(Kind kind);

// Times are ticks (ticks.hpp) in memory and nanoseconds of the writer's steady clock in files.
struct Record {
  int64_t begin = 0, end = 0;  // equal for an instant
  uint64_t generation = 0;
  int32_t worker = 0;      // whose record it is
  int32_t neighbour = -1;  // -1: none
  uint32_t bucket = 0;
  Kind kind = Kind::step;
  uint8_t in_nanoseconds = 0;  // 1: begin and end are no ticks; always 1 in files
  uint16_t reserved = 0;
};
static_assert(sizeof(Record) == 40, "the layout is that of files");

}  // namespace alder::trace
