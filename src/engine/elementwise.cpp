#include "engine/elementwise.hpp"

#include "engine/parallel.hpp"
#include "engine/simd.hpp"

namespace alder {
namespace {

constexpr int64_t kGrain = 16384;  // values: a part too small to be worth a thread

template <typename T, typename Value>
void write_all(int64_t values, int threads, T* to, const Value& value) {
  parallel_ranges(threads, values, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += kLanes) store(to + at, value(at));
  });
}

}  // namespace

template <typename T>
void relu(int64_t values, int threads, const T* x, T* y) {
  write_all(values, threads, y, [x](int64_t at) { return positive_part(load(x + at)); });
}

template <typename T>
void relu_gradient(int64_t values, int threads, const T* y, const T* gradient, const T* gradient2, T* dx) {
  if (gradient2 == nullptr) {
    write_all(values, threads, dx,
              [=](int64_t at) { return where_positive(load(y + at), load(gradient + at)); });
  } else {
    write_all(values, threads, dx, [=](int64_t at) {
      return where_positive(load(y + at), load(gradient + at) + load(gradient2 + at));
    });
  }
}

template <typename T>
void add(int64_t values, int threads, const T* a, const T* b, T* sum) {
  write_all(values, threads, sum, [=](int64_t at) { return load(a + at) + load(b + at); });
}

void round_to_bf16(int64_t values, int threads, const float* from, BFloat16* to) {
  const int64_t whole = values / kLanes * kLanes;
  write_all(whole, threads, to, [from](int64_t at) { return load(from + at); });
  if (whole == values) return;
  float rest[kLanes] = {};
  BFloat16 rounded[kLanes];
  for (int64_t i = whole; i < values; ++i) rest[i - whole] = from[i];
  store(rounded, load(rest));
  for (int64_t i = whole; i < values; ++i) to[i] = rounded[i - whole];
}

#define ALDER_INSTANTIATE(T)                                                   \
  template void relu(int64_t, int, const T*, T*);                              \
  template void relu_gradient(int64_t, int, const T*, const T*, const T*, T*); \
  template void add(int64_t, int, const T*, const T*, T*);
ALDER_INSTANTIATE(float)
ALDER_INSTANTIATE(BFloat16)
#undef ALDER_INSTANTIATE

}  // namespace alder
