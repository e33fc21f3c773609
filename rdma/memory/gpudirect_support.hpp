// What the NVIDIA driver and the kernel offer for registering GPU memory, as far as small files tell; so that
// a missing fast path can be explained, also by a program that has no CUDA.
#pragma once

#include <string>
#include <vector>

#include "base/sysfs.hpp"
#include "rdma/devices/topology.hpp"
#include "rdma/handles.hpp"

namespace alder::rdma {

struct GpudirectSupport {
  std::string driver;         // "550.54.15"; empty: the NVIDIA kernel driver is not loaded
  bool open_modules = false;  // its open kernel modules, which dma-buf export needs
  std::string kernel;         // "6.1.0-56-amd64"
  std::string peermem;        // "nvidia-peermem 550.54.15"; empty: not loaded
  // Kernel options that dma-buf registration needs and /boot/config says are off. Empty too where there is
  // none.
  std::vector<std::string> missing_options;

  // Why dma-buf cannot work on this machine; empty: nothing speaks against it.
  std::string against_dma_buf() const;
};
GpudirectSupport read_gpudirect_support(const Sysfs& files);

// Whether the verbs driver of a card registers dma-bufs: it is asked to register the descriptor -1, which a
// driver that can answers with EBADF. Empty: it can; else why not.
std::string why_no_dma_buf(const ProtectionDomain& pd);

// NVIDIA GPUs on the PCI bus, by address.
std::vector<PciAddress> find_gpus(const Sysfs& files);

}  // namespace alder::rdma
