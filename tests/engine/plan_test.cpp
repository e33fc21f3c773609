#include "engine/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "examples.hpp"
#include "models/builder.hpp"

namespace alder {
namespace {

using testing::HasSubstr;

int64_t count(const std::vector<Instruction>& list, Action action) {
  return std::count_if(list.begin(), list.end(),
                       [action](const Instruction& i) { return i.action == action; });
}

TEST(Plan, FusesWholeResidualBlocks) {
  const Program program = make_program(make_network("resnet-20", 10));
  EXPECT_EQ(count(program.forward, Action::convolution), 21);
  EXPECT_EQ(count(program.forward, Action::norm), 21);
  for (const auto* list : {&program.forward, &program.backward}) {
    EXPECT_EQ(count(*list, Action::relu), 0);
    EXPECT_EQ(count(*list, Action::add), 0);
  }
}

TEST(Plan, NeedsNoExtraSumsInPreActivationNets) {
  const Program program = make_program(make_network("wrn-16-2", 10));
  EXPECT_EQ(count(program.forward, Action::add), 6);
  EXPECT_EQ(count(program.forward, Action::relu), 0);
  EXPECT_EQ(count(program.backward, Action::add), 0);
}

// Buffers that are alive together never share memory, whatever the network.
TEST(Plan, KeepsLiveBuffersApart) {
  std::vector<ExampleNetwork> networks = example_networks();
  for (const char* name : {"resnet-20", "resnet-50", "wrn-16-2-release"}) {
    networks.push_back({name, make_network(name, 10)});
  }
  for (const ExampleNetwork& example : networks) {
    Program program = make_program(example.network);
    constexpr int64_t kBatch = 3, kBytes = 2;
    const int64_t total = place_buffers(program.buffers, 0, kBatch, kBytes);
    const auto end = [&](const Buffer& b) { return b.offset + b.values * kBatch * kBytes; };
    for (const Buffer& a : program.buffers) {
      EXPECT_LE(end(a), total) << example.name;
      for (const Buffer& b : program.buffers) {
        const bool together = a.first <= b.last && b.first <= a.last;
        if (&a == &b || !together) continue;
        EXPECT_TRUE(end(a) <= b.offset || end(b) <= a.offset) << example.name;
      }
    }
  }
}

// The forward pass keeps two values per convolution (its output and the normalised one); gradients reuse what
// is done with, so the whole needs hardly more.
TEST(Plan, NeedsLittleMoreThanTheKeptActivations) {
  for (const char* name : {"resnet-18", "resnet-20", "resnet-56"}) {
    Program program = make_program(make_network(name, 10));
    int64_t kept = 0;
    for (const Instruction& step : program.forward) {
      if (step.y != kNone) kept += program.buffers[static_cast<std::size_t>(step.y)].values;
    }
    EXPECT_LE(place_buffers(program.buffers, 1, 1, 4), kept * 4 * 1.1) << name;
  }
}

NetworkBuilder builder() {
  return {{.name = "bad", .channels = 3, .height = 4, .width = 4, .classes = 3}, {}};
}

TEST(PlanErrors, RefuseToNormaliseThePictures) {
  NetworkBuilder net = builder();
  const Network network = net.finish(net.batch_norm("bn", 0));
  EXPECT_THAT([&] { make_program(network); },
              testing::ThrowsMessage<Error>(HasSubstr("layer 1 reads the pictures and is no convolution")));
}

TEST(PlanErrors, NameALayerThatNobodyReads) {
  NetworkBuilder net = builder();
  const int stem = net.convolution("conv1", 0, 16, 3);
  net.convolution("conv2", stem, 16, 3);
  const Network network = net.finish(stem);
  EXPECT_THAT([&] { make_program(network); },
              testing::ThrowsMessage<Error>(HasSubstr("nobody reads the output of layer 2 'conv2'")));
}

TEST(PlanErrors, WantAPoolAtTheEnd) {
  NetworkBuilder net = builder();
  Network network = net.finish(net.convolution("conv1", 0, 16, 3));
  network.layers.erase(network.layers.end() - 2);
  network.layers.back().input = 1;
  EXPECT_THAT([&] { make_program(network); },
              testing::ThrowsMessage<Error>(HasSubstr("does not end with a global average pool")));
}

}  // namespace
}  // namespace alder
