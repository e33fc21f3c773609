// From the moments of tiles to the statistics of a batch: merged by the last tiles to finish, in an order
// that does not depend on who they are.
//
// Each tile of pixels leaves (mean, sum of squares about it) per channel, both relative to a shift near the
// mean. Sixty-four tiles are a group; the last tile of a group merges it, and the last group merges the
// groups. Merging follows Chan, Golub and LeVeque 1979 for many parts at once:
//
//   mean = sum n_i mean_i / sum n_i        M2 = sum M2_i + sum n_i (mean_i - mean)^2
#pragma once

#include <cmath>

#include "cuda/isa/isa.hpp"
#include "cuda/kernels/batch_statistics.hpp"

namespace alder::ALDER_BACKEND {

struct Moments {
  float count, mean, m2;
};

// Where tiles leave their moments. Channels in blocks of a fixed number of columns, each with its own
// tickets.
struct MomentsScratch {
  static constexpr int kGroup = 64;  // tiles

  isa::F32x2* tiles = nullptr;   // [tile][channel]: mean, m2
  isa::F32x2* groups = nullptr;  // [group][channel]
  float* tile_counts = nullptr;  // [column block][tile]
  float* group_counts = nullptr;
  uint32_t* counters = nullptr;  // [column block][group, and one for the last merge]
  int tile_count = 0, channels = 0;

  ALDER_HOST_DEVICE static int groups_of(int tiles) { return (tiles + kGroup - 1) / kGroup; }
  ALDER_HOST_DEVICE int group_count() const { return groups_of(tile_count); }

  static std::size_t bytes(int tiles, int channels, int column_blocks) {
    const auto all = static_cast<std::size_t>(tiles + groups_of(tiles));
    return all * (sizeof(isa::F32x2) * static_cast<std::size_t>(channels) +
                  sizeof(float) * static_cast<std::size_t>(column_blocks));
  }
  static std::size_t counters_of(int tiles, int column_blocks) {
    return static_cast<std::size_t>(groups_of(tiles) + 1) * static_cast<std::size_t>(column_blocks);
  }
  static MomentsScratch carve(void* data, uint32_t* counters, int tiles, int channels, int column_blocks) {
    MomentsScratch scratch;
    scratch.tile_count = tiles;
    scratch.channels = channels;
    scratch.counters = counters;
    scratch.tiles = static_cast<isa::F32x2*>(data);
    scratch.groups = scratch.tiles + std::ptrdiff_t{tiles} * channels;
    scratch.tile_counts =
        reinterpret_cast<float*>(scratch.groups + std::ptrdiff_t{groups_of(tiles)} * channels);
    scratch.group_counts = scratch.tile_counts + std::ptrdiff_t{tiles} * column_blocks;
    return scratch;
  }
};

// One channel's entry of each array of BatchStatistics.
ALDER_DEVICE void store_statistics(const BatchStatistics& s, int channel, const Moments& moments) {
  const float mean = s.running_mean[channel] + moments.mean;
  const float variance = moments.m2 / moments.count;
  const float unbiased = moments.count > 1 ? moments.m2 / (moments.count - 1) : variance;
  const float scale = s.gamma[channel] / sqrtf(variance + kBatchNormEpsilon);
  s.mean[channel] = mean;
  s.variance[channel] = variance;
  s.scale[channel] = scale;
  s.shift[channel] = s.beta[channel] - scale * mean;
  if (s.running_mean_step != nullptr) {
    s.running_mean_step[channel] = s.running_mean[channel] - mean;
    s.running_variance_step[channel] = s.running_variance[channel] - unbiased;
  }
}

namespace detail {

// Merges `parts` records of kColumns channels. Several threads share a channel and meet in `sums` (one float
// each); those with thread < kColumns end with the channel's result.
template <int kColumns, typename Team>
ALDER_DEVICE Moments merge(const Team& team, const isa::F32x2* records, const float* counts, int parts,
                           int channels, int first_channel, float* sums) {
  constexpr int kShares = Team::kThreads / kColumns;
  static_assert(kShares >= 1);
  const int column = team.thread() % kColumns, share = team.thread() / kColumns;
  const int channel = first_channel + column;
  const bool works = share < kShares && channel < channels;

  const auto add_shares = [&](float mine) {
    team.sync();
    if (share < kShares) sums[share * kColumns + column] = mine;
    team.sync();
    float sum = 0;
    for (int i = 0; i < kShares; ++i) sum += sums[i * kColumns + column];
    return sum;
  };

  float count = 0, weighted = 0;
  for (int i = share; works && i < parts; i += kShares) {
    count += counts[i];
    weighted += counts[i] * isa::load<isa::F32x2>(records + std::ptrdiff_t{i} * channels + channel)[0];
  }
  const float total = add_shares(count), mean = add_shares(weighted) / total;
  float m2 = 0;
  for (int i = share; works && i < parts; i += kShares) {
    const auto record = isa::load<isa::F32x2>(records + std::ptrdiff_t{i} * channels + channel);
    const float away = record[0] - mean;
    m2 += record[1] + counts[i] * away * away;
  }
  return {total, mean, add_shares(m2)};
}

}  // namespace detail

// Called by the team of each tile with the tile's moments, in threads < kColumns. `sums`: Team::kThreads
// floats of shared memory.
template <int kColumns, typename Team>
ALDER_DEVICE void merge_statistics(const Team& team, const MomentsScratch& scratch,
                                   const BatchStatistics& statistics, int tile, int column_block,
                                   const Moments& moments, float* sums) {
  constexpr int kGroup = MomentsScratch::kGroup;
  const int first = column_block * kColumns, channel = first + team.thread();
  const bool mine = team.thread() < kColumns && channel < scratch.channels;
  const int groups = scratch.group_count(), group = tile / kGroup, first_tile = group * kGroup;
  const int tiles = scratch.tile_count - first_tile < kGroup ? scratch.tile_count - first_tile : kGroup;
  uint32_t* counters = scratch.counters + column_block * (groups + 1);
  float* tile_counts = scratch.tile_counts + std::ptrdiff_t{column_block} * scratch.tile_count;
  float* group_counts = scratch.group_counts + std::ptrdiff_t{column_block} * groups;

  if (mine) {
    isa::store(scratch.tiles + std::ptrdiff_t{tile} * scratch.channels + channel,
               isa::F32x2{{moments.mean, moments.m2}});
  }
  if (team.thread() == 0) tile_counts[tile] = moments.count;
  if (!team.last(counters + group, tiles)) return;

  const Moments of_group =
      detail::merge<kColumns>(team, scratch.tiles + std::ptrdiff_t{first_tile} * scratch.channels,
                              tile_counts + first_tile, tiles, scratch.channels, first, sums);
  if (mine) {
    isa::store(scratch.groups + std::ptrdiff_t{group} * scratch.channels + channel,
               isa::F32x2{{of_group.mean, of_group.m2}});
  }
  if (team.thread() == 0) group_counts[group] = of_group.count;
  if (!team.last(counters + groups, groups)) return;

  const Moments of_batch =
      detail::merge<kColumns>(team, scratch.groups, group_counts, groups, scratch.channels, first, sums);
  if (mine) store_statistics(statistics, channel, of_batch);
}

}  // namespace alder::ALDER_BACKEND
