#include "cuda/kernels/weights.hpp"

#include <gtest/gtest.h>

#include "kernel_test.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using Weights = KernelTest;

// PyTorch's order to the device's, tensor by tensor.
std::vector<float> krsc_of(const Network& network, const std::vector<float>& torch_order) {
  std::vector<float> result = torch_order;
  for (const Tensor& tensor : network.parameters) {
    if (tensor.shape.size() != 4) continue;
    const std::size_t channels = std::size_t(tensor.shape[1]),
                      taps = std::size_t(tensor.shape[2] * tensor.shape[3]);
    for (std::size_t i = 0; i < tensor.elements; ++i) {
      const std::size_t k = i / (channels * taps), c = i / taps % channels, tap = i % taps;
      result[tensor.offset + (k * taps + tap) * channels + c] = torch_order[tensor.offset + i];
    }
  }
  return result;
}

TEST_F(Weights, GoFromPyTorchsOrderToTheDevicesAndBack) {
  for (const char* name : {"tiny", "resnet-20", "wrn-10-1-release"}) {
    const Network network = make_network(name, 10);
    const WeightOrder order(stream(), network);
    const std::vector<float> torch = random_floats(network.elements, 3);
    const auto from = on_device(stream(), torch);
    const DeviceArray<float> device(torch.size(), "device order"), back(torch.size(), "PyTorch's order");
    order.import_array(stream(), from.data(), device.data());
    EXPECT_EQ(on_host(stream(), device), krsc_of(network, torch)) << name;
    order.export_array(stream(), device.data(), back.data());
    EXPECT_EQ(on_host(stream(), back), torch) << name;
  }
}

TEST_F(Weights, AreRoundedToBf16AtEveryLengthAndAlignment) {
  for (const std::size_t elements : {0, 1, 3, 4, 5, 1023, 1024, 1030}) {
    for (const std::size_t shift : {0, 1, 2, 4}) {
      const std::vector<float> values = random_floats(elements + shift, 4);
      const auto from = on_device(stream(), values);
      const auto to = on_device(stream(), std::vector<uint16_t>(elements + shift + 1, 0xABCD));
      round_to_bf16(stream(), from.data() + shift, to.data() + shift, elements);
      std::vector<uint16_t> expected = to_bf16(values);
      std::fill_n(expected.begin(), shift, uint16_t{0xABCD});
      expected.push_back(0xABCD);
      EXPECT_EQ(on_host(stream(), to), expected) << elements << " elements, shift " << shift;
    }
  }
}

}  // namespace
}  // namespace alder::ALDER_BACKEND
