#include "cuda/engine/device_arrays.hpp"

#include <fmt/format.h>

namespace alder::ALDER_BACKEND {

// All zeros: padding between tensors is never written and must stay so, and the gradient of a bias that a
// batch norm cancels is never computed.
DeviceArrays::DeviceArrays(const Stream& stream, const Network& network)
    : gradients_(network.elements, "gradients of " + stream.owner()),
      momentum_(network.elements, "momentum of " + stream.owner()),
      copy_(network.elements, "bf16 parameters of " + stream.owner()) {
  for (int i = 0; i < kModelBuffers; ++i) {
    models_[static_cast<std::size_t>(i)] =
        DeviceArray<float>(network.elements, fmt::format("model {} of {}", i, stream.owner()));
  }
  for (const DeviceArray<float>* array : {&models_[0], &models_[1], &models_[2], &gradients_, &momentum_}) {
    fill(stream, array->data(), 0, array->size() * sizeof(float));
  }
}

int DeviceArrays::buffer_at(const float* array) const {
  for (int i = 0; i < kModelBuffers; ++i) {
    const std::span<float> model = this->model(i);
    if (array >= model.data() && array < model.data() + model.size()) return i;
  }
  return -1;
}

void DeviceArrays::forget(const float* array) {
  const int buffer = buffer_at(array);
  if (buffer >= 0 && buffer == copied_) copied_ = -1;
}

}  // namespace alder::ALDER_BACKEND
