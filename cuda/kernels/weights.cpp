#include "cuda/kernels/weights.hpp"

#include <algorithm>
#include <vector>

#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND {
namespace {

constexpr uint32_t kThreads = 256;

enum class Direction { to_krsc, to_kcrs };

// Grid: blocks that share a tensor, tensors. Writes in order, reads `taps` or `channels` apart.
template <Direction kDirection>
ALDER_KERNEL(kThreads)
reorder_kernel(const WeightTensor* table, const float* from, float* to) {
  const WeightTensor tensor = table[isa::block_y()];
  const uint32_t of_filter = tensor.channels * tensor.taps, elements = tensor.filters * of_filter;
  const uint32_t stride = isa::blocks_x() * kThreads;
  for (uint32_t i = isa::block_x() * kThreads + isa::thread(); i < elements; i += stride) {
    const uint32_t filter = i / of_filter, rest = i % of_filter;
    const uint32_t inner = kDirection == Direction::to_krsc ? tensor.channels : tensor.taps;
    const uint32_t source = rest % inner * (of_filter / inner) + rest / inner;
    to[tensor.offset + i] = from[tensor.offset + filter * of_filter + source];
  }
}

// Four elements a thread where both arrays are aligned for that, else one.
template <int N>
ALDER_KERNEL(kThreads)
round_kernel(const float* from, uint16_t* to, std::size_t vectors) {
  const std::size_t i = std::size_t(isa::block_x()) * kThreads + isa::thread();
  if (i >= vectors) return;
  if constexpr (N == 1) {
    to[i] = isa::to_bf16(from[i]);
  } else {
    const auto values = isa::load<isa::F32x4, isa::Cache::streaming>(from + i * N);
    isa::store(to + i * N, isa::U32x2{isa::pack_bf16(values.v[0], values.v[1]),
                                      isa::pack_bf16(values.v[2], values.v[3])});
  }
}

template <int N>
void launch_round(const Stream& stream, const float* from, uint16_t* to, std::size_t elements) {
  const std::size_t vectors = elements / N;
  if (vectors == 0) return;
  const auto blocks = static_cast<uint32_t>((vectors + kThreads - 1) / kThreads);
  launch(stream, {.name = "round_to_bf16", .grid = {blocks}, .threads = kThreads}, round_kernel<N>, from, to,
         vectors);
}

bool aligned(const void* address, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

void reorder(const Stream& stream, std::size_t elements, uint32_t tensors, Direction direction,
             const WeightTensor* table, const float* from, float* to) {
  copy(stream, to, from, elements * sizeof(float));
  if (tensors == 0) return;
  constexpr uint32_t kBlocksOfTensor = 64;
  launch(stream, {.name = "reorder_weights", .grid = {kBlocksOfTensor, tensors}, .threads = kThreads},
         direction == Direction::to_krsc ? reorder_kernel<Direction::to_krsc>
                                         : reorder_kernel<Direction::to_kcrs>,
         table, from, to);
}

std::vector<WeightTensor> tensors_of(const Network& network) {
  std::vector<WeightTensor> tensors;
  for (const Layer& layer : network.layers) {
    if (layer.op != Op::convolution || layer.kernel == 1) continue;
    const Tensor& weight = network.parameters[static_cast<std::size_t>(layer.weight)];
    tensors.push_back({.offset = weight.offset,
                       .filters = static_cast<uint32_t>(weight.shape[0]),
                       .channels = static_cast<uint32_t>(weight.shape[1]),
                       .taps = static_cast<uint32_t>(weight.shape[2] * weight.shape[3])});
  }
  return tensors;
}

}  // namespace

WeightOrder::WeightOrder(const Stream& stream, const Network& network) : elements_(network.elements) {
  const std::vector<WeightTensor> tensors = tensors_of(network);
  tensors_ = static_cast<uint32_t>(tensors.size());
  table_ = DeviceArray<WeightTensor>(tensors.size(), "table of convolution weights");
  if (tensors_ > 0) table_.upload(stream, {tensors.data(), tensors.size()});
}

void WeightOrder::import_array(const Stream& stream, const float* torch_order, float* device_order) const {
  reorder(stream, elements_, tensors_, Direction::to_krsc, table_.data(), torch_order, device_order);
}

void WeightOrder::export_array(const Stream& stream, const float* device_order, float* torch_order) const {
  reorder(stream, elements_, tensors_, Direction::to_kcrs, table_.data(), device_order, torch_order);
}

void round_to_bf16(const Stream& stream, const float* from, uint16_t* to, std::size_t elements) {
  constexpr std::size_t kWidth = 4;
  if (!aligned(from, kWidth * sizeof(float)) || !aligned(to, kWidth * sizeof(uint16_t))) {
    launch_round<1>(stream, from, to, elements);
    return;
  }
  const std::size_t whole = elements / kWidth * kWidth;
  launch_round<kWidth>(stream, from, to, elements);
  launch_round<1>(stream, from + whole, to + whole, elements - whole);
}

}  // namespace alder::ALDER_BACKEND
