#include "cuda/kernels/sm80/variant.hpp"

#include "base/error.hpp"
#include "cuda/kernels/convolution_variants.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace {

class Sm80 final : public Variant {
 public:
  std::string_view name() const override { return "sm80"; }

  std::string refusal(const Problem& p, Direction direction, const DeviceProperties& device) const override {
    if (device.capability < 80) return "it needs compute capability 8.0";
    if (p.filters % 8 != 0) return fmt::format("it needs filters in eights, not {}", p.filters);
    if (sm80::is_stem(p)) {
      return direction == Direction::data_gradient ? "it has no gradient of three channels" : "";
    }
    return p.channels % 8 != 0 ? fmt::format("it needs channels in eights, not {}", p.channels) : "";
  }

  Fusions fusions(const Problem& p, Direction direction) const override {
    // With nine taps each value would be normalised nine times; a pass of its own costs less.
    const bool input_norm = p.kernel == 1;
    switch (direction) {
      case Direction::forward:
        return {.input_norm = input_norm, .addend = true, .statistics = true};
      case Direction::data_gradient:
        return {.addend = true};
      case Direction::weight_gradient:
        return {.input_norm = input_norm};
    }
    return {};
  }

  WorkspaceSize workspace(const Problem& p, Direction direction,
                          const DeviceProperties& device) const override {
    switch (direction) {
      case Direction::forward:
        return sm80::is_stem(p) ? sm80::stem_forward_workspace(p) : sm80::forward_workspace(device, p);
      case Direction::data_gradient:
        return {};
      case Direction::weight_gradient:
        return sm80::is_stem(p) ? sm80::stem_weight_gradient_workspace(device, p)
                                : sm80::weight_gradient_workspace(device, p);
    }
    return {};
  }

  void forward(const Stream& stream, const DeviceProperties& device, const Problem& p,
               const ForwardArguments& arguments) const override {
    sm80::is_stem(p) ? sm80::stem_forward(stream, p, arguments) : sm80::forward(stream, device, p, arguments);
  }
  void data_gradient(const Stream& stream, const DeviceProperties& device, const Problem& p,
                     const DataGradientArguments& arguments) const override {
    sm80::data_gradient(stream, device, p, arguments);
  }
  void weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& p,
                       const WeightGradientArguments& arguments) const override {
    sm80::is_stem(p) ? sm80::stem_weight_gradient(stream, device, p, arguments)
                     : sm80::weight_gradient(stream, device, p, arguments);
  }
};

}  // namespace

const Variant& sm80_variant() {
  static const Sm80 variant;
  return variant;
}

}  // namespace alder::ALDER_BACKEND::convolution
