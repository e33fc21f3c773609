// The emulated body of runtime.hpp and launch.hpp: everything happens at once, on the calling thread and in
// order.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "cuda/emulator/memory.hpp"
#include "cuda/emulator/options.hpp"
#include "cuda/emulator/run.hpp"
#include "cuda/launch.hpp"
#include "cuda/runtime.hpp"

namespace alder::emulated {

// ---- devices and memory

DeviceCount count_devices() {
  return {.devices = 1, .why_none = {}};
}

DeviceProperties device_properties(int device) {
  set_device(device);
  const emulator::Options& options = emulator::options();
  return {.name = "emulator",
          .capability = options.compute_capability,
          .multiprocessors = options.multiprocessors,
          .memory_bytes = options.device_bytes,
          .l2_bytes = int64_t{50} << 20,
          .shared_bytes =
              static_cast<int64_t>(options.compute_capability >= 90 ? emulator::kMaxShared : 163 * 1024)};
}

void set_device(int device) {
  if (device != 0) fail("emulated device {}: there is only device 0", device);
}

MemoryInfo memory_info() {
  const int64_t total = emulator::options().device_bytes;
  return {.free_bytes = std::max<int64_t>(total - emulator::allocated_device_bytes(), 0),
          .total_bytes = total};
}

void synchronize_device() {}

namespace detail {
namespace {

// What a capture has recorded so far.
struct Recording {
  std::vector<std::function<void()>> steps;
  const StreamState* origin = nullptr;
  std::vector<StreamState*> joined;  // streams that take part besides the origin
  bool ended = false;
};

}  // namespace

struct StreamState {
  std::string owner;
  std::shared_ptr<Recording> recording;  // while this stream is being captured
  bool unjoined = false;                 // has recorded work that the origin has not waited for
};

struct EventState {
  bool timing = false;
  std::chrono::steady_clock::time_point time;
  bool recorded = false;
  std::shared_ptr<Recording> recording;  // recorded within this capture
  StreamState* stream = nullptr;         // there
};

struct GraphState {
  std::vector<std::function<void()>> steps;
};

void destroy(StreamState* state) noexcept {
  delete state;
}
void destroy(EventState* state) noexcept {
  delete state;
}
void destroy(GraphState* state) noexcept {
  delete state;
}

void* allocate_device(std::size_t bytes, std::string_view purpose) {
  return emulator::allocate(bytes, purpose);
}
void free_device(void* data) noexcept {
  emulator::release(data);
}

namespace {

void put(const Stream& stream, std::function<void()> step) {
  StreamState& state = stream.state();
  if (!state.recording) {
    step();
    return;
  }
  state.recording->steps.push_back(std::move(step));
  state.unjoined = state.recording->origin != &state;
}

void refuse_in_capture(const Stream& stream, std::string_view what) {
  if (stream.state().recording)
    fail("{} of the stream of {} while it is being captured", what, stream.owner());
}

// A part of device memory, or host memory, about which nothing is known.
void check_range(const void* pointer, std::size_t bytes, std::string_view what, const Stream& stream) {
  const auto table = emulator::allocation_table();
  const emulator::Allocation* allocation = table->find(pointer);
  if (allocation == nullptr) return;
  const std::size_t left =
      allocation->bytes - static_cast<std::size_t>(static_cast<const std::byte*>(pointer) - allocation->data);
  if (bytes > left) {
    fail("{} of {} bytes on the stream of {}: only {} are left of {} ({} bytes)", what, bytes, stream.owner(),
         left, allocation->purpose, allocation->bytes);
  }
}

}  // namespace

void launch_emulated(const Stream& stream, const LaunchShape& shape, std::function<void()> thread) {
  const emulator::Launch launch{.name = std::string(shape.name),
                                .grid = {shape.grid.x, shape.grid.y, shape.grid.z},
                                .threads = shape.threads,
                                .shared_bytes = shape.shared_bytes,
                                .cluster = shape.cluster,
                                .programmatic = shape.programmatic};
  put(stream, [launch, thread = std::move(thread), owner = stream.owner()] {
    try {
      emulator::run(launch, thread);
    } catch (const Error& error) {
      fail("{} [grid ({},{},{}), {} threads, {} shared bytes, cluster {}, stream of {}]", error.what(),
           launch.grid[0], launch.grid[1], launch.grid[2], launch.threads, launch.shared_bytes,
           launch.cluster, owner);
    }
  });
}

}  // namespace detail

MappedMemory::MappedMemory(std::size_t bytes, std::string_view purpose)
    : host_(emulator::allocate(bytes, purpose, /*on_device=*/false)), device_(host_), bytes_(bytes) {
  std::memset(host_, 0, bytes);
}
MappedMemory::MappedMemory(MappedMemory&& other) noexcept
    : host_(std::exchange(other.host_, nullptr)),
      device_(std::exchange(other.device_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}
MappedMemory& MappedMemory::operator=(MappedMemory&& other) noexcept {
  std::swap(host_, other.host_);
  std::swap(device_, other.device_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
MappedMemory::~MappedMemory() {
  emulator::release(host_);
}

void copy(const Stream& stream, void* to, const void* from, std::size_t bytes) {
  detail::check_range(to, bytes, "copy to device memory", stream);
  detail::check_range(from, bytes, "copy from device memory", stream);
  detail::put(stream, [=] {
    if (bytes > 0) std::memmove(to, from, bytes);
  });
}

void fill(const Stream& stream, void* to, uint8_t byte, std::size_t bytes) {
  detail::check_range(to, bytes, "fill", stream);
  detail::put(stream, [=] {
    if (bytes > 0) std::memset(to, byte, bytes);
  });
}

// ---- streams and events

Stream::Stream(std::string owner) : state_(new detail::StreamState) {
  state_->owner = std::move(owner);
}
const std::string& Stream::owner() const {
  return state_->owner;
}
void* Stream::native() const {
  return nullptr;
}
void Stream::synchronize() const {
  detail::refuse_in_capture(*this, "synchronize");
}

void Stream::wait(const Event& event) const {
  const detail::EventState& from = event.state();
  if (!from.recording) return;  // nothing is ever behind
  if (from.recording->ended)
    fail("wait of the stream of {} for an event of a capture that has ended", owner());
  if (!state_->recording) {  // joins the capture
    state_->recording = from.recording;
    from.recording->joined.push_back(state_.get());
  }
  if (state_.get() == from.recording->origin && from.stream != nullptr) from.stream->unjoined = false;
}

Event::Event(Timing timing) : state_(new detail::EventState) {
  state_->timing = timing == Timing::on;
}
void Event::record(const Stream& stream) {
  state_->recording = stream.state().recording;
  state_->stream = &stream.state();
  state_->recorded = true;
  state_->time = std::chrono::steady_clock::now();
}
bool Event::done() const {
  return true;
}
void Event::synchronize() const {
  if (state_->recording) fail("synchronize of an event that belongs to a capture");
}
double Event::milliseconds(const Event& from, const Event& to) {
  if (!from.state_->timing || !to.state_->timing) fail("milliseconds between events made without timing");
  if (!from.state_->recorded || !to.state_->recorded)
    fail("milliseconds between events that were not recorded");
  return std::chrono::duration<double, std::milli>(to.state_->time - from.state_->time).count();
}

// ---- graphs

Graph Graph::capture_call(const Stream& stream, void (*call)(const void*), const void* body) {
  detail::refuse_in_capture(stream, "capture");
  const auto recording = std::make_shared<detail::Recording>();
  recording->origin = &stream.state();
  stream.state().recording = recording;
  std::string stray;
  const auto end = [&] {
    recording->ended = true;
    stream.state().recording.reset();
    for (detail::StreamState* joined : recording->joined) {
      joined->recording.reset();
      if (std::exchange(joined->unjoined, false)) stray = joined->owner;
    }
  };
  try {
    call(body);
  } catch (...) {
    end();
    throw;
  }
  end();
  if (!stray.empty()) {
    fail("capture of the stream of {}: the stream of {} took part and was not joined back", stream.owner(),
         stray);
  }
  Graph graph;
  graph.state_ = detail::Owned(new detail::GraphState{std::move(recording->steps)});
  return graph;
}
void Graph::launch(const Stream& stream) const {
  if (!*this) fail("launch of an empty graph on the stream of {}", stream.owner());
  detail::refuse_in_capture(stream, "launch of a graph");
  for (const auto& step : state_->steps) step();
}
std::size_t Graph::nodes() const {
  return *this ? state_->steps.size() : 0;
}

}  // namespace alder::emulated
