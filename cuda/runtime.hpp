// Devices, memory, streams, events and graphs: the part of the CUDA runtime that the engine uses, over two
// bodies.
//
// runtime_cuda.cpp calls the CUDA runtime. runtime_emulated.cpp runs everything at once and in order on the
// calling thread; a capture records what would be done, and a graph does it again.
//
// Every call throws alder::Error on failure: the call, its arguments, whose stream. Handles are move-only and
// belong to the device that was current (set_device) when they were made. Threads: a stream, an event or a
// graph is used by one thread at a time, different ones by different threads at once; all else from any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cuda/isa/backend.hpp"

namespace alder::ALDER_BACKEND {

struct DeviceCount {
  int devices = 0;
  std::string why_none;  // "no CUDA driver is loaded (35: ...)"; empty when there are devices
};
DeviceCount count_devices();

struct DeviceProperties {
  std::string name;
  int capability = 0;  // 80, 90, ..
  int multiprocessors = 0;
  int64_t memory_bytes = 0;
  int64_t l2_bytes = 0;
  int64_t shared_bytes = 0;  // of a block, at most
};
DeviceProperties device_properties(int device);
void set_device(int device);  // for the calling thread

struct MemoryInfo {
  int64_t free_bytes = 0, total_bytes = 0;
};
MemoryInfo memory_info();
void synchronize_device();

namespace detail {

struct StreamState;
struct EventState;
struct GraphState;
void destroy(StreamState* state) noexcept;
void destroy(EventState* state) noexcept;
void destroy(GraphState* state) noexcept;

// A unique_ptr to what a body defines, without <memory>: nvcc reads that for seconds.
template <typename State>
class Owned {
 public:
  Owned() = default;
  explicit Owned(State* state) : state_(state) {}
  Owned(Owned&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Owned() {
    if (state_ != nullptr) destroy(state_);
  }
  State* get() const { return state_; }
  State* operator->() const { return state_; }
  State& operator*() const { return *state_; }

 private:
  State* state_ = nullptr;
};

void* allocate_device(std::size_t bytes, std::string_view purpose);
void free_device(void* data) noexcept;
}  // namespace detail

// Memory on the device, 256-byte aligned. Its contents are undefined (the emulator: 0xFF, NaN).
class DeviceMemory {
 public:
  DeviceMemory() = default;
  // `purpose` says in errors what it was for: "activations of worker 3".
  DeviceMemory(std::size_t bytes, std::string_view purpose)
      : data_(bytes == 0 ? nullptr : detail::allocate_device(bytes, purpose)), bytes_(bytes) {}
  DeviceMemory(DeviceMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceMemory() { detail::free_device(data_); }

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  // The part at `offset` bytes as an array of T.
  template <typename T>
  T* at(std::size_t offset = 0) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(data_) + offset);
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Page-locked host memory that kernels may read and write in place: how the loss reaches the host.
class MappedMemory {
 public:
  MappedMemory() = default;
  MappedMemory(std::size_t bytes, std::string_view purpose);  // zeros
  MappedMemory(MappedMemory&& other) noexcept;
  MappedMemory& operator=(MappedMemory&& other) noexcept;
  ~MappedMemory();

  void* host() const { return host_; }
  void* device() const { return device_; }  // the same bytes, as kernels address them
  std::size_t bytes() const { return bytes_; }

 private:
  void* host_ = nullptr;
  void* device_ = nullptr;
  std::size_t bytes_ = 0;
};

class Event;

// Work in order. Not ordered with any other stream but by events.
class Stream {
 public:
  explicit Stream(std::string owner);  // who is named in errors: "worker 3"

  const std::string& owner() const;
  void synchronize() const;  // errors of earlier launches surface here, with the last one's name
  void wait(const Event& event) const;
  void* native() const;  // the cudaStream_t, for libraries; null in the emulator
  detail::StreamState& state() const { return *state_; }

 private:
  detail::Owned<detail::StreamState> state_;
};

class Event {
 public:
  enum class Timing : uint8_t { none, on };
  explicit Event(Timing timing = Timing::none);

  void record(const Stream& stream);
  bool done() const;
  void synchronize() const;
  // Between two recorded events with timing, the later one done.
  static double milliseconds(const Event& from, const Event& to);
  detail::EventState& state() const { return *state_; }

 private:
  detail::Owned<detail::EventState> state_;
};

// A recorded sequence of launches and copies, replayed by one call.
class Graph {
 public:
  Graph() = default;
  // Runs `body`, recording instead of doing what it puts on `stream` and on streams that join by events (and
  // must be joined back). Nothing in it may allocate, synchronise or read results.
  template <typename Body>
  static Graph capture(const Stream& stream, const Body& body) {
    return capture_call(
        stream, [](const void* call) { (*static_cast<const Body*>(call))(); }, &body);
  }

  void launch(const Stream& stream) const;
  std::size_t nodes() const;
  explicit operator bool() const { return state_.get() != nullptr; }

 private:
  static Graph capture_call(const Stream& stream, void (*call)(const void*), const void* body);

  detail::Owned<detail::GraphState> state_;
};

// Device to device, host to device or back, found out from the pointers. Asynchronous on the device when the
// host side is mapped memory; a host side that is ordinary memory must not change until the stream is
// synchronised.
void copy(const Stream& stream, void* to, const void* from, std::size_t bytes);
void fill(const Stream& stream, void* to, uint8_t byte, std::size_t bytes);

// An array on the device and its way from and to the host, synchronously: for tests and set-up.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(std::size_t size, std::string_view purpose) : memory_(size * sizeof(T), purpose), size_(size) {}

  T* data() const { return memory_.at<T>(); }
  std::size_t size() const { return size_; }
  void upload(const Stream& stream, std::span<const T> from) const {
    copy(stream, data(), from.data(), from.size_bytes());
    stream.synchronize();
  }
  void download(const Stream& stream, std::span<T> to) const {
    copy(stream, to.data(), data(), to.size_bytes());
    stream.synchronize();
  }

 private:
  DeviceMemory memory_;
  std::size_t size_ = 0;
};

}  // namespace alder::ALDER_BACKEND
