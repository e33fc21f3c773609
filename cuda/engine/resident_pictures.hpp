// A training set in device memory, for all engines of the device.
#pragma once

#include <optional>

#include "cuda/kernels/pictures.hpp"
#include "engine/engine.hpp"

namespace alder::ALDER_BACKEND {

struct DeviceResidentPictures final : ResidentPictures {
  std::optional<DevicePictures> pictures;  // made once, never absent
  std::optional<data::Augmentation> augmentation;
  uint64_t seed = 0;
};

}  // namespace alder::ALDER_BACKEND
