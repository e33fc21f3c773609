#include "cuda/kernels/sm90/variant.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "cuda/kernels/convolution_variants.hpp"
#include "cuda/kernels/sm90/patches.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace sm90 {
namespace {

// Of the multiprocessors' time; below it, the smaller tiles of other variants win in spite of slower
// products.
constexpr double kLeastUse = 0.45;

Patches patches_of(const Problem& problem, Direction direction) {
  return make_patches(
      problem, direction == Direction::forward ? forward_lattices(problem) : data_gradient_lattices(problem));
}

}  // namespace

double PatchCut::time(int patches) const {
  return static_cast<double>(blocks_for(patches, blocks_each)) * columns / speed;
}

// The one with which the busiest multiprocessor is done first.
PatchCut choose_cut(int patches, int channels, const DeviceProperties& device) {
  // 64 columns keep the port of shared memory busy all the time: 16 bytes of pixels and 16 of weights a
  // cycle.
  static constexpr std::array kCuts = {PatchCut{160, 2, 1.0}, PatchCut{128, 1, 1.0}, PatchCut{64, 1, 0.85}};
  PatchCut best{};
  for (PatchCut cut : kCuts) {
    cut.column_blocks = blocks_for(channels, cut.columns);
    cut.blocks_each = std::clamp(device.multiprocessors / cut.column_blocks, 1, patches);
    if (best.columns == 0 || cut.time(patches) < best.time(patches)) best = cut;
  }
  return best;
}

double patch_use(const Problem& problem, Direction direction, const DeviceProperties& device) {
  const bool is_forward = direction == Direction::forward;
  const int channels = is_forward ? problem.filters : problem.channels;
  const int pixels = is_forward ? problem.out_pixels() : problem.in_pixels();
  const int patches = patches_of(problem, direction).count;
  const double full = double(pixels) / kPatchRows * channels / device.multiprocessors;
  return full / choose_cut(patches, channels, device).time(patches);
}

}  // namespace sm90

namespace {

class Sm90 final : public Variant {
 public:
  std::string_view name() const override { return "sm90"; }

  std::string refusal(const Problem& p, Direction direction, const DeviceProperties& device) const override {
    if (device.capability / 10 != 9) return "it needs compute capability 9.0";
    if (p.filters % 8 != 0) return fmt::format("it needs filters in eights, not {}", p.filters);
    if (p.channels % 8 != 0) return fmt::format("it needs channels in eights, not {}", p.channels);
    if (direction == Direction::weight_gradient && !sm90::has_weight_gradient(p)) {
      return "its weight gradient needs 3x3 with stride 1 on maps that fill 8x8 or 16x16 pixels";
    }
    return {};
  }

  std::string reservation(const Problem& p, Direction direction,
                          const DeviceProperties& device) const override {
    const double use = direction == Direction::weight_gradient ? sm90::weight_gradient_use(p, device)
                                                               : sm90::patch_use(p, direction, device);
    if (use >= sm90::kLeastUse) return {};
    return fmt::format("its tiles would use {:.0f} % of the multiprocessors", 100 * use);
  }

  Fusions fusions(const Problem&, Direction direction) const override {
    switch (direction) {
      case Direction::forward:
        return {.input_norm = true, .addend = true, .statistics = true};
      case Direction::data_gradient:
        return {.addend = true};
      case Direction::weight_gradient:
        return {.input_norm = true};
    }
    return {};
  }

  WorkspaceSize workspace(const Problem& p, Direction direction,
                          const DeviceProperties& device) const override {
    switch (direction) {
      case Direction::forward:
        return sm90::forward_workspace(device, p);
      case Direction::data_gradient:
        return {};
      case Direction::weight_gradient:
        return sm90::weight_gradient_workspace(device, p);
    }
    return {};
  }

  void forward(const Stream& stream, const DeviceProperties& device, const Problem& p,
               const ForwardArguments& arguments) const override {
    sm90::forward(stream, device, p, arguments);
  }
  void data_gradient(const Stream& stream, const DeviceProperties& device, const Problem& p,
                     const DataGradientArguments& arguments) const override {
    sm90::data_gradient(stream, device, p, arguments);
  }
  void weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& p,
                       const WeightGradientArguments& arguments) const override {
    sm90::weight_gradient(stream, device, p, arguments);
  }
};

}  // namespace

const Variant& sm90_variant() {
  static const Sm90 variant;
  return variant;
}

}  // namespace alder::ALDER_BACKEND::convolution
