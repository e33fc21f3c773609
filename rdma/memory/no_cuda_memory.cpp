// What stands in for cuda_memory.cpp in a build without the CUDA toolkit.
#include "rdma/memory/gpu_memory.hpp"

namespace alder::rdma {

std::unique_ptr<GpuMemory> make_gpu_memory(std::string& why) {
  why = "this alder was built without the CUDA toolkit (12.5 or newer); install it and build again";
  return nullptr;
}

}  // namespace alder::rdma
