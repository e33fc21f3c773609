// A worker's mixing pass: the row and what else changes from step to step on its way to the device, and the
// launch.
#pragma once

#include <compare>
#include <map>
#include <utility>
#include <vector>

#include "cuda/engine/device_arrays.hpp"
#include "cuda/kernels/mixing.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

class Mixer {
 public:
  Mixer(const Stream& stream, const Network& network, bool graphs);

  // Throws Error when an array's length is not that of the network or there are more terms than a pass takes.
  void mix(const Stream& stream, const Combination& combination, DeviceArrays& arrays);

 private:
  // What the kernel reads from device memory.
  struct Parameters {
    MixingSettings settings;
    float row[kMaxMixingSources];
  };
  // What is fixed in a recorded pass.
  struct Key {
    std::vector<const float*> addresses;  // self, target, sources
    bool adapt;
    auto operator<=>(const Key&) const = default;
  };

  void put(const Stream& stream, const Combination& combination, const DeviceArrays& arrays,
           bool copies) const;
  using Recorded = std::map<Key, Graph>;

  static Key key_of(const Combination& combination);
  std::pair<Recorded::iterator, bool> known_or_new(const Key& key);

  std::size_t elements_;
  MixingKinds kinds_;
  MappedMemory staged_;      // Parameters
  DeviceMemory parameters_;  // Parameters
  Event taken_;              // the device has what was staged last
  bool graphs_;
  Recorded recorded_;  // an empty graph: has come up once
};

}  // namespace alder::ALDER_BACKEND
