#include "cuda/kernels/head.hpp"

#include <cmath>

#include "cuda/isa/isa.hpp"
#include "cuda/kernels/vectors.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND {
namespace {

constexpr uint32_t kThreads = 256, kWarps = kThreads / isa::kWarpThreads;
constexpr int kManyImages = 4;  // of a block in large batches: each weight is then read for four images

// What one kernel leaves in the workspace for the other, and every block for the last one.
struct Scratch {
  float* features;         // images x channels
  float* logit_gradients;  // images x classes
  float* losses;           // images
  uint32_t* hits;          // images: 1 where the answer was right
  double share;            // 1 / images: a kernel divides doubles by way of a subroutine

  static std::size_t values(const HeadShape& s) {
    return std::size_t(s.images) * std::size_t(s.channels + s.classes + 2);
  }
  Scratch(const HeadShape& s, const Workspace& workspace) {
    const auto images = static_cast<std::size_t>(s.images);
    features = static_cast<float*>(workspace.data);
    logit_gradients = features + images * std::size_t(s.channels);
    losses = logit_gradients + images * std::size_t(s.classes);
    hits = reinterpret_cast<uint32_t*>(losses + images);
    share = 1.0 / static_cast<double>(s.images);
  }
};

// The block's shared memory, in floats: features (later their gradients) and logits (later their gradients)
// of its images, and room for sums.
template <int kImages>
struct SharedLayout {
  static constexpr int kRoom = kThreads * kWideChannels;
  int channels, classes;

  ALDER_HOST_DEVICE static int whole_vectors(int floats) { return (floats + 3) / 4 * 4; }
  ALDER_HOST_DEVICE int features(int image) const { return image * channels; }
  ALDER_HOST_DEVICE int logits(int image) const {
    return whole_vectors(kImages * channels) + image * classes;
  }
  ALDER_HOST_DEVICE int room() const { return whole_vectors(logits(kImages)); }
  std::size_t bytes() const { return static_cast<std::size_t>(room() + kRoom) * sizeof(float); }
};

ALDER_DEVICE float warp_sum(float value) {
  for (uint32_t lanes = isa::kWarpThreads / 2; lanes > 0; lanes /= 2) value += isa::shuffle_xor(value, lanes);
  return value;
}
ALDER_DEVICE float warp_max(float value) {
  for (uint32_t lanes = isa::kWarpThreads / 2; lanes > 0; lanes /= 2) {
    value = fmaxf(value, isa::shuffle_xor(value, lanes));
  }
  return value;
}
ALDER_DEVICE uint32_t warp_min(uint32_t value) {
  for (uint32_t lanes = isa::kWarpThreads / 2; lanes > 0; lanes /= 2) {
    const uint32_t other = isa::shuffle_xor(value, lanes);
    value = other < value ? other : value;
  }
  return value;
}

// ---- the steps of a block

// features = mean of x over the pixels of one image. Threads are groups of pixels by vectors of N channels.
template <int N>
ALDER_DEVICE void pool(const HeadShape& shape, const uint16_t* x, float* room, float* features) {
  const uint32_t vectors = static_cast<uint32_t>(shape.channels) / N;
  const uint32_t width = vectors < kThreads ? vectors : kThreads, groups = kThreads / width;
  const uint32_t group = isa::thread() / width;
  const float share = 1.0F / static_cast<float>(shape.pixels);
  for (uint32_t first = 0; first < vectors; first += width) {
    const uint32_t lane = isa::thread() % width, vector = first + lane;
    if (group < groups && vector < vectors) {
      Channels<N> sum{};
      for (auto p = group; p < static_cast<uint32_t>(shape.pixels); p += groups) {
        const auto values = load_channels<N>(x + (p * vectors + vector) * N);
        ALDER_UNROLL
        for (int i = 0; i < N; ++i) sum.v[i] += values.v[i];
      }
      store_channels(room + isa::thread() * N, sum);
    }
    isa::sync_block();
    const uint32_t channels = (vectors - first < width ? vectors - first : width) * N;
    for (uint32_t c = isa::thread(); c < channels; c += kThreads) {
      float sum = room[c];
      for (uint32_t g = 1; g < groups; ++g) sum += room[g * width * N + c];
      features[first * N + c] = sum * share;
    }
    isa::sync_block();
  }
}

// logits[i][k] = features of image i . weight[k] + bias[k]; a warp for each class.
template <int N, int kImages>
ALDER_DEVICE void linear(const HeadShape& shape, const SharedLayout<kImages>& layout, const Head& head,
                         float* base) {
  constexpr int kStep = N == 1 ? 1 : 4;
  using Part = isa::Vector<float, kStep>;
  for (int k = static_cast<int>(isa::warp()); k < shape.classes; k += static_cast<int>(kWarps)) {
    const float* row = head.weight + std::size_t(k) * std::size_t(shape.channels);
    float sums[kImages] = {};
    for (int c = static_cast<int>(isa::lane()) * kStep; c < shape.channels;
         c += static_cast<int>(isa::kWarpThreads) * kStep) {
      const auto weight = isa::load<Part>(row + c);
      ALDER_UNROLL
      for (int i = 0; i < kImages; ++i) {
        const auto feature = isa::load<Part>(base + layout.features(i) + c);
        ALDER_UNROLL
        for (int j = 0; j < kStep; ++j) {
          sums[i] = isa::fused_multiply_add(feature.v[j], weight.v[j], sums[i]);
        }
      }
    }
    ALDER_UNROLL
    for (int i = 0; i < kImages; ++i) {
      const float sum = warp_sum(sums[i]);
      if (isa::lane() == 0) base[layout.logits(i) + k] = sum + head.bias[k];
    }
  }
  isa::sync_block();
}

// Loss and hit of one image by one warp; its logits become their gradients.
template <bool kTrain>
ALDER_DEVICE void cross_entropy(const HeadShape& shape, const Head& head, const Scratch& scratch, int image,
                                float* logits) {
  const auto classes = static_cast<uint32_t>(shape.classes), lane = isa::lane();
  constexpr uint32_t kLanes = isa::kWarpThreads;
  float* kept = head.logits + std::size_t(image) * classes;
  float top = -INFINITY, sum = 0, total = 0;
  for (uint32_t k = lane; k < classes; k += kLanes) {
    kept[k] = logits[k];
    top = fmaxf(top, logits[k]);
  }
  top = warp_max(top);
  uint32_t answer = classes;
  for (uint32_t k = lane; k < classes; k += kLanes) {
    sum += std::exp(logits[k] - top);
    total += logits[k];
    if (logits[k] == top && k < answer) answer = k;
  }
  const float log_sum = top + std::log(warp_sum(sum));
  const float mean = warp_sum(total) / static_cast<float>(classes);
  answer = warp_min(answer);
  const auto label = static_cast<uint32_t>(head.labels[image]);
  const float smoothing = kTrain ? head.smoothing : 0.0F;
  if (lane == 0) {
    // With smoothing 0 the mean must not count even when it is infinite.
    const float spread = smoothing > 0 ? smoothing * mean : 0.0F;
    scratch.losses[image] = log_sum - (1 - smoothing) * logits[label] - spread;
    scratch.hits[image] = answer == label && log_sum - log_sum == 0 ? 1 : 0;
  }
  isa::sync_warp();  // the label's logit has been read
  if constexpr (kTrain) {
    const float everywhere = smoothing / static_cast<float>(classes);
    const float share = 1.0F / static_cast<float>(shape.images);
    for (uint32_t k = lane; k < classes; k += kLanes) {
      const float target = everywhere + (k == label ? 1 - smoothing : 0.0F);
      logits[k] = (std::exp(logits[k] - log_sum) - target) * share;
      scratch.logit_gradients[std::size_t(image) * classes + k] = logits[k];
    }
  }
}

// The features become what every pixel of them gets as gradient.
template <int kImages>
ALDER_DEVICE void linear_gradient(const HeadShape& shape, const SharedLayout<kImages>& layout,
                                  const Head& head, float* base) {
  const float share = 1.0F / static_cast<float>(shape.pixels);
  for (int c = static_cast<int>(isa::thread()); c < shape.channels; c += static_cast<int>(kThreads)) {
    float sums[kImages] = {};
    for (int k = 0; k < shape.classes; ++k) {
      const float weight = head.weight[std::size_t(k) * std::size_t(shape.channels) + std::size_t(c)];
      ALDER_UNROLL
      for (int i = 0; i < kImages; ++i) {
        sums[i] = isa::fused_multiply_add(base[layout.logits(i) + k], weight, sums[i]);
      }
    }
    ALDER_UNROLL
    for (int i = 0; i < kImages; ++i) base[layout.features(i) + c] = sums[i] * share;
  }
  isa::sync_block();
}

template <int N>
ALDER_DEVICE void pool_gradient(const HeadShape& shape, const float* each, uint16_t* dx) {
  const uint32_t vectors = static_cast<uint32_t>(shape.channels) / N;
  for (uint32_t i = isa::thread(); i < vectors * static_cast<uint32_t>(shape.pixels); i += kThreads) {
    store_channels(dx + i * N, load_channels<N>(each + i % vectors * N));
  }
}

// By the last block: the batch's loss and hits, in an order that depends on the batch size alone.
ALDER_DEVICE void report(const HeadShape& shape, const Head& head, const Scratch& scratch, float* room) {
  auto* losses = reinterpret_cast<double*>(room);
  auto* hits = reinterpret_cast<uint32_t*>(losses + kThreads);
  double loss = 0;
  uint32_t correct = 0;
  for (int n = static_cast<int>(isa::thread()); n < shape.images; n += static_cast<int>(kThreads)) {
    loss += static_cast<double>(scratch.losses[n]);
    correct += scratch.hits[n];
  }
  losses[isa::thread()] = loss;
  hits[isa::thread()] = correct;
  for (uint32_t half = kThreads / 2; half > 0; half /= 2) {
    isa::sync_block();
    if (isa::thread() < half) {
      losses[isa::thread()] += losses[isa::thread() + half];
      hits[isa::thread()] += hits[isa::thread() + half];
    }
  }
  if (isa::thread() != 0) return;
  head.result->loss = losses[0] * scratch.share;
  head.result->correct = hits[0];
  const uint32_t passes = *head.passes + 1;
  *head.passes = passes;
  isa::store_release_system(&head.result->passes, passes);
}

// kImages images a block; the last block may have fewer.
template <int N, int kImages, bool kTrain>
ALDER_KERNEL(kThreads, 2)
head_kernel(ALDER_PARAMETER HeadShape shape, ALDER_PARAMETER Head head, ALDER_PARAMETER Scratch scratch) {
  float* base = &isa::shared<float>();
  const SharedLayout<kImages> layout{shape.channels, shape.classes};
  float* room = base + layout.room();
  const int first = static_cast<int>(isa::block_x()) * kImages;
  const std::size_t values = std::size_t(shape.pixels) * std::size_t(shape.channels);
  const auto last_image = [&](int i) { return first + i < shape.images ? first + i : shape.images - 1; };

  // Images beyond the batch repeat its last one and write nothing.
  for (int i = 0; i < kImages; ++i) {
    pool<N>(shape, head.x + std::size_t(last_image(i)) * values, room, base + layout.features(i));
  }
  linear<N, kImages>(shape, layout, head, base);
  const int mine = static_cast<int>(isa::warp());
  if (mine < kImages && first + mine < shape.images) {
    cross_entropy<kTrain>(shape, head, scratch, first + mine, base + layout.logits(mine));
  }
  if constexpr (kTrain) {
    for (int i = 0; i < kImages && first + i < shape.images; ++i) {
      float* kept = scratch.features + std::size_t(first + i) * std::size_t(shape.channels);
      for (int c = static_cast<int>(isa::thread()); c < shape.channels; c += static_cast<int>(kThreads)) {
        kept[c] = base[layout.features(i) + c];
      }
    }
    isa::sync_block();
    linear_gradient<kImages>(shape, layout, head, base);
    for (int i = 0; i < kImages && first + i < shape.images; ++i) {
      pool_gradient<N>(shape, base + layout.features(i), head.dx + std::size_t(first + i) * values);
    }
  }
  if (isa::last_block_here(head.workspace.counters, isa::blocks_x())) report(shape, head, scratch, room);
}

// ---- gradients of weight and bias: sums over the images

constexpr uint32_t kGradientThreads = 512, kGradientGroups = kGradientThreads / isa::kWarpThreads;
constexpr int kGradientClasses = 8;  // of a block

struct GradientShared {
  float weight[kGradientGroups][kGradientClasses][isa::kWarpThreads];
  float bias[kGradientGroups][kGradientClasses];
};

// A block: 32 channels, a lane each, by eight classes; its warps share the images.
ALDER_KERNEL(kGradientThreads)
head_gradient_kernel(ALDER_PARAMETER HeadShape shape, ALDER_PARAMETER Scratch scratch, float* weight_gradient,
                     float* bias_gradient) {
  auto& shared = isa::shared<GradientShared>();
  const int channel = static_cast<int>(isa::block_x() * isa::kWarpThreads + isa::lane());
  const int first_class = static_cast<int>(isa::block_y()) * kGradientClasses;
  float weight[kGradientClasses] = {}, bias[kGradientClasses] = {};
  for (int n = static_cast<int>(isa::warp()); n < shape.images; n += static_cast<int>(kGradientGroups)) {
    const float feature =
        channel < shape.channels
            ? scratch.features[std::size_t(n) * std::size_t(shape.channels) + std::size_t(channel)]
            : 0.0F;
    const float* gradients =
        scratch.logit_gradients + std::size_t(n) * std::size_t(shape.classes) + first_class;
    ALDER_UNROLL
    for (int k = 0; k < kGradientClasses; ++k) {
      const float g = first_class + k < shape.classes ? gradients[k] : 0.0F;
      weight[k] = isa::fused_multiply_add(g, feature, weight[k]);
      bias[k] += g;
    }
  }
  ALDER_UNROLL
  for (int k = 0; k < kGradientClasses; ++k) {
    shared.weight[isa::warp()][k][isa::lane()] = weight[k];
    if (isa::lane() == 0) shared.bias[isa::warp()][k] = bias[k];
  }
  isa::sync_block();
  // A warp for each class from here on.
  const int k = static_cast<int>(isa::warp());
  if (k >= kGradientClasses || first_class + k >= shape.classes) return;
  float sum = 0, bias_sum = 0;
  for (uint32_t g = 0; g < kGradientGroups; ++g) {
    sum += shared.weight[g][k][isa::lane()];
    bias_sum += shared.bias[g][k];
  }
  if (channel < shape.channels) {
    weight_gradient[std::size_t(first_class + k) * std::size_t(shape.channels) + std::size_t(channel)] = sum;
  }
  if (channel == 0) bias_gradient[first_class + k] = bias_sum;
}

// ---- launchers

template <int N, int kImages, bool kTrain>
void start(const Stream& stream, const HeadShape& shape, const Head& head, const Scratch& scratch) {
  const auto blocks = static_cast<uint32_t>((shape.images + kImages - 1) / kImages);
  launch(stream,
         {.name = kTrain ? "head_forward_backward" : "head_evaluate",
          .grid = {blocks},
          .threads = kThreads,
          .shared_bytes = SharedLayout<kImages>{shape.channels, shape.classes}.bytes()},
         head_kernel<N, kImages, kTrain>, shape, head, scratch);
}

template <bool kTrain>
void start(const Stream& stream, const HeadShape& shape, const Head& head, const Scratch& scratch) {
  constexpr int kLargeBatch = 256;  // from here on there are enough blocks for every device
  const bool many = shape.images >= kLargeBatch;
  if (shape.channels % kWideChannels == 0) {
    many ? start<kWideChannels, kManyImages, kTrain>(stream, shape, head, scratch)
         : start<kWideChannels, 1, kTrain>(stream, shape, head, scratch);
  } else {
    many ? start<1, kManyImages, kTrain>(stream, shape, head, scratch)
         : start<1, 1, kTrain>(stream, shape, head, scratch);
  }
}

}  // namespace

WorkspaceSize head_workspace(const HeadShape& shape) {
  return {.bytes = Scratch::values(shape) * sizeof(float), .counters = 1};
}

void head_forward_backward(const Stream& stream, const HeadShape& shape, const Head& arguments) {
  const Scratch scratch(shape, arguments.workspace);
  start<true>(stream, shape, arguments, scratch);
  const auto columns = (static_cast<uint32_t>(shape.channels) + isa::kWarpThreads - 1) / isa::kWarpThreads;
  const auto rows = static_cast<uint32_t>((shape.classes + kGradientClasses - 1) / kGradientClasses);
  launch(stream,
         {.name = "head_gradients",
          .grid = {columns, rows},
          .threads = kGradientThreads,
          .shared_bytes = sizeof(GradientShared)},
         head_gradient_kernel, shape, scratch, arguments.weight_gradient, arguments.bias_gradient);
}

void head_evaluate(const Stream& stream, const HeadShape& shape, const Head& arguments) {
  start<false>(stream, shape, arguments, Scratch(shape, arguments.workspace));
}

}  // namespace alder::ALDER_BACKEND
