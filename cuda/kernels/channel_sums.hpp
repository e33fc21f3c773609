// Sums over all pixels, one or several for each channel: batch-norm statistics, the sums of its backward
// pass, gradients of biases.
//
// The grid is parts x columns. A column is up to eight vectors of N channels (128 bytes of a pixel); the
// threads of a block are `groups` pixels by the column's vectors:
//
//              column 0              column 1
//   pixel 0  [ thread 0 | .. | 7 ] [ .. ]         part 0
//   pixel 1  [ thread 8 | ..     ] [ .. ]
//   ...                                           part 1
//
// Each block sums its part, in registers and then in shared memory; the last block of a column adds up the
// parts. Order and split depend on the shape alone, so that results are the same on every device and in
// every run.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/isa/isa.hpp"
#include "cuda/kernels/vectors.hpp"
#include "cuda/kernels/workspace.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND {

// How an activation of pixels x channels (NHWC) is summed.
struct SumShape {
  static constexpr uint32_t kThreads = 512;
  static constexpr uint32_t kMaxBlocks = 256;
  static constexpr uint32_t kColumnVectors = 8;

  uint32_t pixels, channels;
  uint32_t width;    // vectors of a column; the last column may have fewer
  uint32_t columns;  // grid.y
  uint32_t parts;    // grid.x

  SumShape(int pixel_count, int channel_count)
      : pixels(static_cast<uint32_t>(pixel_count)), channels(static_cast<uint32_t>(channel_count)) {
    const uint32_t total = channels / vector_channels();
    columns = (total + kColumnVectors - 1) / kColumnVectors;
    width = (total + columns - 1) / columns;
    constexpr uint32_t kPixelsOfThread = 8;  // at least, before more blocks are worth their start
    const uint32_t useful = pixels / (groups() * kPixelsOfThread);
    parts = std::clamp<uint32_t>(useful, 1, std::max<uint32_t>(kMaxBlocks / columns, 1));
  }

  ALDER_HOST_DEVICE uint32_t vector_channels() const {
    return channels % kWideChannels == 0 ? kWideChannels : 1;
  }
  ALDER_HOST_DEVICE uint32_t groups() const { return kThreads / width; }

  WorkspaceSize workspace(int sums) const {
    return {.bytes = std::size_t{parts} * static_cast<std::size_t>(sums) * channels * sizeof(float),
            .counters = columns};
  }
};

namespace detail {

template <int N, int kSums>
struct SumsShared {
  float values[kSums * N][SumShape::kThreads];
};

// Adds up the sums of a column's groups; the first group has the result. The others' are used up.
template <int N, int kSums>
ALDER_DEVICE void add_groups(const SumShape& shape, Channels<N> (&sums)[kSums]) {
  auto& shared = isa::shared<SumsShared<N, kSums>>();
  const uint32_t group = isa::thread() / shape.width;
  for (uint32_t left = shape.groups(); left > 1;) {
    const uint32_t half = (left + 1) / 2;
    if (group >= half && group < left) {
      ALDER_UNROLL
      for (int i = 0; i < kSums * N; ++i) shared.values[i][isa::thread()] = sums[i / N].v[i % N];
    }
    isa::sync_block();
    if (group + half < left) {
      ALDER_UNROLL
      for (int i = 0; i < kSums * N; ++i) {
        sums[i / N].v[i % N] += shared.values[i][isa::thread() + half * shape.width];
      }
    }
    left = half;
  }
}

// The part's pixels. Four at a time, so that their loads overlap.
template <int N, typename Body>
ALDER_DEVICE void add_pixels(const SumShape& shape, uint32_t channel, Body& body,
                             Channels<N> (&sums)[Body::kSums]) {
  constexpr uint32_t kAtOnce = 4;
  const uint32_t step = shape.parts * shape.groups();
  uint32_t pixel = isa::block_x() * shape.groups() + isa::thread() / shape.width;
  for (; pixel + (kAtOnce - 1) * step < shape.pixels; pixel += kAtOnce * step) {
    typename Body::Loaded loaded[kAtOnce];
    ALDER_UNROLL
    for (uint32_t i = 0; i < kAtOnce; ++i) {
      loaded[i] = body.load((pixel + i * step) * shape.channels + channel);
    }
    ALDER_UNROLL
    for (uint32_t i = 0; i < kAtOnce; ++i) {
      body.add((pixel + i * step) * shape.channels + channel, loaded[i], sums);
    }
  }
  for (; pixel < shape.pixels; pixel += step) {
    const uint32_t at = pixel * shape.channels + channel;
    body.add(at, body.load(at), sums);
  }
}

template <int N, int kSums>
ALDER_DEVICE float* partial_of(const SumShape& shape, float* partial, uint32_t part, int sum,
                               uint32_t channel) {
  return partial + (part * kSums + static_cast<uint32_t>(sum)) * shape.channels + channel;
}

// Body (copied into every thread):
//   static constexpr int kSums; struct Loaded;
//   void begin(uint32_t channel)           fetches what it needs of channels channel .. channel + N - 1
//   Loaded load(uint32_t at)               issues the loads of the N values at index `at`
//   void add(uint32_t at, const Loaded&, Channels<N> (&sums)[kSums])
//   void finish(uint32_t channel, const Channels<N> (&sums)[kSums])
template <int N, typename Body>
ALDER_KERNEL(SumShape::kThreads, 1)
channel_sums_kernel(ALDER_PARAMETER SumShape shape, ALDER_PARAMETER Body parameters, float* partial,
                    uint32_t* counters) {
  constexpr int kSums = Body::kSums;
  const uint32_t group = isa::thread() / shape.width;
  const uint32_t channel = (isa::block_y() * shape.width + isa::thread() % shape.width) * N;
  const bool active = group < shape.groups() && channel < shape.channels;

  Body body = parameters;
  Channels<N> sums[kSums] = {};
  if (active) {
    body.begin(channel);
    add_pixels<N>(shape, channel, body, sums);
  }
  add_groups<N>(shape, sums);

  if (shape.parts > 1) {
    if (active && group == 0) {
      ALDER_UNROLL
      for (int i = 0; i < kSums; ++i) {
        store_channels(partial_of<N, kSums>(shape, partial, isa::block_x(), i, channel), sums[i]);
      }
    }
    if (!isa::last_block_here(&counters[isa::block_y()], shape.parts)) return;
    ALDER_UNROLL
    for (int i = 0; i < kSums; ++i) sums[i] = {};
    for (uint32_t part = group; active && part < shape.parts; part += shape.groups()) {
      ALDER_UNROLL
      for (int i = 0; i < kSums; ++i) {
        const auto more = load_channels<N>(partial_of<N, kSums>(shape, partial, part, i, channel));
        ALDER_UNROLL
        for (int j = 0; j < N; ++j) sums[i].v[j] += more.v[j];
      }
    }
    add_groups<N>(shape, sums);
  }
  if (active && group == 0) body.finish(channel, sums);
}

}  // namespace detail

template <int N, typename Body>
void start_channel_sums(const Stream& stream, const char* name, const SumShape& shape,
                        const Workspace& workspace, const Body& body) {
  launch(stream,
         {.name = name,
          .grid = {shape.parts, shape.columns},
          .threads = SumShape::kThreads,
          .shared_bytes = sizeof(detail::SumsShared<N, Body::kSums>)},
         detail::channel_sums_kernel<N, Body>, shape, body, static_cast<float*>(workspace.data),
         workspace.counters);
}

// Starts the kernel with the body that make(std::integral_constant<int, N>) gives for N = 8 or 1.
template <typename Make>
void launch_channel_sums(const Stream& stream, const char* name, const SumShape& shape,
                         const Workspace& workspace, const Make& make) {
  if (shape.vector_channels() == kWideChannels) {
    start_channel_sums<kWideChannels>(stream, name, shape, workspace,
                                      make(std::integral_constant<int, kWideChannels>{}));
  } else {
    start_channel_sums<1>(stream, name, shape, workspace, make(std::integral_constant<int, 1>{}));
  }
}

}  // namespace alder::ALDER_BACKEND
