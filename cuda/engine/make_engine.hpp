// The CUDA engine: engine.hpp on our own kernels, in bf16 with float32 sums and master weights. The same
// sources run on a GPU and, for tests and small experiments, over the emulator (docs/engine.md).
#pragma once

#include <memory>
#include <string>

#include "data/dataset.hpp"
#include "engine/engine.hpp"

namespace alder {

// All of them give the same training but for rounding; those marked so give the same bits.
struct DeviceOptions {
  int device = 0;            // ordinal of the GPU
  std::string variant;       // of the convolutions, to be preferred (docs/convolutions.md); empty: by itself
  bool graphs = true;        // same bits: record launches, and replay them by one call
  bool fold_norms = true;    // same bits: batch norms applied by the convolutions that read them
  bool reuse_memory = true;  // same bits: activations share memory when they do not live at once
};

// make_engine: `settings.precision` must be bf16. Throws UsageError where the GPU is unusable; Error when the
// model does not fit the free memory: bytes needed and free, and the largest batch that would fit.
//
// make_resident_pictures: dataset.train for the engines of one device, before the engines are made. Null
// `augmentation`: the pictures as they are. Throws as make_engine.
//
// why_unusable: why a GPU cannot be trained on, as the end of a sentence; empty: it can.
namespace emulated {
inline constexpr bool kOnGpu = false;  // emulated device memory is the host's
std::unique_ptr<Engine> make_engine(const Network& network, const EngineSettings& settings,
                                    const DeviceOptions& options = {});
std::shared_ptr<const ResidentPictures> make_resident_pictures(const data::Dataset& dataset,
                                                               const data::Augmentation* augmentation,
                                                               uint64_t seed,
                                                               const DeviceOptions& options = {});
std::string why_unusable(int device);
int count_gpus();
}  // namespace emulated

namespace cuda {
inline constexpr bool kOnGpu = true;
std::unique_ptr<Engine> make_engine(const Network& network, const EngineSettings& settings,
                                    const DeviceOptions& options = {});
std::shared_ptr<const ResidentPictures> make_resident_pictures(const data::Dataset& dataset,
                                                               const data::Augmentation* augmentation,
                                                               uint64_t seed,
                                                               const DeviceOptions& options = {});
std::string why_unusable(int device);
int count_gpus();
}  // namespace cuda

}  // namespace alder
