// What the tests of kernels share. They are compiled twice: over the emulator, and, as NAME_gpu, for a
// device, where they skip when there is none.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cuda/emulator/bf16.hpp"
#include "cuda/kernels/workspace.hpp"
#include "cuda/runtime.hpp"
#ifndef ALDER_ON_DEVICE
#include "cuda/emulator/options.hpp"
#endif

namespace alder::ALDER_BACKEND {

// Runs `body` under every order in which threads and blocks may come to their turn; on a device, some times,
// as the device likes.
template <typename Body>
void in_every_order(const Body& body) {
#ifdef ALDER_ON_DEVICE
  for (int run = 0; run < 3; ++run) {
    SCOPED_TRACE("run " + std::to_string(run));
    body();
  }
#else
  for (const char* order :
       {"order=forward", "order=reverse", "order=random,seed=1", "order=random,seed=2,threads=1"}) {
    SCOPED_TRACE(order);
    const emulator::ScopedOptions options(emulator::parse_options(order));
    body();
  }
#endif
}

template <typename T>
DeviceArray<T> on_device(const Stream& stream, const std::vector<T>& values,
                         std::string_view purpose = "values") {
  DeviceArray<T> array(values.size(), purpose);
  array.upload(stream, values);
  return array;
}

template <typename T>
std::vector<T> on_host(const Stream& stream, const DeviceArray<T>& array) {
  std::vector<T> values(array.size());
  array.download(stream, values);
  return values;
}

// Memory for one call; the counters are zero at the start, as kernels want them.
class TestWorkspace {
 public:
  TestWorkspace(const Stream& stream, WorkspaceSize size)
      : data_(size.bytes, "workspace"), counters_(size.counters, "counters") {
    if (size.counters > 0) fill(stream, counters_.data(), 0, size.counters * sizeof(uint32_t));
  }
  Workspace get() const { return {data_.data(), counters_.data()}; }
  // Kernels must leave their counters as they were.
  void expect_counters_zero(const Stream& stream) const {
    EXPECT_EQ(on_host(stream, counters_), std::vector<uint32_t>(counters_.size()));
  }

 private:
  DeviceMemory data_;
  DeviceArray<uint32_t> counters_;
};

class KernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const DeviceCount count = count_devices();
    if (count.devices == 0) GTEST_SKIP() << count.why_none;
    stream_.emplace("a test");
  }
  const Stream& stream() const { return *stream_; }

 private:
  std::optional<Stream> stream_;
};
template <typename T>
class KernelTestWith : public KernelTest, public ::testing::WithParamInterface<T> {};

// Uniform in [low, high), the same on every machine.
inline std::vector<float> random_floats(std::size_t count, unsigned seed, float low = -1, float high = 1) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = low + (high - low) * static_cast<float>(generator() >> 8) * 0x1p-24F;
  }
  return values;
}

inline std::vector<uint16_t> to_bf16(const std::vector<float>& values) {
  std::vector<uint16_t> rounded;
  for (const float value : values) rounded.push_back(emulator::to_bf16(value));
  return rounded;
}
inline std::vector<float> from_bf16(const std::vector<uint16_t>& values) {
  std::vector<float> floats;
  for (const uint16_t value : values) floats.push_back(emulator::from_bf16(value));
  return floats;
}
inline std::vector<uint16_t> random_bf16(std::size_t count, unsigned seed, float low = -1, float high = 1) {
  return to_bf16(random_floats(count, seed, low, high));
}
inline std::vector<double> to_double(const std::vector<uint16_t>& values) {
  std::vector<double> doubles;
  for (const uint16_t value : values) doubles.push_back(emulator::from_bf16(value));
  return doubles;
}

// As bits, so that NaN and the two zeros are told apart.
inline std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> words;
  for (const float value : values) words.push_back(std::bit_cast<uint32_t>(value));
  return words;
}

}  // namespace alder::ALDER_BACKEND
