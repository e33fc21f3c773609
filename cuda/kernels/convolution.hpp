// Convolutions of a CIFAR network and the variants that compute them.
//
// Activations are NHWC, weights KRSC (filter, row, column, channel), both bf16 as raw 16-bit words, sums
// float32, weight gradients float32 KRSC. Square kernels of 1x1 without padding or 3x3 with padding 1, stride
// 1 or 2. All arrays start at a multiple of 16 bytes. A variant gives the same bits for the same problem on
// the same kind of device, always: no atomics on floating point, and sums in an order that the schedule of
// blocks cannot change.
//
//   forward          y[n,p,q,k]  = sum over r,s,c of x[n, p*stride-pad+r, q*stride-pad+s, c] * w[k,r,s,c]
//   data gradient    dx[n,h,w,c] = sum of dy[n,p,q,k] * w[k,r,s,c] over all (p,r), (q,s), k that met
//   x[n,h,w,c] weight gradient  dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] * x[n, p*stride-pad+r,
//   q*stride-pad+s, c]
//
// Threads: variants have no state; calls on different streams may run at once with different workspaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cuda/isa/backend.hpp"
#include "cuda/kernels/batch_statistics.hpp"
#include "cuda/kernels/workspace.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND::convolution {

struct Problem {
  int images = 1, height = 1, width = 1;  // of x
  int channels = 8, filters = 8;          // C, K
  int kernel = 3, stride = 1;

  ALDER_HOST_DEVICE int pad() const { return kernel / 2; }
  ALDER_HOST_DEVICE int taps() const { return kernel * kernel; }
  ALDER_HOST_DEVICE int out_height() const { return (height + 2 * pad() - kernel) / stride + 1; }
  ALDER_HOST_DEVICE int out_width() const { return (width + 2 * pad() - kernel) / stride + 1; }
  ALDER_HOST_DEVICE int in_pixels() const { return images * height * width; }
  ALDER_HOST_DEVICE int out_pixels() const { return images * out_height() * out_width(); }
  std::size_t x_values() const { return std::size_t(in_pixels()) * channels; }
  std::size_t y_values() const { return std::size_t(out_pixels()) * filters; }
  std::size_t weights() const { return std::size_t(filters) * taps() * channels; }
  double multiply_adds() const { return double(out_pixels()) * double(filters) * taps() * channels; }
};
std::string to_string(const Problem& problem);  // "3x3/2 64->128 on 16x32x32"

// Throws Error when the problem is none: kernel, stride or an extent out of range, or an activation of 2^31
// values or more.
void check(const Problem& problem);

enum class Direction : uint8_t { forward, data_gradient, weight_gradient };
std::string_view to_string(Direction direction);

// What may ride along with a convolution and save passes over memory. Where a variant does not say that it
// takes a part (Variant::fusions), that part of the arguments must be empty and the caller runs the kernel
// of its own.
struct Fusions {
  bool input_norm = false;  // forward, weight gradient: x is relu(scale * x + shift), applied on its way in
  bool addend = false;      // forward, data gradient: + addend, before the statistics
  bool statistics = false;  // forward
};

using alder::ALDER_BACKEND::Workspace;
using alder::ALDER_BACKEND::WorkspaceSize;

struct ForwardArguments {
  const uint16_t* x = nullptr;
  const uint16_t* weights = nullptr;
  uint16_t* y = nullptr;
  const uint16_t* addend = nullptr;  // shape of y; may be y. y = round(round(convolution) + addend)
  NormAffine input_norm;
  BatchStatistics statistics;
  Workspace workspace;
};

struct DataGradientArguments {
  const uint16_t* dy = nullptr;
  const uint16_t* weights = nullptr;
  uint16_t* dx = nullptr;
  const uint16_t* addend = nullptr;  // shape of dx; may be dx
  Workspace workspace;
};

struct WeightGradientArguments {
  const uint16_t* x = nullptr;
  const uint16_t* dy = nullptr;
  float* dw = nullptr;  // overwritten
  NormAffine input_norm;
  Workspace workspace;
};

class Variant {
 public:
  virtual ~Variant() = default;

  virtual std::string_view name() const = 0;  // the word of --conv-variant

  // Why it cannot do this, as the end of a sentence ("it needs stride 1"); empty: it can.
  virtual std::string refusal(const Problem& problem, Direction direction,
                              const DeviceProperties& device) const = 0;
  // Why, though it can, another one is expected to be quicker; empty: choose it.
  virtual std::string reservation(const Problem&, Direction, const DeviceProperties&) const { return {}; }

  // The rest is for what it does not refuse.
  virtual Fusions fusions(const Problem& problem, Direction direction) const = 0;
  virtual WorkspaceSize workspace(const Problem& problem, Direction direction,
                                  const DeviceProperties& device) const = 0;

  // Put the work on the stream. `device` is the stream's.
  virtual void forward(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                       const ForwardArguments& arguments) const = 0;
  virtual void data_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                             const DataGradientArguments& arguments) const = 0;
  virtual void weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                               const WeightGradientArguments& arguments) const = 0;
};

// All of them, the one expected to be quickest first.
std::span<const Variant* const> variants();

// By name. Throws UsageError for one that does not exist.
const Variant& find_variant(std::string_view name);

struct Choice {
  const Variant* variant = nullptr;
  std::string reason;  // "sm80 (hopper: it needs stride 1)"
};

// The first variant that neither refuses nor has a reservation; else the first that does not refuse.
// `preferred`, if not empty, comes before all others and is taken in spite of reservations. Throws UsageError
// when `preferred` does not exist, Error when no variant can do the problem.
Choice choose(const Problem& problem, Direction direction, const DeviceProperties& device,
              std::string_view preferred = {});

}  // namespace alder::ALDER_BACKEND::convolution
