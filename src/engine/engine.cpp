#include "engine/engine.hpp"

#include <algorithm>
#include <stdexcept>

namespace alder {

BatchResult Engine::forward_backward(int, const ResidentBatch&) {
  throw std::logic_error("this engine takes its pictures from the host");
}

void Engine::read_array(std::span<const float> array, std::span<float> host) const {
  std::ranges::copy(array, host.begin());
}

void Engine::write_array(std::span<const float> host, std::span<float> array) {
  std::ranges::copy(host, array.begin());
}

std::span<const float> Engine::on_host(std::span<const float> array, std::vector<float>& room) const {
  if (cuda_device() < 0) return array;
  room.resize(array.size());
  read_array(array, room);
  return room;
}

}  // namespace alder
