// The CUDA driver behind the seam. No decisions here: each function is its call, in the device's primary
// context.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <new>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "rdma/memory/gpu_memory.hpp"

namespace alder::rdma {
namespace {

constexpr std::size_t kAlignment = 2 << 20;  // of a large page; mlx5 then translates few of them

// The driver's functions, looked up by the version whose signature is meant. libcuda is not linked.
struct Driver {
  decltype(&cuGetErrorName) get_error_name = nullptr;
  decltype(&cuDeviceGet) device_get = nullptr;
  decltype(&cuDeviceGetCount) device_get_count = nullptr;
  decltype(&cuDeviceGetName) device_get_name = nullptr;
  decltype(&cuDeviceTotalMem) device_total_mem = nullptr;
  decltype(&cuDeviceGetAttribute) device_get_attribute = nullptr;
  decltype(&cuDevicePrimaryCtxRetain) primary_retain = nullptr;
  decltype(&cuDevicePrimaryCtxRelease) primary_release = nullptr;
  decltype(&cuCtxPushCurrent) push = nullptr;
  decltype(&cuCtxPopCurrent) pop = nullptr;
  decltype(&cuPointerGetAttribute) pointer_get_attribute = nullptr;
  decltype(&cuPointerSetAttribute) pointer_set_attribute = nullptr;
  decltype(&cuMemGetAddressRange) get_address_range = nullptr;
  decltype(&cuMemGetHandleForAddressRange) get_handle = nullptr;
  decltype(&cuFlushGPUDirectRDMAWrites) flush = nullptr;
  decltype(&cuMemAlloc) alloc = nullptr;
  decltype(&cuMemFree) free = nullptr;
  decltype(&cuMemHostAlloc) host_alloc = nullptr;
  decltype(&cuMemFreeHost) host_free = nullptr;
  decltype(&cuMemsetD8) memset = nullptr;
  decltype(&cuMemcpyDtoH) copy_to_host = nullptr;
  decltype(&cuCtxSynchronize) synchronize = nullptr;
};

// Empty, or what is missing.
template <typename Function>
std::string look_up(const char* name, Function& function) {
  constexpr unsigned kVersion = 12000;
  void* address = nullptr;
  cudaDriverEntryPointQueryResult found{};
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, &address, kVersion, cudaEnableDefault, &found);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  if (found != cudaDriverEntryPointSuccess || address == nullptr) {
    return fmt::format("the driver has no {}", name);
  }
  function = reinterpret_cast<Function>(address);
  return {};
}

std::string load(Driver& driver) {
  std::string why;
  const auto need = [&why](const char* name, auto& function) {
    if (why.empty()) why = look_up(name, function);
  };
  need("cuGetErrorName", driver.get_error_name);
  need("cuDeviceGet", driver.device_get);
  need("cuDeviceGetCount", driver.device_get_count);
  need("cuDeviceGetName", driver.device_get_name);
  need("cuDeviceTotalMem", driver.device_total_mem);
  need("cuDeviceGetAttribute", driver.device_get_attribute);
  need("cuDevicePrimaryCtxRetain", driver.primary_retain);
  need("cuDevicePrimaryCtxRelease", driver.primary_release);
  need("cuCtxPushCurrent", driver.push);
  need("cuCtxPopCurrent", driver.pop);
  need("cuPointerGetAttribute", driver.pointer_get_attribute);
  need("cuPointerSetAttribute", driver.pointer_set_attribute);
  need("cuMemGetAddressRange", driver.get_address_range);
  need("cuMemGetHandleForAddressRange", driver.get_handle);
  need("cuFlushGPUDirectRDMAWrites", driver.flush);
  need("cuMemAlloc", driver.alloc);
  need("cuMemFree", driver.free);
  need("cuMemHostAlloc", driver.host_alloc);
  need("cuMemFreeHost", driver.host_free);
  need("cuMemsetD8", driver.memset);
  need("cuMemcpyDtoH", driver.copy_to_host);
  need("cuCtxSynchronize", driver.synchronize);
  return why;
}

class CudaMemory final : public GpuMemory {
 public:
  CudaMemory(const Driver& driver, int devices)
      : driver_(driver), contexts_(static_cast<std::size_t>(devices)) {}
  ~CudaMemory() override {
    for (std::size_t device = 0; device < contexts_.size(); ++device) {
      if (contexts_[device].context != nullptr) driver_.primary_release(contexts_[device].device);
    }
  }

  int devices() override { return static_cast<int>(contexts_.size()); }

  GpuAttributes attributes(int device) override {
    const CUdevice handle = handle_of(device);
    const auto get = [&](CUdevice_attribute attribute) {
      int value = 0;
      check(driver_.device_get_attribute(&value, attribute, handle), "cuDeviceGetAttribute", device);
      return value;
    };
    std::array<char, 128> name{};
    check(driver_.device_get_name(name.data(), static_cast<int>(name.size()), handle), "cuDeviceGetName",
          device);
    std::size_t bytes = 0;
    check(driver_.device_total_mem(&bytes, handle), "cuDeviceTotalMem", device);
    const int flush = get(CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS);
    return {.name = name.data(),
            .pci = {.domain = static_cast<uint32_t>(get(CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)),
                    .bus = static_cast<uint8_t>(get(CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)),
                    .device = static_cast<uint8_t>(get(CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID))},
            .compute_major = get(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
            .compute_minor = get(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
            .memory_bytes = bytes,
            .rdma_supported = get(CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED) != 0,
            .dma_buf_supported = get(CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED) != 0,
            .writes_ordering =
                static_cast<WritesOrdering>(get(CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING)),
            .host_flush = (flush & CU_FLUSH_GPU_DIRECT_RDMA_WRITES_OPTION_HOST) != 0};
  }

  Allocation allocation_of(int device, uint64_t address) override {
    const Current current(*this, device);
    CUdeviceptr base = 0;
    std::size_t bytes = 0;
    check(driver_.get_address_range(&base, &bytes, address), "cuMemGetAddressRange", device);
    int capable = 1;
    check(driver_.pointer_get_attribute(&capable, CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE, address),
          "cuPointerGetAttribute", device);
    return {.base = base, .bytes = bytes, .rdma_capable = capable != 0};
  }

  DmaBuf export_dma_buf(int device, uint64_t base, std::size_t bytes, Mapping mapping) override {
    // CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE, by value: headers before CUDA 12.8 have no name for it.
    const unsigned long long flags = mapping == Mapping::pcie ? 1 : 0;
    const Current current(*this, device);
    DmaBuf buffer;
    const CUresult result =
        driver_.get_handle(&buffer.fd, base, bytes, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, flags);
    if (result != CUDA_SUCCESS) buffer = {.fd = -1, .error = name_of(result)};
    return buffer;
  }

  void set_sync_memops(int device, uint64_t address) override {
    const Current current(*this, device);
    const unsigned on = 1;
    check(driver_.pointer_set_attribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, address),
          "cuPointerSetAttribute", device);
  }

  void flush_writes(int device) override {
    const Current current(*this, device);
    check(driver_.flush(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX,
                        CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER),
          "cuFlushGPUDirectRDMAWrites", device);
  }

  void* allocate(int device, std::size_t bytes) override {
    const Current current(*this, device);
    // A multiple of the large page is aligned to one.
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    CUdeviceptr memory = 0;
    check(driver_.alloc(&memory, rounded), fmt::format("cuMemAlloc of {} bytes", rounded), device);
    check(driver_.memset(memory, 0, rounded), "cuMemsetD8", device);
    check(driver_.synchronize(), "cuCtxSynchronize", device);
    return reinterpret_cast<void*>(memory);
  }

  void free(int device, void* memory) noexcept override {
    const Current current(*this, device, std::nothrow);
    driver_.free(reinterpret_cast<CUdeviceptr>(memory));
  }

  void* allocate_host(int device, std::size_t bytes) override {
    const Current current(*this, device);
    void* memory = nullptr;
    check(driver_.host_alloc(&memory, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP),
          fmt::format("cuMemHostAlloc of {} bytes", bytes), device);
    std::fill_n(static_cast<std::byte*>(memory), bytes, std::byte{0});
    return memory;
  }

  void free_host(int device, void* memory) noexcept override {
    const Current current(*this, device, std::nothrow);
    driver_.host_free(memory);
  }

  void copy_to_host(int device, void* host, const void* gpu, std::size_t bytes) override {
    const Current current(*this, device);
    check(driver_.copy_to_host(host, reinterpret_cast<CUdeviceptr>(gpu), bytes), "cuMemcpyDtoH", device);
  }

 private:
  struct Primary {
    std::once_flag once;
    CUdevice device = 0;
    CUcontext context = nullptr;
  };

  // The device's primary context (the one the runtime uses), current on this thread for a moment.
  class Current {
   public:
    Current(CudaMemory& memory, int device) : memory_(memory) {
      memory.check(memory.driver_.push(memory.context_of(device)), "cuCtxPushCurrent", device);
    }
    // Where nothing could be done about a failure; the context is known to exist.
    Current(CudaMemory& memory, int device, std::nothrow_t) : memory_(memory) {
      memory.driver_.push(memory.contexts_[static_cast<std::size_t>(device)].context);
    }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
    ~Current() {
      CUcontext gone = nullptr;
      memory_.driver_.pop(&gone);
    }

   private:
    CudaMemory& memory_;
  };

  std::string name_of(CUresult result) const {
    const char* name = nullptr;
    driver_.get_error_name(result, &name);
    return name != nullptr ? name : fmt::format("CUDA error {}", static_cast<int>(result));
  }

  void check(CUresult result, std::string_view call, int device) const {
    if (result != CUDA_SUCCESS) fail("{} on CUDA device {}: {}", call, device, name_of(result));
  }

  CUdevice handle_of(int device) {
    if (device < 0 || device >= devices()) {
      usage_error("there is no CUDA device {}; this machine has {}", device, devices());
    }
    CUdevice handle = 0;
    check(driver_.device_get(&handle, device), "cuDeviceGet", device);
    return handle;
  }

  CUcontext context_of(int device) {
    const CUdevice handle = handle_of(device);
    Primary& primary = contexts_[static_cast<std::size_t>(device)];
    std::call_once(primary.once, [&] {
      check(driver_.primary_retain(&primary.context, handle), "cuDevicePrimaryCtxRetain", device);
      primary.device = handle;
    });
    return primary.context;
  }

  const Driver driver_;
  std::vector<Primary> contexts_;
};

}  // namespace

std::unique_ptr<GpuMemory> make_gpu_memory(std::string& why) {
  Driver driver;
  int devices = 0;
  // Any error of the runtime means that there is no driver to speak with; which one differs between machines.
  if (const cudaError_t error = cudaGetDeviceCount(&devices); error != cudaSuccess) {
    why = fmt::format("no usable CUDA driver: {}", cudaGetErrorString(error));
    return nullptr;
  }
  if (devices == 0) {
    why = "the CUDA driver sees no GPU (is CUDA_VISIBLE_DEVICES empty?)";
    return nullptr;
  }
  if (std::string missing = load(driver); !missing.empty()) {
    why = fmt::format("no usable CUDA driver: {}", missing);
    return nullptr;
  }
  return std::make_unique<CudaMemory>(driver, devices);
}

}  // namespace alder::rdma
