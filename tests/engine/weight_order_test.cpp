#include "engine/weight_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.hpp"

namespace alder {
namespace {

TEST(WeightOrder, PutsOutputsInnermostThenInputs) {
  const WeightShape shape{32, 16, 9};
  std::vector<float> plain(32 * 16 * 9), blocked(blocked_elements(shape));
  std::iota(plain.begin(), plain.end(), 0.0F);
  block_weights(shape, plain.data(), blocked.data());
  const std::size_t out = 19, in = 5, tap = 7;
  EXPECT_EQ(blocked[((1 * 9 + tap) * 16 + in) * 16 + out % 16], plain[(out * 16 + in) * 9 + tap]);
}

TEST(WeightOrder, PadsWithZerosAndComesBack) {
  const WeightShape shape{5, 19, 4};
  std::vector<float> plain(5 * 19 * 4), blocked(blocked_elements(shape), 7), back(plain.size());
  std::iota(plain.begin(), plain.end(), 1.0F);
  block_weights(shape, plain.data(), blocked.data());
  EXPECT_EQ(blocked.size(), 16u * 32u * 4u);
  EXPECT_EQ(std::count_if(blocked.begin(), blocked.end(), [](float value) { return value != 0; }),
            5 * 19 * 4);
  unblock_weights(shape, blocked.data(), back.data());
  EXPECT_EQ(back, plain);
}

TEST(ModelOrder, ComesBackForEveryFamily) {
  for (const char* name : {"tiny", "resnet-20", "wrn-16-2-release"}) {
    const Network network = make_network(name, 10);
    std::vector<float> torch(network.elements), engine(network.elements), back(network.elements);
    std::iota(torch.begin(), torch.end(), 0.0F);
    import_model(network, torch, engine);
    EXPECT_NE(engine, torch) << name;
    export_model(network, engine, back);
    EXPECT_EQ(back, torch) << name;
  }
}

TEST(ModelOrder, RefusesArraysOfAnotherModel) {
  const Network network = make_network("tiny", 10);
  std::vector<float> right(network.elements), wrong(5);
  EXPECT_THAT([&] { import_model(network, wrong, right); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("array of 5 values")));
}

}  // namespace
}  // namespace alder
