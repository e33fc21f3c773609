// The CUDA body of runtime.hpp and launch.hpp. Compiled by the host compiler; holds no kernels.
#include <cuda_runtime.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "cuda/launch.hpp"
#include "cuda/runtime.hpp"

namespace alder::cuda {
namespace {

std::string text_of(cudaError_t status) {
  return fmt::format("{} ({}: {})", cudaGetErrorString(status), static_cast<int>(status),
                     cudaGetErrorName(status));
}

// `what` names the call and its arguments; it is formatted only on failure.
template <typename... Args>
void check(cudaError_t status, fmt::format_string<Args...> what, Args&&... arguments) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // a sticky status would be blamed on the next call
  fail("{}: {}", fmt::format(what, std::forward<Args>(arguments)...), text_of(status));
}

}  // namespace

namespace detail {

void launch_device(const Stream& stream, const LaunchShape& shape, const void* kernel, void** arguments);

struct StreamState {
  std::string owner;
  cudaStream_t stream = nullptr;
  mutable std::string last_launch;  // by the thread that uses the stream
};
struct EventState {
  cudaEvent_t event = nullptr;
};
struct GraphState {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  std::size_t nodes = 0;
};

void destroy(StreamState* state) noexcept {
  if (state->stream != nullptr) cudaStreamDestroy(state->stream);
  delete state;
}
void destroy(EventState* state) noexcept {
  if (state->event != nullptr) cudaEventDestroy(state->event);
  delete state;
}
void destroy(GraphState* state) noexcept {
  if (state->executable != nullptr) cudaGraphExecDestroy(state->executable);
  if (state->graph != nullptr) cudaGraphDestroy(state->graph);
  delete state;
}

void* allocate_device(std::size_t bytes, std::string_view purpose) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    const MemoryInfo memory = memory_info();
    fail("device memory: {} bytes for {} do not fit, {} of {} are free", bytes, purpose, memory.free_bytes,
         memory.total_bytes);
  }
  check(status, "cudaMalloc of {} bytes for {}", bytes, purpose);
  return data;
}

void free_device(void* data) noexcept {
  if (data != nullptr) cudaFree(data);
}

// With ALDER_CUDA_SYNC=1 every launch is waited for, so that an error names the kernel that made it.
static bool wait_for_each_launch() {
  static const bool wait = [] {
    const char* text = std::getenv("ALDER_CUDA_SYNC");
    return text != nullptr && std::strcmp(text, "1") == 0;
  }();
  return wait;
}

static std::string describe(const Stream& stream, const LaunchShape& shape) {
  return fmt::format(
      "launch of kernel {}, grid ({},{},{}), {} threads, {} shared bytes, cluster {}{}, stream of {}",
      shape.name, shape.grid.x, shape.grid.y, shape.grid.z, shape.threads, shape.shared_bytes, shape.cluster,
      shape.programmatic ? ", programmatic" : "", stream.owner());
}

static int current_capability() {
  int device = 0, major = 0, minor = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "capability of device {}",
        device);
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "capability of device {}",
        device);
  return major * 10 + minor;
}

void launch_device(const Stream& stream, const LaunchShape& shape, const void* kernel, void** arguments) {
  constexpr std::size_t kWithoutAsking = 48 * 1024;
  if (shape.shared_bytes > kWithoutAsking) {
    const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                    static_cast<int>(shape.shared_bytes));
    if (status != cudaSuccess) check(status, "{}: more shared memory", describe(stream, shape));
  }
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(shape.grid.x, shape.grid.y, shape.grid.z);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream.state().stream;
  config.attrs = attributes;
  if (shape.cluster > 1) {
    cudaLaunchAttribute& cluster = attributes[config.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = shape.cluster;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  }
  if (shape.programmatic && current_capability() >= 90) {
    cudaLaunchAttribute& overlap = attributes[config.numAttrs++];
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
  }
  const cudaError_t status = cudaLaunchKernelExC(&config, kernel, arguments);
  if (status != cudaSuccess) check(status, "{}", describe(stream, shape));
  stream.state().last_launch.assign(shape.name);
  if (wait_for_each_launch()) {
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(config.stream, &capture), "cudaStreamIsCapturing");
    if (capture == cudaStreamCaptureStatusNone) {
      const cudaError_t outcome = cudaStreamSynchronize(config.stream);
      if (outcome != cudaSuccess) check(outcome, "{}: as it ran", describe(stream, shape));
    }
  }
}

}  // namespace detail

// ---- devices and memory

DeviceCount count_devices() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  // Without a driver, with the toolkit's stub in its place, or without a device: all the same to us.
  if (status != cudaSuccess) {
    cudaGetLastError();
    return {.devices = 0, .why_none = text_of(status)};
  }
  return {.devices = devices, .why_none = devices == 0 ? "the driver sees no GPU" : ""};
}

DeviceProperties device_properties(int device) {
  cudaDeviceProp properties = {};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties of device {}", device);
  return {.name = properties.name,
          .capability = properties.major * 10 + properties.minor,
          .multiprocessors = properties.multiProcessorCount,
          .memory_bytes = static_cast<int64_t>(properties.totalGlobalMem),
          .l2_bytes = properties.l2CacheSize,
          .shared_bytes = static_cast<int64_t>(properties.sharedMemPerBlockOptin)};
}

void set_device(int device) {
  check(cudaSetDevice(device), "cudaSetDevice({})", device);
}

MemoryInfo memory_info() {
  std::size_t free_bytes = 0, total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  return {.free_bytes = static_cast<int64_t>(free_bytes), .total_bytes = static_cast<int64_t>(total_bytes)};
}

void synchronize_device() {
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

MappedMemory::MappedMemory(std::size_t bytes, std::string_view purpose) : bytes_(bytes) {
  if (bytes == 0) return;
  check(cudaHostAlloc(&host_, bytes, cudaHostAllocMapped | cudaHostAllocPortable),
        "cudaHostAlloc of {} bytes for {}", bytes, purpose);
  std::memset(host_, 0, bytes);
  check(cudaHostGetDevicePointer(&device_, host_, 0), "cudaHostGetDevicePointer for {}", purpose);
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
  if (host_ != nullptr) cudaFreeHost(host_);
}

void copy(const Stream& stream, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream.state().stream),
        "cudaMemcpyAsync of {} bytes from {} to {}, stream of {}", bytes, from, to, stream.owner());
}

void fill(const Stream& stream, void* to, uint8_t byte, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemsetAsync(to, byte, bytes, stream.state().stream),
        "cudaMemsetAsync of {} bytes at {}, stream of {}", bytes, to, stream.owner());
}

// ---- streams and events

Stream::Stream(std::string owner) : state_(new detail::StreamState) {
  state_->owner = std::move(owner);
  check(cudaStreamCreateWithFlags(&state_->stream, cudaStreamNonBlocking), "cudaStreamCreate for {}",
        state_->owner);
}
const std::string& Stream::owner() const {
  return state_->owner;
}
void* Stream::native() const {
  return state_->stream;
}
void Stream::synchronize() const {
  check(cudaStreamSynchronize(state_->stream), "stream of {}, last launched kernel {}", state_->owner,
        state_->last_launch.empty() ? "none" : state_->last_launch);
}
void Stream::wait(const Event& event) const {
  check(cudaStreamWaitEvent(state_->stream, event.state().event, 0), "cudaStreamWaitEvent, stream of {}",
        state_->owner);
}

Event::Event(Timing timing) : state_(new detail::EventState) {
  const unsigned flags = timing == Timing::on ? cudaEventDefault : cudaEventDisableTiming;
  check(cudaEventCreateWithFlags(&state_->event, flags), "cudaEventCreate");
}
void Event::record(const Stream& stream) {
  check(cudaEventRecord(state_->event, stream.state().stream), "cudaEventRecord, stream of {}",
        stream.owner());
}
bool Event::done() const {
  const cudaError_t status = cudaEventQuery(state_->event);
  if (status == cudaErrorNotReady) return false;
  check(status, "cudaEventQuery");
  return true;
}
void Event::synchronize() const {
  check(cudaEventSynchronize(state_->event), "cudaEventSynchronize");
}
double Event::milliseconds(const Event& from, const Event& to) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, from.state_->event, to.state_->event), "cudaEventElapsedTime");
  return milliseconds;
}

// ---- graphs

Graph Graph::capture_call(const Stream& stream, void (*call)(const void*), const void* body) {
  cudaStream_t native = stream.state().stream;
  check(cudaStreamBeginCapture(native, cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture, stream of {}", stream.owner());
  cudaGraph_t recorded = nullptr;
  try {
    call(body);
  } catch (...) {
    cudaStreamEndCapture(native, &recorded);  // the first error is the one to tell
    if (recorded != nullptr) cudaGraphDestroy(recorded);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(native, &recorded), "cudaStreamEndCapture, stream of {}", stream.owner());
  Graph graph;
  graph.state_ = detail::Owned(new detail::GraphState);
  graph.state_->graph = recorded;
  check(cudaGraphGetNodes(recorded, nullptr, &graph.state_->nodes), "cudaGraphGetNodes");
  check(cudaGraphInstantiate(&graph.state_->executable, recorded, 0),
        "cudaGraphInstantiate of {} nodes, stream of {}", graph.state_->nodes, stream.owner());
  return graph;
}
void Graph::launch(const Stream& stream) const {
  if (!*this) fail("launch of an empty graph on the stream of {}", stream.owner());
  check(cudaGraphLaunch(state_->executable, stream.state().stream),
        "cudaGraphLaunch of {} nodes, stream of {}", state_->nodes, stream.owner());
  stream.state().last_launch.assign("of a graph");
}
std::size_t Graph::nodes() const {
  return *this ? state_->nodes : 0;
}

}  // namespace alder::cuda
