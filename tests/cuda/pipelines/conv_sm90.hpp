// A real Hopper pipeline, small: the convolution of conv.hpp with bulk copies (im2col for x, tiled for the
// weights), mbarriers and wgmma, the result through shared memory and a bulk store. `kBug` plants a mistake.
//
// A block computes 64 pixels x 64 filters: warps 0-3 multiply, one thread of warp 4 keeps the stages filled.
#pragma once

#include "conv.hpp"
#include "cuda/isa/isa.hpp"

namespace alder::ALDER_BACKEND::pipelines {

struct HopperTile {
  static constexpr int kPixels = 64, kFilters = 64, kDepth = 64, kStages = 4;
  static constexpr int kConsumers = 128, kThreads = kConsumers + 32;
  static constexpr uint32_t kRowBytes = kDepth * 2;  // one span of the 128-byte swizzle
  struct alignas(1024) Stage {
    unsigned char x[kPixels * kRowBytes];
    unsigned char w[kFilters * kRowBytes];
  };
  struct Shared {
    Stage stages[kStages];
    alignas(128) float y[kPixels * kFilters];
    isa::Mbarrier full[kStages], empty[kStages];
  };
};

struct HopperArguments {
  ConvShape shape;
  // Where the copies begin in x: the first pixel's corner of the filter, -1, -1 for padding 1.
  int corner;
};

template <HopperBug kBug>
class HopperBlock {
 public:
  using Tile = HopperTile;

  ALDER_DEVICE HopperBlock(const HopperArguments& arguments, Tile::Shared& shared)
      : p_(arguments), shared_(shared), slabs_(arguments.shape.c / Tile::kDepth), steps_(9 * slabs_) {}

  ALDER_DEVICE void make_barriers() {
    if (isa::thread() == 0) {
      for (int i = 0; i < Tile::kStages; ++i) {
        isa::mbarrier_init(shared_.full[i], 1);
        isa::mbarrier_init(shared_.empty[i], Tile::kConsumers / isa::kWarpThreads);
      }
      isa::mbarrier_init_fence();
    }
    if constexpr (kBug != HopperBug::no_init_barrier) isa::sync_block();
  }

  ALDER_DEVICE void produce(const TensorMap& x, const TensorMap& w) {
    const int first = static_cast<int>(isa::block_x()) * Tile::kPixels;
    const int n = first / (p_.shape.h * p_.shape.w), row = first / p_.shape.w % p_.shape.h,
              column = first % p_.shape.w;
    ALDER_NO_UNROLL
    for (int step = 0; step < steps_; ++step) {
      const int stage = step % Tile::kStages, round = step / Tile::kStages;
      const int tap = step / slabs_, channel = step % slabs_ * Tile::kDepth;
      isa::Mbarrier& full = shared_.full[stage];
      if constexpr (kBug != HopperBug::no_empty_wait) {
        isa::mbarrier_wait(shared_.empty[stage], static_cast<uint32_t>(round + 1) % 2);
      }
      constexpr uint32_t kWrong = kBug == HopperBug::expects_too_few    ? -Tile::kRowBytes
                                  : kBug == HopperBug::expects_too_many ? Tile::kRowBytes
                                                                        : 0;
      isa::mbarrier_arrive_expect(full, (Tile::kPixels + Tile::kFilters) * Tile::kRowBytes + kWrong);
      isa::tma_load_im2col(shared_.stages[stage].x, x, full,
                           {channel, column + p_.corner, row + p_.corner, n}, static_cast<uint16_t>(tap % 3),
                           static_cast<uint16_t>(tap / 3));
      isa::tma_load(shared_.stages[stage].w, w, full,
                    {tap * p_.shape.c + channel, static_cast<int>(isa::block_y()) * Tile::kFilters});
    }
  }

  ALDER_DEVICE void consume() {
    ALDER_NO_UNROLL
    for (int step = 0; step < steps_; ++step) {
      const int stage = step % Tile::kStages;
      const auto parity = static_cast<uint32_t>(step / Tile::kStages) % 2;
      if constexpr (kBug != HopperBug::no_full_wait) {
        isa::mbarrier_wait(shared_.full[stage], kBug == HopperBug::wrong_phase ? parity ^ 1 : parity);
      }
      if constexpr (kBug == HopperBug::early_release) release(stage);
      multiply(shared_.stages[stage], step > 0);
      if constexpr (kBug != HopperBug::no_wgmma_wait) isa::wgmma_wait<0>();
      if constexpr (kBug != HopperBug::early_release) release(stage);
    }
    isa::pin(sums_);
  }

  ALDER_DEVICE void write(const TensorMap& y) {
    const int g = static_cast<int>(isa::lane() / 4), t = static_cast<int>(isa::lane() % 4);
    ALDER_UNROLL
    for (int j = 0; j < Tile::kFilters / 8; ++j) {
      ALDER_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int pixel = static_cast<int>(isa::warp()) * 16 + half * 8 + g;
        isa::store(&shared_.y[pixel * Tile::kFilters + j * 8 + t * 2],
                   isa::F32x2{{sums_[j * 4 + half * 2], sums_[j * 4 + half * 2 + 1]}});
      }
    }
    if constexpr (kBug != HopperBug::no_proxy_fence) isa::fence_async_proxy();
    if constexpr (kBug != HopperBug::no_store_barrier) isa::barrier_sync(1, Tile::kConsumers);
    if (isa::thread() == 0) {
      isa::tma_store(y, shared_.y,
                     {static_cast<int>(isa::block_y()) * Tile::kFilters,
                      static_cast<int>(isa::block_x()) * Tile::kPixels});
      isa::bulk_store_commit();
      if constexpr (kBug != HopperBug::no_store_wait) isa::bulk_store_wait_read<0>();
    }
  }

 private:
  ALDER_DEVICE void release(int stage) {
    if constexpr (kBug != HopperBug::over_arrival) {
      if (isa::lane() != 0) return;
    }
    isa::mbarrier_arrive(shared_.empty[stage]);
  }

  ALDER_DEVICE void multiply(const Tile::Stage& stage, bool accumulate) {
    constexpr Swizzle kSwizzle = kBug == HopperBug::wrong_swizzle ? Swizzle::bytes64 : Swizzle::bytes128;
    const uint32_t x = isa::shared_address(stage.x), w = isa::shared_address(stage.w);
    if constexpr (kBug != HopperBug::no_wgmma_fence) isa::wgmma_fence();
    ALDER_UNROLL
    for (uint32_t k = 0; k < Tile::kDepth / 16; ++k) {
      isa::wgmma<Tile::kFilters>(sums_, isa::matrix_descriptor(x + k * 32, kSwizzle, 16, 8 * Tile::kRowBytes),
                                 isa::matrix_descriptor(w + k * 32, kSwizzle, 16, 8 * Tile::kRowBytes),
                                 accumulate || k > 0);
    }
    isa::wgmma_commit();
  }

  const HopperArguments& p_;
  Tile::Shared& shared_;
  const int slabs_, steps_;
  float sums_[Tile::kFilters / 2];
};

template <HopperBug kBug = HopperBug::none>
ALDER_KERNEL(HopperTile::kThreads, 1)
conv_sm90_kernel(HopperArguments arguments, ALDER_PARAMETER TensorMap x, ALDER_PARAMETER TensorMap w,
                 ALDER_PARAMETER TensorMap y) {
  if constexpr (isa::kHopper) {
    HopperBlock<kBug> block(arguments, isa::shared<HopperTile::Shared>());
    block.make_barriers();
    if (isa::thread() >= HopperTile::kConsumers) {
      if (isa::thread() == HopperTile::kConsumers) block.produce(x, w);
    } else {
      block.consume();
      block.write(y);
    }
  }
}

}  // namespace alder::ALDER_BACKEND::pipelines
