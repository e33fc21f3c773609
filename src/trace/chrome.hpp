// A trace as the JSON that Perfetto (ui.perfetto.dev) and chrome://tracing open.
//
// A process is a worker, a thread a lane of it: steps, compute, waits, publishing, exchange, progress thread,
// device. Transfers are async events on tracks "to worker k" and "from worker k", since they overlap; arrows
// go from the post to the arrival to the mixing that uses it; a counter shows the bytes on their way out.
#pragma once

#include <cstdint>
#include <filesystem>

#include "trace/merge.hpp"

namespace alder::trace {

// Times are microseconds since the earliest record, to the nanosecond. Returns the number of events. Throws
// Error when the file cannot be written.
uint64_t write_chrome(const Trace& trace, const std::filesystem::path& out);

}  // namespace alder::trace
