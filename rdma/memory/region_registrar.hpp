// Registers host and GPU memory with cards, by the best way that works, and says which one that was.
//
//   host memory   ibv_reg_mr
//   GPU memory    1. dma-buf: the driver exports the allocation once, every card registers that export
//                 2. nvidia-peermem: ibv_reg_mr of the device address; legacy (CUDA 13 announces its end)
//                 3. staged: a copy in pinned host memory. Only when allowed, and never silently: the loss of
//                    direct access costs up to ten times the bandwidth
//
// A way that fails is kept as the reason why the next one was taken.
//
// Bulk memory is registered with relaxed ordering: completions still prove their data, but the writes of one
// message may land in any order, so nothing may poll such memory. Headers and counters are polled; they lie
// in regions of their own, which are registered strictly (register_memory in handles.hpp).
//
// Threads: all functions from any thread. CUDA calls happen in allocate_slots, in the first add of an
// allocation and in prepare_source; an add of memory that has been added before makes none, so that a
// progress thread may renew a key. Lifetimes: the registrar outlives what it hands out, and memory that was
// added stays allocated as long as the registrar lives.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/sysfs.hpp"
#include "rdma/memory/flush.hpp"
#include "rdma/memory/gpu_memory.hpp"
#include "rdma/registrar.hpp"

namespace alder::rdma {

enum class Method : uint8_t { host, dma_buf, peermem, staged };
std::string_view to_string(Method method);

struct RegistrationOptions {
  int slots_device = -1;  // the CUDA device that neighbours' slots lie on; -1: host memory
  bool allow_staging = false;
  bool relaxed_ordering = true;
  FlushWish flush = FlushWish::automatic;
  std::size_t page_bytes = 0;  // of the host; 0: as the system says
  // Receives each thing that a person has to know, one line; standard error by default.
  std::function<void(std::string_view)> warn;
};

// How one region came to be known to one card.
struct RegistrationNote {
  std::string card;
  Region region;
  Method method = Method::host;
  bool split = false;  // a second path to the same GPU memory exists (flush.hpp)
  std::string why;     // "nvidia-peermem 550.54.15, because dma-buf: ibv_reg_dmabuf_mr: ..."
};

class RegionRegistrar final : public Registrar {
 public:
  // `gpu` may be null, with the reason in `why_no_gpu`; it outlives the registrar. Throws UsageError when
  // slots on a GPU are asked for without one.
  RegionRegistrar(const Sysfs& files, GpuMemory* gpu, std::string why_no_gpu, RegistrationOptions options);
  ~RegionRegistrar() override;

  // With `allow_staging`, to be called before allocate_slots for each card that will write to them: slots are
  // in GPU memory only when every card can register it. `pd` outlives the calls of allocate_slots.
  void expect_card(const ProtectionDomain& pd);

  MemoryRegion add(const ProtectionDomain& pd, const Region& region, int access) override;
  std::shared_ptr<const Region> allocate_slots(std::size_t bytes) override;
  const void* prepare_source(const void* source, std::size_t bytes) override;

  // Whether arrivals in `slots`, a region of allocate_slots, need a flush. Throws UsageError for a wish that
  // the GPU cannot fulfil.
  FlushDecision flush_for(const Region& slots);

  // One note for each region and card, in the order of the first add.
  std::vector<RegistrationNote> notes() const;

 private:
  struct Export;   // a GPU allocation and its dma-buf
  struct Staging;  // a GPU region and its copy
  struct Attempt;

  std::shared_ptr<Export> export_of(const Region& region);
  std::shared_ptr<Export> make_export(const Region& region);
  Attempt try_dma_buf(const ProtectionDomain& pd, const Region& region, int access, const Export& exported);
  Attempt try_peermem(const ProtectionDomain& pd, const Region& region, int access, const Export& exported);
  Attempt try_directly(const ProtectionDomain& pd, const Region& region, int access);
  Attempt add_gpu(const ProtectionDomain& pd, const Region& region, int access);
  Attempt stage(const ProtectionDomain& pd, const Region& region, int access, const std::string& why);
  std::shared_ptr<Staging> staging_of(uint64_t address, std::size_t bytes) const;
  std::shared_ptr<const Region> slots_in_host_memory(std::size_t bytes, const std::string& why);
  int ordered(int access) const;
  void note(RegistrationNote made);

  const Sysfs& files_;
  GpuMemory* const gpu_;
  const std::string why_no_gpu_;
  RegistrationOptions options_;

  mutable std::mutex mutex_;  // guards what follows
  std::vector<const ProtectionDomain*> cards_;
  std::map<uint64_t, std::shared_ptr<Export>> exports_;  // by base address
  std::vector<std::shared_ptr<Staging>> stagings_;       // none overlaps another
  std::vector<RegistrationNote> notes_;
};

}  // namespace alder::rdma
