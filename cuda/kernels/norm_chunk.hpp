// Batch norm and ReLU on a convolution's input, on its way in: each thread treats the chunks that it has
// itself copied to shared memory, before it shows them to others.
#pragma once

#include "cuda/isa/isa.hpp"
#include "cuda/kernels/result_tile.hpp"

namespace alder::ALDER_BACKEND {

// scale and shift of eight neighbouring channels.
class NormOctet {
 public:
  ALDER_DEVICE NormOctet(const NormAffine& norm, int channel) {
    ALDER_UNROLL
    for (int half = 0; half < 2; ++half) {
      const auto scale = isa::load<isa::F32x4, isa::Cache::read_only>(norm.scale + channel + half * 4);
      const auto shift = isa::load<isa::F32x4, isa::Cache::read_only>(norm.shift + channel + half * 4);
      ALDER_UNROLL
      for (int i = 0; i < 4; ++i) {
        scale_[half * 4 + i] = scale[i];
        shift_[half * 4 + i] = shift[i];
      }
    }
  }

  // chunk = round(relu(scale * chunk + shift)), in place. The same bits as from a pass of its own over
  // memory.
  ALDER_DEVICE void apply(void* chunk) const {
    Octet octet = Octet::unpack(isa::load<isa::U32x4>(chunk));
    ALDER_UNROLL
    for (int i = 0; i < 8; ++i) {
      const float y = isa::fused_multiply_add(scale_[i], octet.v[i], shift_[i]);
      octet.v[i] = y < 0 ? 0 : y;  // NaN stays NaN
    }
    isa::store(chunk, octet.pack());
  }

 private:
  float scale_[8], shift_[8];
};

}  // namespace alder::ALDER_BACKEND
