#include "bench/nccl/nccl_exchange.hpp"

#include <cuda_runtime.h>
#include <nccl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <numeric>
#include <thread>
#include <utility>

#include "base/error.hpp"

namespace alder::bench {
namespace {

constexpr std::chrono::seconds kMeeting{60};

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail("{}: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status));
}
void check(ncclResult_t status, const char* call) {
  if (status != ncclSuccess) fail("{}: {}", call, ncclGetErrorString(status));
}

struct Free {
  void operator()(void* data) const noexcept { cudaFree(data); }
};
using DeviceFloats = std::unique_ptr<float, Free>;

DeviceFloats device_floats(std::size_t count) {
  void* data = nullptr;
  check(cudaMalloc(&data, count * sizeof(float)), "cudaMalloc of slots");
  return DeviceFloats(static_cast<float*>(data));
}

struct DestroyEvent {
  void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
};
using Event = std::unique_ptr<CUevent_st, DestroyEvent>;

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return Event(event);
}

// This rank's communicator and the stream that its work goes to.
class Communicator {
 public:
  Communicator(Rendezvous& rendezvous, std::string_view key) : ranks_(rendezvous.size()) {
    if (const std::string why = why_no_nccl(); !why.empty()) fail("NCCL cannot be used: {}", why);
    const char* local = std::getenv("LOCAL_RANK");
    check(cudaSetDevice(local == nullptr ? 0 : std::atoi(local)), "cudaSetDevice of LOCAL_RANK");
    ncclUniqueId id{};
    if (rendezvous.rank() == 0) {
      check(ncclGetUniqueId(&id), "ncclGetUniqueId");
      rendezvous.put(key, std::as_bytes(std::span(id.internal)));
    }
    rendezvous.fence(kMeeting);
    const std::vector<std::byte> told = rendezvous.get(0, key, kMeeting);
    if (told.size() != sizeof id.internal) fail("rank 0 gave {} bytes as NCCL's identifier", told.size());
    std::memcpy(id.internal, told.data(), told.size());
    check(ncclCommInitRank(&communicator_, ranks_, id, rendezvous.rank()), "ncclCommInitRank");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  ~Communicator() {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
    if (communicator_ != nullptr)
      ncclCommAbort(communicator_);  // a neighbour may be gone: destroy would wait
  }

  ncclComm_t get() const { return communicator_; }
  cudaStream_t stream() const { return stream_; }
  int ranks() const { return ranks_; }

 private:
  int ranks_;
  ncclComm_t communicator_ = nullptr;
  cudaStream_t stream_ = nullptr;
};

// ---- neighbours

constexpr std::size_t kHeaderFloats = sizeof(Header) / sizeof(float);

class NcclEndpoint final : public Endpoint {
 public:
  NcclEndpoint(Rendezvous& rendezvous, std::vector<std::size_t> buckets)
      : rank_(rendezvous.rank()), communicator_(rendezvous, "nccl.neighbours"), buckets_(std::move(buckets)) {
    for (const std::size_t bucket : buckets_) {
      offsets_.push_back(elements_);
      elements_ += bucket;
    }
    own_header_ = device_floats(kHeaderFloats);
  }

  Rank rank() const override { return rank_; }

  void open(Generation generation, const LiveEdges& live) override {
    if (live.send_to != live.receive_from) {
      throw std::logic_error("NCCL baseline: every live edge goes both ways");
    }
    opened_.push_back(
        {.generation = generation, .neighbours = live.send_to, .arrived = {}, .header = {}, .headers = {}});
    if (opened_.size() > kRememberedGenerations) opened_.pop_front();
    for (const Rank neighbour : live.send_to) {
      if (slots_.contains(neighbour)) continue;
      slots_[neighbour] = {device_floats(2 * elements_), device_floats(kHeaderFloats)};
    }
  }

  void publish(Generation generation, Bucket bucket, std::span<const float> source) override {
    Opened& opened = find(generation);
    check(ncclGroupStart(), "ncclGroupStart");
    for (const Rank neighbour : opened.neighbours) {
      check(ncclSend(source.data(), source.size(), ncclFloat, neighbour, communicator_.get(),
                     communicator_.stream()),
            "ncclSend");
      check(ncclRecv(slot_of(neighbour, generation, bucket), source.size(), ncclFloat, neighbour,
                     communicator_.get(), communicator_.stream()),
            "ncclRecv");
      bytes_sent_[neighbour] += static_cast<int64_t>(source.size_bytes());
    }
    check(ncclGroupEnd(), "ncclGroupEnd");
    opened.arrived[bucket.value()] = marked();
  }

  void announce(Generation generation, const Header& header) override {
    Opened& opened = find(generation);
    opened.headers.resize(opened.neighbours.size());
    opened.own = header;
    opened.own.generation = generation.value();
    check(cudaMemcpyAsync(own_header_.get(), &opened.own, sizeof(Header), cudaMemcpyDefault,
                          communicator_.stream()),
          "cudaMemcpyAsync of a header");
    check(ncclGroupStart(), "ncclGroupStart");
    for (const Rank neighbour : opened.neighbours) {
      check(ncclSend(own_header_.get(), kHeaderFloats, ncclFloat, neighbour, communicator_.get(),
                     communicator_.stream()),
            "ncclSend of a header");
      check(ncclRecv(slots_.at(neighbour).header.get(), kHeaderFloats, ncclFloat, neighbour,
                     communicator_.get(), communicator_.stream()),
            "ncclRecv of a header");
    }
    check(ncclGroupEnd(), "ncclGroupEnd");
    for (std::size_t i = 0; i < opened.neighbours.size(); ++i) {
      check(cudaMemcpyAsync(&opened.headers[i], slots_.at(opened.neighbours[i]).header.get(), sizeof(Header),
                            cudaMemcpyDefault, communicator_.stream()),
            "cudaMemcpyAsync of a header");
    }
    opened.header = marked();
  }

  std::vector<Arrival> await_headers(Generation generation, Deadline deadline) override {
    const Opened& opened = find(generation);
    return std::vector(opened.neighbours.size(), reached(opened.header, deadline));
  }
  std::vector<Arrival> await_bucket(Generation generation, Bucket bucket, Deadline deadline) override {
    const Opened& opened = find(generation);
    const auto event = opened.arrived.find(bucket.value());
    const Arrival arrival = event == opened.arrived.end() ? Arrival::late : reached(event->second, deadline);
    return std::vector(opened.neighbours.size(), arrival);
  }
  Header header(Rank neighbour, Generation generation) const override {
    const Opened& opened = find(generation);
    const auto at = std::ranges::find(opened.neighbours, neighbour);
    if (at == opened.neighbours.end()) throw std::logic_error("NCCL baseline: a header of no neighbour");
    return opened.headers[static_cast<std::size_t>(at - opened.neighbours.begin())];
  }
  std::span<const float> slot(Rank neighbour, Generation generation, Bucket bucket) const override {
    return {slot_of(neighbour, generation, bucket), buckets_.at(bucket.value())};
  }
  // The next receive into this slot is put on the stream by this worker itself, after it has read.
  void release(Generation) override {}
  std::vector<Arrival> await_released(Generation generation, Deadline deadline) override {
    const Opened& opened = find(generation);
    Arrival worst = Arrival::arrived;
    for (const auto& [bucket, event] : opened.arrived) worst = std::max(worst, reached(event, deadline));
    return std::vector(opened.neighbours.size(), worst);
  }
  int64_t bytes_sent(Rank neighbour) const override {
    const auto found = bytes_sent_.find(neighbour);
    return found == bytes_sent_.end() ? 0 : found->second;
  }

 private:
  struct Slots {
    DeviceFloats models;  // two, by parity of the generation
    DeviceFloats header;
  };
  struct Opened {
    Generation generation;
    std::vector<Rank> neighbours;
    std::map<uint32_t, Event> arrived;  // by bucket: sent and received
    Event header;
    std::vector<Header> headers;
    Header own{};
  };

  Event marked() const {
    Event event = make_event();
    check(cudaEventRecord(event.get(), communicator_.stream()), "cudaEventRecord");
    return event;
  }
  // Looks at NCCL too: an error of a peer shows there.
  Arrival reached(const Event& event, Deadline deadline) const {
    if (event == nullptr) return Arrival::late;
    for (;;) {
      const cudaError_t status = cudaEventQuery(event.get());
      if (status == cudaSuccess) return Arrival::arrived;
      if (status != cudaErrorNotReady) check(status, "cudaEventQuery");
      ncclResult_t background = ncclSuccess;
      check(ncclCommGetAsyncError(communicator_.get(), &background), "ncclCommGetAsyncError");
      if (background != ncclSuccess && background != ncclInProgress) return Arrival::failed;
      if (std::chrono::steady_clock::now() >= deadline) return Arrival::late;
      std::this_thread::yield();
    }
  }
  float* slot_of(Rank neighbour, Generation generation, Bucket bucket) const {
    return slots_.at(neighbour).models.get() + (generation.value() & 1) * elements_ +
           offsets_.at(bucket.value());
  }
  const Opened& find(Generation generation) const {
    for (const Opened& opened : opened_) {
      if (opened.generation == generation) return opened;
    }
    throw std::logic_error(fmt::format("NCCL baseline: generation {} is not open", generation.value()));
  }
  Opened& find(Generation generation) { return const_cast<Opened&>(std::as_const(*this).find(generation)); }

  Rank rank_;
  Communicator communicator_;
  std::vector<std::size_t> buckets_, offsets_;
  std::size_t elements_ = 0;
  DeviceFloats own_header_;
  std::map<Rank, Slots> slots_;
  std::deque<Opened> opened_;
  std::map<Rank, int64_t> bytes_sent_;
};

class NcclExchange final : public Exchange {
 public:
  NcclExchange(Rendezvous& rendezvous, std::vector<std::size_t> buckets)
      : workers_(rendezvous.size()), endpoint_(rendezvous, std::move(buckets)) {}
  int workers() const override { return workers_; }
  std::vector<Rank> local() const override { return {endpoint_.rank()}; }
  Endpoint& endpoint(Rank rank) override {
    if (rank != endpoint_.rank()) throw std::logic_error("NCCL baseline: another process's worker");
    return endpoint_;
  }
  void mark_failed(Rank) override {}  // NCCL has no word for one edge that fails: neighbours see late waits
  std::string description() const override {
    int version = 0;
    ncclGetVersion(&version);
    return fmt::format("NCCL {}.{}.{}, grouped send and receive", version / 10000, version / 100 % 100,
                       version % 100);
  }

 private:
  int workers_;
  NcclEndpoint endpoint_;
};

// ---- all-reduce

class AllReduce final : public NcclAllReduce {
 public:
  explicit AllReduce(Rendezvous& rendezvous)
      : communicator_(rendezvous, "nccl.all-reduce"), ready_(make_event()), done_(make_event()) {}

  void start(std::span<float> bucket, void* stream) override {
    check(cudaEventRecord(ready_.get(), static_cast<cudaStream_t>(stream)), "cudaEventRecord");
    check(cudaStreamWaitEvent(communicator_.stream(), ready_.get()), "cudaStreamWaitEvent");
    check(ncclAllReduce(bucket.data(), bucket.data(), bucket.size(), ncclFloat, ncclSum, communicator_.get(),
                        communicator_.stream()),
          "ncclAllReduce");
  }
  void join(void* stream) override {
    check(cudaEventRecord(done_.get(), communicator_.stream()), "cudaEventRecord");
    check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), done_.get()), "cudaStreamWaitEvent");
  }

 private:
  Communicator communicator_;
  Event ready_, done_;
};

}  // namespace

std::string why_no_nccl() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) {
    cudaGetLastError();
    return fmt::format("there is no GPU: {}", cudaGetErrorString(status));
  }
  return devices == 0 ? "there is no GPU" : "";
}

std::unique_ptr<Exchange> make_nccl_exchange(Rendezvous& rendezvous, std::vector<std::size_t> buckets) {
  return std::make_unique<NcclExchange>(rendezvous, std::move(buckets));
}

std::unique_ptr<NcclAllReduce> make_nccl_all_reduce(Rendezvous& rendezvous) {
  return std::make_unique<AllReduce>(rendezvous);
}

}  // namespace alder::bench
