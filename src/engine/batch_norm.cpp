#include "engine/batch_norm.hpp"

#include <cmath>

#include "engine/parallel.hpp"
#include "engine/simd.hpp"

namespace alder {
namespace {

// Two running sums of sixteen channels, four-fold so that the adder's latency is hidden.
struct Sums {
  Floats first[4] = {}, second[4] = {};

  void write(float* to) const {
    store(to, (first[0] + first[1]) + (first[2] + first[3]));
    store(to + kLanes, (second[0] + second[1]) + (second[2] + second[3]));
  }
};

// Calls body(pixel, slot) for every pixel with slot = pixel mod 4 known at compile time.
template <typename Body>
[[gnu::always_inline]] inline void for_pixels(int pixels, const Body& body) {
  int p = 0;
  for (; p + 4 <= pixels; p += 4) {
    body(p, 0);
    body(p + 1, 1);
    body(p + 2, 2);
    body(p + 3, 3);
  }
  for (; p < pixels; ++p) body(p, 0);
}

// Adds up the partial sums of one block over the images; in double, in the images' order.
void add_images(const BlockedShape& shape, int block, const float* partial, double* first, double* second) {
  for (int lane = 0; lane < kLanes; ++lane) first[lane] = second[lane] = 0;
  for (int n = 0; n < shape.images; ++n) {
    const float* sums = partial + (int64_t{n} * shape.blocks + block) * 2 * kLanes;
    for (int lane = 0; lane < kLanes; ++lane) {
      first[lane] += sums[lane];
      second[lane] += sums[kLanes + lane];
    }
  }
}

// relu' for the three ways of knowing where the ReLU let pass.
enum class Gate { open, recomputed, output };

template <Gate gate, typename T>
[[gnu::always_inline]] inline Floats pass(Floats gradient, Floats x, Floats scale, Floats shift, const T* y) {
  if constexpr (gate == Gate::recomputed) return where_positive(scale * x + shift, gradient);
  if constexpr (gate == Gate::output) return where_positive(load(y), gradient);
  return gradient;
}

template <typename T, Gate gate, bool two, bool join>
void gradient_sums(const BlockedShape& shape, int threads, const NormGradient<T>& in, const float* mean,
                   const float* scale, const float* shift, float* partial) {
  parallel_for(shape.useful_threads(threads), int64_t{shape.images} * shape.blocks, [&](int64_t i) {
    const int channel = static_cast<int>(i % shape.blocks) * kLanes;
    const Floats centre = load(mean + channel), a = load(scale + channel), b = load(shift + channel);
    const int64_t at = i * shape.pixels * kLanes;
    Sums sums;
    for_pixels(
        shape.pixels, [&](int p, int slot) __attribute__((always_inline)) {
          const int64_t here = at + int64_t{p} * kLanes;
          const Floats x = load(in.x + here);
          Floats g = load(in.gradient + here);
          if constexpr (two) g += load(in.gradient2 + here);
          g = pass<gate>(g, x, a, b, gate == Gate::output ? in.y + here : nullptr);
          if constexpr (join) store(in.joined + here, g);
          sums.first[slot] += g;
          sums.second[slot] += g * (x - centre);
        });
    sums.write(partial + i * 2 * kLanes);
  });
}

template <typename T, Gate gate>
void choose_gradient_sums(const BlockedShape& shape, int threads, const NormGradient<T>& in,
                          const float* mean, const float* scale, const float* shift, float* partial) {
  const auto run = in.joined == nullptr      ? gradient_sums<T, gate, false, false>
                   : in.gradient2 == nullptr ? gradient_sums<T, gate, false, true>
                                             : gradient_sums<T, gate, true, true>;
  run(shape, threads, in, mean, scale, shift, partial);
}

template <typename T>
Gate gate_of(const NormGradient<T>& in) {
  return !in.relu ? Gate::open : in.y == nullptr ? Gate::recomputed : Gate::output;
}

}  // namespace

template <typename T>
void batch_statistics(const BlockedShape& shape, int threads, const T* x, float* partial, float* mean,
                      float* var) {
  parallel_for(shape.useful_threads(threads), int64_t{shape.images} * shape.blocks, [&](int64_t i) {
    const Floats centre = load(x + i % shape.blocks * shape.pixels * kLanes);
    const T* from = x + i * shape.pixels * kLanes;
    Sums sums;
    for_pixels(
        shape.pixels, [&](int p, int slot) __attribute__((always_inline)) {
          const Floats value = load(from + int64_t{p} * kLanes) - centre;
          sums.first[slot] += value;
          sums.second[slot] += value * value;
        });
    sums.write(partial + i * 2 * kLanes);
  });
  const double count = static_cast<double>(shape.images) * shape.pixels;
  for (int block = 0; block < shape.blocks; ++block) {
    double first[kLanes], second[kLanes];
    add_images(shape, block, partial, first, second);
    for (int lane = 0; lane < kLanes; ++lane) {
      const double centre = to_float(x[int64_t{block} * shape.pixels * kLanes + lane]);
      const double offset = first[lane] / count;
      mean[block * kLanes + lane] = static_cast<float>(centre + offset);
      var[block * kLanes + lane] = static_cast<float>(std::fmax(second[lane] / count - offset * offset, 0));
    }
  }
}

void fold_statistics(int blocks, const float* gamma, const float* beta, const float* mean, const float* var,
                     float* scale, float* shift) {
  for (int c = 0; c < blocks * kLanes; ++c) {
    scale[c] = gamma[c] / std::sqrt(var[c] + kBatchNormEpsilon);
    shift[c] = beta[c] - scale[c] * mean[c];
  }
}

template <typename T>
void normalise(const BlockedShape& shape, int threads, const T* x, const T* residual, bool relu,
               const float* scale, const float* shift, T* y) {
  const auto run = [&](const auto& combine) {
    parallel_for(shape.useful_threads(threads), int64_t{shape.images} * shape.blocks, [&](int64_t i) {
      const int channel = static_cast<int>(i % shape.blocks) * kLanes;
      const Floats a = load(scale + channel), b = load(shift + channel);
      const int64_t begin = i * shape.pixels * kLanes, end = begin + int64_t{shape.pixels} * kLanes;
      for (int64_t at = begin; at < end; at += kLanes) store(y + at, combine(a * load(x + at) + b, at));
    });
  };
  if (residual != nullptr && relu) {
    run([residual](Floats value, int64_t at) { return positive_part(value + load(residual + at)); });
  } else if (residual != nullptr) {
    run([residual](Floats value, int64_t at) { return value + load(residual + at); });
  } else if (relu) {
    run([](Floats value, int64_t) { return positive_part(value); });
  } else {
    run([](Floats value, int64_t) { return value; });
  }
}

template <typename T>
void norm_gradient_sums(const BlockedShape& shape, int threads, const NormGradient<T>& in, const float* mean,
                        const float* var, const float* scale, const float* shift, float* partial,
                        float* gamma_gradient, float* beta_gradient) {
  const Gate gate = gate_of(in);
  const auto run = gate == Gate::open         ? choose_gradient_sums<T, Gate::open>
                   : gate == Gate::recomputed ? choose_gradient_sums<T, Gate::recomputed>
                                              : choose_gradient_sums<T, Gate::output>;
  run(shape, threads, in, mean, scale, shift, partial);
  for (int block = 0; block < shape.blocks; ++block) {
    double first[kLanes], second[kLanes];
    add_images(shape, block, partial, first, second);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int channel = block * kLanes + lane;
      beta_gradient[channel] = static_cast<float>(first[lane]);
      gamma_gradient[channel] =
          static_cast<float>(second[lane] / std::sqrt(double{var[channel]} + kBatchNormEpsilon));
    }
  }
}

// dx = scale * (g - mean(g) - xhat * mean(g * xhat)), written as scale * g + slope * x + rest.
template <typename T>
void norm_gradient_apply(const BlockedShape& shape, int threads, const NormGradient<T>& in, const float* mean,
                         const float* var, const float* scale, const float* shift,
                         const float* gamma_gradient, const float* beta_gradient, const T* addend, T* dx) {
  const T* gradient = in.joined != nullptr ? in.joined : in.gradient;
  const float count = static_cast<float>(shape.images) * static_cast<float>(shape.pixels);
  const auto run = [&](const auto& gated, const auto& finish) {
    parallel_for(shape.useful_threads(threads), int64_t{shape.images} * shape.blocks, [&](int64_t i) {
      const int channel = static_cast<int>(i % shape.blocks) * kLanes;
      const Floats a = load(scale + channel), b = load(shift + channel);
      Floats slope, rest;
      for (int lane = 0; lane < kLanes; ++lane) {
        const int c = channel + lane;
        slope[lane] = -scale[c] * gamma_gradient[c] / std::sqrt(var[c] + kBatchNormEpsilon) / count;
        rest[lane] = -scale[c] * beta_gradient[c] / count - slope[lane] * mean[c];
      }
      const int64_t begin = i * shape.pixels * kLanes, end = begin + int64_t{shape.pixels} * kLanes;
      for (int64_t at = begin; at < end; at += kLanes) {
        const Floats x = load(in.x + at);
        const Floats g = gated(a * x + b, load(gradient + at));
        store(dx + at, finish(a * g + (slope * x + rest), at));
      }
    });
  };
  const auto open = [](Floats, Floats g) { return g; };
  const auto through_relu = [](Floats y, Floats g) { return where_positive(y, g); };
  const auto same = [](Floats value, int64_t) { return value; };
  const auto plus = [addend](Floats value, int64_t at) { return value + load(addend + at); };
  if (in.relu && in.joined == nullptr) {
    if (addend == nullptr) {
      run(through_relu, same);
    } else {
      run(through_relu, plus);
    }
  } else if (addend == nullptr) {
    run(open, same);
  } else {
    run(open, plus);
  }
}

#define ALDER_INSTANTIATE(T)                                                                              \
  template void batch_statistics(const BlockedShape&, int, const T*, float*, float*, float*);             \
  template void normalise(const BlockedShape&, int, const T*, const T*, bool, const float*, const float*, \
                          T*);                                                                            \
  template void norm_gradient_sums(const BlockedShape&, int, const NormGradient<T>&, const float*,        \
                                   const float*, const float*, const float*, float*, float*, float*);     \
  template void norm_gradient_apply(const BlockedShape&, int, const NormGradient<T>&, const float*,       \
                                    const float*, const float*, const float*, const float*, const float*, \
                                    const T*, T*);
ALDER_INSTANTIATE(float)
ALDER_INSTANTIATE(BFloat16)
#undef ALDER_INSTANTIATE

}  // namespace alder
