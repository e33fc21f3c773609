#include "cuda/kernels/norm_statistics.hpp"

#include "cuda/kernels/channel_sums.hpp"
#include "cuda/kernels/finish_statistics.hpp"

namespace alder::ALDER_BACKEND {
namespace {

template <int N>
struct StatisticsSums {
  static constexpr int kSums = 2;  // of x - about and of its square
  using Loaded = PackedChannels<N>;

  const uint16_t* x;
  uint32_t pixels;
  BatchStatistics statistics;
  Channels<N> about;

  ALDER_DEVICE void begin(uint32_t channel) { about = load_channels<N>(x + channel); }
  ALDER_DEVICE Loaded load(uint32_t at) const { return load_packed<N>(x + at); }
  ALDER_DEVICE void add(uint32_t, const Loaded& loaded, Channels<N> (&sums)[kSums]) const {
    const Channels<N> values = unpack(loaded);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) {
      const float value = values.v[i] - about.v[i];
      sums[0].v[i] += value;
      sums[1].v[i] = isa::fused_multiply_add(value, value, sums[1].v[i]);
    }
  }
  ALDER_DEVICE void finish(uint32_t channel, const Channels<N> (&sums)[kSums]) const {
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) {
      finish_statistics(statistics, channel + static_cast<uint32_t>(i), about.v[i], sums[0].v[i],
                        sums[1].v[i], pixels);
    }
  }
};

// ---- all norms of a network: a block for each entry of the table

constexpr uint32_t kTableThreads = 128;

template <typename Body>
ALDER_DEVICE void for_channels(const NormEntry& norm, const Body& body) {
  for (uint32_t c = isa::thread(); c < static_cast<uint32_t>(norm.channels); c += kTableThreads) {
    body(c, norm.bias == nullptr ? 0.0F : norm.bias[c]);
  }
}

ALDER_KERNEL(kTableThreads) fold_running_kernel(const NormEntry* table) {
  const NormEntry norm = table[isa::block_x()];
  for_channels(norm, [&](uint32_t c, float bias) {
    const BatchStatistics& s = norm.statistics;
    fold_statistics(s, c, s.running_mean[c] - bias, s.running_variance[c]);
  });
}

ALDER_KERNEL(kTableThreads) accumulate_kernel(const NormEntry* table) {
  const NormEntry norm = table[isa::block_x()];
  for_channels(norm, [&](uint32_t c, float bias) {
    norm.mean_sum[c] += norm.statistics.mean[c] + bias;
    norm.variance_sum[c] += norm.statistics.variance[c];
  });
}

ALDER_KERNEL(kTableThreads) count_biases_kernel(const NormEntry* table) {
  const NormEntry norm = table[isa::block_x()];
  if (norm.bias == nullptr) return;
  for_channels(norm, [&](uint32_t c, float bias) { norm.statistics.running_mean_step[c] -= bias; });
}

void launch_table(const Stream& stream, const char* name, void (*kernel)(const NormEntry*),
                  const NormEntry* table, int entries) {
  if (entries == 0) return;
  launch(stream, {.name = name, .grid = {static_cast<uint32_t>(entries)}, .threads = kTableThreads}, kernel,
         table);
}

}  // namespace

WorkspaceSize norm_statistics_workspace(int pixels, int channels) {
  return SumShape(pixels, channels).workspace(2);
}

void norm_statistics(const Stream& stream, int pixels, int channels, const uint16_t* x,
                     const BatchStatistics& statistics, const Workspace& workspace) {
  launch_channel_sums(stream, "norm_statistics", SumShape(pixels, channels), workspace, [&](auto width) {
    return StatisticsSums<width>{
        .x = x, .pixels = static_cast<uint32_t>(pixels), .statistics = statistics, .about = {}};
  });
}

void fold_running_statistics(const Stream& stream, const NormEntry* table, int entries) {
  launch_table(stream, "fold_running_statistics", fold_running_kernel, table, entries);
}

void accumulate_statistics(const Stream& stream, const NormEntry* table, int entries) {
  launch_table(stream, "accumulate_statistics", accumulate_kernel, table, entries);
}

void count_biases_in_steps(const Stream& stream, const NormEntry* table, int entries) {
  launch_table(stream, "count_biases_in_steps", count_biases_kernel, table, entries);
}

}  // namespace alder::ALDER_BACKEND
