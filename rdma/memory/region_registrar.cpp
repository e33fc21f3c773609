#include "rdma/memory/region_registrar.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iterator>
#include <utility>

#include "base/error.hpp"
#include "rdma/memory/gpudirect_support.hpp"

namespace alder::rdma {
namespace {

uint64_t address_of(const Region& region) {
  return reinterpret_cast<uint64_t>(region.address);
}

std::string card_of(const ProtectionDomain& pd) {
  return pd.verbs().get_device_name(pd->context->device);
}

// Cards see GPU memory through a window, 256 MiB on cards that were not made for this; what does not fit in
// is refused as if memory had run out.
std::string hint_at_bar1(int error) {
  return error == ENOMEM ? " (is the GPU's BAR1 window large enough? alder doctor shows it)" : "";
}

std::string describe(const Region& region, const GpuAttributes& gpu) {
  return fmt::format("{} bytes at {:#x} on GPU {} ({}, {})", region.bytes, address_of(region), region.device,
                     to_string(gpu.pci), gpu.name);
}

}  // namespace

std::string_view to_string(Method method) {
  switch (method) {
    case Method::host:
      return "host memory";
    case Method::dma_buf:
      return "dma-buf";
    case Method::peermem:
      return "nvidia-peermem";
    case Method::staged:
      return "staged through host memory";
  }
  return "host memory";
}

// Exported once, registered with every card. The descriptor stays open as long as the memory may be
// registered anew: a lost connection gets fresh keys from the progress thread, which must not call CUDA to
// export again.
struct RegionRegistrar::Export {
  Allocation allocation;
  GpuAttributes gpu;
  uint64_t first = 0;  // where the export begins: `allocation.base` rounded down to a page
  int fd = -1;
  bool split = false;
  std::string why_not;  // with fd -1

  Export() = default;
  Export(const Export&) = delete;
  Export& operator=(const Export&) = delete;
  ~Export() {
    if (fd >= 0) ::close(fd);
  }
};

struct RegionRegistrar::Staging {
  GpuMemory& gpu;
  Region region;
  void* copy;

  Staging(GpuMemory& memory, const Region& staged)
      : gpu(memory), region(staged), copy(memory.allocate_host(staged.device, staged.bytes)) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() { gpu.free_host(region.device, copy); }
};

// A registration, or why there is none.
struct RegionRegistrar::Attempt {
  MemoryRegion region;
  Method method = Method::host;
  bool split = false;
  std::string why;
};

RegionRegistrar::RegionRegistrar(const Sysfs& files, GpuMemory* gpu, std::string why_no_gpu,
                                 RegistrationOptions options)
    : files_(files), gpu_(gpu), why_no_gpu_(std::move(why_no_gpu)), options_(std::move(options)) {
  if (options_.slots_device >= 0 && gpu_ == nullptr) {
    usage_error("slots on CUDA device {} are not possible: {}", options_.slots_device, why_no_gpu_);
  }
  if (options_.page_bytes == 0) options_.page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (!options_.warn) {
    options_.warn = [](std::string_view line) { fmt::print(stderr, "alder: warning: {}\n", line); };
  }
}

RegionRegistrar::~RegionRegistrar() = default;

// What is written to by others, and what is read here to be sent, is bulk. A region that others may read is
// the target of a flush: its reads are there for their order.
int RegionRegistrar::ordered(int access) const {
  const bool bulk = (access & IBV_ACCESS_REMOTE_READ) == 0;
  return bulk && options_.relaxed_ordering ? access | IBV_ACCESS_RELAXED_ORDERING : access;
}

void RegionRegistrar::note(RegistrationNote made) {
  const std::scoped_lock lock(mutex_);
  const auto same = [&](const RegistrationNote& known) {
    return known.card == made.card && known.region.address == made.region.address &&
           known.region.bytes == made.region.bytes;
  };
  if (std::ranges::none_of(notes_, same)) notes_.push_back(std::move(made));
}

std::vector<RegistrationNote> RegionRegistrar::notes() const {
  const std::scoped_lock lock(mutex_);
  return notes_;
}

MemoryRegion RegionRegistrar::add(const ProtectionDomain& pd, const Region& region, int access) {
  Attempt made;
  if (region.kind == MemoryKind::host) {
    made = {.region = register_memory(pd, region.address, region.bytes, ordered(access))};
  } else {
    made = add_gpu(pd, region, access);
  }
  note({.card = card_of(pd),
        .region = region,
        .method = made.method,
        .split = made.split,
        .why = made.why.empty() ? std::string(to_string(made.method)) : std::move(made.why)});
  return std::move(made.region);
}

// By dma-buf, else by nvidia-peermem; without a region when neither works.
RegionRegistrar::Attempt RegionRegistrar::try_directly(const ProtectionDomain& pd, const Region& region,
                                                       int access) {
  const auto exported = export_of(region);
  const uint64_t end = address_of(region) + region.bytes;
  if (end > exported->allocation.base + exported->allocation.bytes) {
    fail("{} reach beyond their allocation of {} bytes at {:#x}", describe(region, exported->gpu),
         exported->allocation.bytes, exported->allocation.base);
  }
  Attempt dma_buf = try_dma_buf(pd, region, access, *exported);
  if (dma_buf.region) return dma_buf;
  Attempt peermem = try_peermem(pd, region, access, *exported);
  peermem.why = peermem.region ? fmt::format("{}, because dma-buf: {}", peermem.why, dma_buf.why)
                               : fmt::format("dma-buf: {}; nvidia-peermem: {}", dma_buf.why, peermem.why);
  return peermem;
}

RegionRegistrar::Attempt RegionRegistrar::add_gpu(const ProtectionDomain& pd, const Region& region,
                                                  int access) {
  if (gpu_ == nullptr) {
    fail("{} bytes at {:#x} of CUDA device {} cannot be registered: {}", region.bytes, address_of(region),
         region.device, why_no_gpu_);
  }
  Attempt direct = try_directly(pd, region, access);
  if (direct.region) return direct;
  // A copy serves what is sent from here, not what others write to: slots are host memory from the start
  // instead.
  const bool may_stage = options_.allow_staging && (access & IBV_ACCESS_REMOTE_WRITE) == 0;
  if (may_stage) return stage(pd, region, access, direct.why);
  fail(
      "{} cannot be registered with {}: {}; remedies: the driver's open kernel modules and Linux 5.12 or "
      "newer, or "
      "modprobe nvidia-peermem; --allow-staging copies through host memory instead, up to ten times slower",
      describe(region, gpu_->attributes(region.device)), card_of(pd), direct.why);
}

std::shared_ptr<RegionRegistrar::Export> RegionRegistrar::export_of(const Region& region) {
  {
    const std::scoped_lock lock(mutex_);
    const auto after = exports_.upper_bound(address_of(region));
    if (after != exports_.begin()) {
      const auto& known = std::prev(after)->second;
      if (address_of(region) < known->allocation.base + known->allocation.bytes) return known;
    }
  }
  auto made = make_export(region);  // without the lock: it calls CUDA
  const std::scoped_lock lock(mutex_);
  return exports_.emplace(made->allocation.base, std::move(made)).first->second;
}

std::shared_ptr<RegionRegistrar::Export> RegionRegistrar::make_export(const Region& region) {
  auto made = std::make_shared<Export>();
  made->gpu = gpu_->attributes(region.device);
  made->allocation = gpu_->allocation_of(region.device, address_of(region));
  gpu_->set_sync_memops(region.device, made->allocation.base);
  if (!made->gpu.dma_buf_supported) {
    const std::string against = read_gpudirect_support(files_).against_dma_buf();
    made->why_not = against.empty() ? "the driver offers none for this GPU" : against;
    return made;
  }
  if (!made->allocation.rdma_capable) {
    made->why_not = "the allocation was made by cuMemCreate without gpuDirectRDMACapable";
    return made;
  }
  // Frameworks hand out parts of allocations, and the export is of whole host pages.
  const uint64_t page = options_.page_bytes;
  made->first = made->allocation.base / page * page;
  const uint64_t last = (made->allocation.base + made->allocation.bytes + page - 1) / page * page;
  // The PCIe mapping exists only on GPUs that have another path too; elsewhere the driver refuses the flag.
  DmaBuf buffer = gpu_->export_dma_buf(region.device, made->first, last - made->first, Mapping::pcie);
  made->split = buffer.fd >= 0;
  if (buffer.fd < 0) {
    buffer = gpu_->export_dma_buf(region.device, made->first, last - made->first, Mapping::automatic);
  }
  made->fd = buffer.fd;
  if (buffer.fd < 0) made->why_not = "cuMemGetHandleForAddressRange: " + buffer.error;
  return made;
}

RegionRegistrar::Attempt RegionRegistrar::try_dma_buf(const ProtectionDomain& pd, const Region& region,
                                                      int access, const Export& exported) {
  if (exported.fd < 0) return {.why = exported.why_not};
  // iova = the device address, so that remote addresses are CUDA's.
  errno = 0;
  MemoryRegion made(pd.verbs(),
                    pd.verbs().reg_dmabuf_mr(pd.get(), address_of(region) - exported.first, region.bytes,
                                             address_of(region), exported.fd, ordered(access)));
  const int error = errno;
  if (!made) return {.why = "ibv_reg_dmabuf_mr: " + errno_message(error) + hint_at_bar1(error)};
  return {.region = std::move(made), .method = Method::dma_buf, .split = exported.split};
}

RegionRegistrar::Attempt RegionRegistrar::try_peermem(const ProtectionDomain& pd, const Region& region,
                                                      int access, const Export& exported) {
  const std::string peermem = read_gpudirect_support(files_).peermem;
  if (peermem.empty()) return {.why = "its kernel module is not loaded"};
  if (!exported.gpu.rdma_supported) return {.why = "the GPU does not support GPUDirect RDMA"};
  errno = 0;
  MemoryRegion made(pd.verbs(), pd.verbs().reg_mr(pd.get(), region.address, region.bytes, ordered(access)));
  if (made) return {.region = std::move(made), .method = Method::peermem, .why = peermem};
  const int error = errno;
  std::string why = "ibv_reg_mr: " + errno_message(error);
  if (error == EFAULT)
    why += " (memory of cuMemCreate, as of expandable segments, needs gpuDirectRDMACapable)";
  why += hint_at_bar1(error);
  return {.why = std::move(why)};
}

// The staging that holds all of a range; null without one.
std::shared_ptr<RegionRegistrar::Staging> RegionRegistrar::staging_of(uint64_t address,
                                                                      std::size_t bytes) const {
  const std::scoped_lock lock(mutex_);
  const auto holds = [&](const std::shared_ptr<Staging>& staging) {
    const uint64_t begin = address_of(staging->region);
    return address >= begin && address + bytes <= begin + staging->region.bytes;
  };
  const auto found = std::ranges::find_if(stagings_, holds);
  return found == stagings_.end() ? nullptr : *found;
}

RegionRegistrar::Attempt RegionRegistrar::stage(const ProtectionDomain& pd, const Region& region, int access,
                                                const std::string& why) {
  auto staging = staging_of(address_of(region), region.bytes);
  if (!staging) {
    options_.warn(
        fmt::format("{} are staged through host memory for {}: {}; expect a fraction of the bandwidth",
                    describe(region, gpu_->attributes(region.device)), card_of(pd), why));
    staging = std::make_shared<Staging>(*gpu_, region);
    const std::scoped_lock lock(mutex_);
    stagings_.push_back(staging);
  }
  auto* copy = static_cast<std::byte*>(staging->copy) + (address_of(region) - address_of(staging->region));
  return {.region = register_memory(pd, copy, region.bytes, ordered(access)),
          .method = Method::staged,
          .why = fmt::format("{}, because {}", to_string(Method::staged), why)};
}

const void* RegionRegistrar::prepare_source(const void* source, std::size_t bytes) {
  const auto address = reinterpret_cast<uint64_t>(source);
  const auto staging = staging_of(address, bytes);
  if (!staging) return source;
  auto* copy = static_cast<std::byte*>(staging->copy) + (address - address_of(staging->region));
  gpu_->copy_to_host(staging->region.device, copy, source, bytes);
  return copy;
}

void RegionRegistrar::expect_card(const ProtectionDomain& pd) {
  const std::scoped_lock lock(mutex_);
  cards_.push_back(&pd);
}

std::shared_ptr<const Region> RegionRegistrar::allocate_slots(std::size_t bytes) {
  const int device = options_.slots_device;
  if (device < 0) return make_host_registrar()->allocate_slots(bytes);
  const Region region{
      .address = gpu_->allocate(device, bytes), .bytes = bytes, .kind = MemoryKind::cuda, .device = device};
  const std::shared_ptr<const Region> slots(new Region(region), [this](const Region* gone) {
    {
      const std::scoped_lock lock(mutex_);
      exports_.erase(address_of(*gone));
    }
    gpu_->free(gone->device, gone->address);
    delete gone;
  });
  export_of(region);  // now, on this thread, and not at the first add
  if (!options_.allow_staging) return slots;
  for (const ProtectionDomain* pd : cards_) {
    const Attempt trial = try_directly(*pd, region, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    if (!trial.region) return slots_in_host_memory(bytes, fmt::format("{}: {}", card_of(*pd), trial.why));
  }
  return slots;
}

// At an address that kernels can read too, if slowly, across PCIe.
std::shared_ptr<const Region> RegionRegistrar::slots_in_host_memory(std::size_t bytes,
                                                                    const std::string& why) {
  const int device = options_.slots_device;
  options_.warn(
      fmt::format("the slots of neighbours ({} bytes) are in host memory instead of GPU {}: {}; expect a "
                  "fraction of the bandwidth",
                  bytes, device, why));
  const Region region{
      .address = gpu_->allocate_host(device, bytes), .bytes = bytes, .kind = MemoryKind::host, .device = -1};
  return {new Region(region), [this, device](const Region* gone) {
            gpu_->free_host(device, gone->address);
            delete gone;
          }};
}

FlushDecision RegionRegistrar::flush_for(const Region& slots) {
  if (slots.kind == MemoryKind::host) return {.reason = "the slots are host memory"};
  const auto exported = export_of(slots);
  // Data Direct is never asked for: ibv_reg_dmabuf_mr has no flag for it.
  return decide_flush(options_.flush, exported->gpu, {.split = exported->split});
}

}  // namespace alder::rdma
