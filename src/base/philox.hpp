// Counter-based random numbers: the draw is a pure function of (seed, purpose, counter), so a
// picture or a shuffle is the same whatever thread or worker count computes it.
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox-4x32-10).
#pragma once

#include <array>
#include <cstdint>

namespace alder {

// Streams of one seed that must never coincide. Append only: the values are part of every result.
enum class Draw : uint32_t {
  initial_weights = 1,
  shuffle = 2,
  augmentation = 3,
  shards = 4,
  shapes = 5,
  graph = 6,
  schedule = 7,
  compute_time = 8,
  link_failure = 9,
  placement = 10,
};

// Ten rounds on a 128-bit counter under a 64-bit key.
constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return counter;
}

// A sequence of draws at one place: Philox keyed by the seed, its counter made of the purpose, a
// 64-bit position (sample, epoch, step: the caller's choice) and the index of the draw.
class Random {
 public:
  constexpr Random(uint64_t seed, Draw purpose, uint64_t position)
      : seed_(seed), purpose_(static_cast<uint32_t>(purpose)), position_(position) {}

  constexpr uint32_t bits() {
    if (used_ == 4) {
      block_ = philox4x32(
          {index_++, purpose_, static_cast<uint32_t>(position_), static_cast<uint32_t>(position_ >> 32)},
          seed_);
      used_ = 0;
    }
    return block_[used_++];
  }

  // Uniform in [0, 1), 24 bits.
  constexpr float uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24F; }

  // Uniform in 0 .. bound-1 by multiply-shift; the bias is below bound / 2^32. bound > 0.
  constexpr uint32_t below(uint32_t bound) { return static_cast<uint32_t>((uint64_t{bits()} * bound) >> 32); }

  // Standard normal (Box-Muller).
  double normal();

 private:
  uint64_t seed_;
  uint32_t purpose_;
  uint64_t position_;
  uint32_t index_ = 0;
  int used_ = 4;
  std::array<uint32_t, 4> block_{};
};

}  // namespace alder
