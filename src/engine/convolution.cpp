#include "engine/convolution.hpp"

#include <algorithm>
#include <cstring>

#include "engine/aligned.hpp"
#include "engine/lanes.hpp"
#include "engine/weight_order.hpp"

namespace alder {

using dnnl::memory;

namespace {

using Tag = memory::format_tag;

// Whether Winograd's algorithm F(4x4, 3x3) pays. Its transforms need some channels to amortise them: in
// float32 (oneDNN 2.6, Zen 4, GFLOP/s forward) 92 instead of 89 with 16 channels, 218 instead of 127 with 32,
// 287 instead of 123 with 128. oneDNN has it in float32 only, so bf16 activations are converted for it, and
// bf16's direct kernels are twice as fast: there it takes more channels, and a map larger than one tile.
bool winograd_pays(bool rounded, int channels, int height, int width) {
  return rounded ? channels >= 128 && std::min(height, width) >= 8 : channels >= 32;
}

int padded(int channels) {
  return static_cast<int>(round_up(static_cast<std::size_t>(channels), kLanes));
}

memory::desc any_layout(const memory::desc& desc, memory::data_type type) {
  return {desc.dims(), type, Tag::any};
}

memory::desc in_float32(const memory::desc& desc) {
  return {desc.dims(), memory::data_type::f32, Tag::nChw16c};
}

// One convolution's tensors as the engine gives them, and the three operations on them.
struct Maker {
  dnnl::engine engine;
  memory::desc x, y, weights, bias;  // bias: empty if there is none
  memory::dims strides, padding, padding_end;
  bool winograd;
  dnnl::primitive_attr attributes;
  std::string implementations;

  bool has_bias() const { return bias.data.ndims != 0; }

  // `make(algorithm, x, y)` returns a primitive description of one of the three kinds. Taken is Winograd's
  // algorithm where it is wanted and there is one; else direct convolution with the engine's own activation
  // layout; else, where oneDNN has nothing but its reference loops for that (no AVX-512), with the
  // layout that it likes best.
  template <typename Make>
  auto best(const Make& make) {
    const auto direct = [&] {
      const auto own = make(dnnl::algorithm::convolution_direct, x, y);
      if (std::strncmp(own.impl_info_str(), "ref", 3) != 0) return own;
      return make(dnnl::algorithm::convolution_direct, any_layout(x, x.data_type()),
                  any_layout(y, y.data_type()));
    };
    const auto chosen = [&] {
      if (!winograd) return direct();
      try {
        // Winograd's algorithm computes in float32; the operation converts bf16 activations for it.
        return make(dnnl::algorithm::convolution_winograd, in_float32(x), in_float32(y));
      } catch (const dnnl::error&) {  // not implemented for this shape or CPU
        return direct();
      }
    }();
    implementations += (implementations.empty() ? "" : ", ") + std::string(chosen.impl_info_str());
    return chosen;
  }

  dnnl::convolution_forward::primitive_desc describe_forward() {
    return best([this](dnnl::algorithm algorithm, const memory::desc& from, const memory::desc& to) {
      return dnnl::convolution_forward::primitive_desc(
          {dnnl::prop_kind::forward_training, algorithm, from, any_layout(weights, from.data_type()), bias,
           to, strides, padding, padding_end},
          attributes, engine);
    });
  }

  Operation forward(const dnnl::convolution_forward::primitive_desc& chosen) const {
    Operation operation(engine, dnnl::convolution_forward(chosen), chosen.scratchpad_desc());
    operation.input(DNNL_ARG_SRC, x, chosen.src_desc());
    operation.input(DNNL_ARG_WEIGHTS, weights, chosen.weights_desc());
    operation.output(DNNL_ARG_DST, y, chosen.dst_desc());
    if (has_bias()) operation.input(DNNL_ARG_BIAS, bias, bias);
    return operation;
  }

  Operation input_gradient(const dnnl::convolution_forward::primitive_desc& hint) {
    const auto chosen =
        best([&](dnnl::algorithm algorithm, const memory::desc& from, const memory::desc& to) {
          return dnnl::convolution_backward_data::primitive_desc(
              {algorithm, from, any_layout(weights, from.data_type()), to, strides, padding, padding_end},
              attributes, engine, hint);
        });
    Operation operation(engine, dnnl::convolution_backward_data(chosen), chosen.scratchpad_desc());
    operation.input(DNNL_ARG_DIFF_DST, y, chosen.diff_dst_desc());
    operation.input(DNNL_ARG_WEIGHTS, weights, chosen.weights_desc());
    operation.output(DNNL_ARG_DIFF_SRC, x, chosen.diff_src_desc());
    return operation;
  }

  Operation weight_gradient(const dnnl::convolution_forward::primitive_desc& hint) {
    const auto chosen =
        best([&](dnnl::algorithm algorithm, const memory::desc& from, const memory::desc& to) {
          return dnnl::convolution_backward_weights::primitive_desc(
              {algorithm, from, any_layout(weights, memory::data_type::f32), bias, to, strides, padding,
               padding_end},
              attributes, engine, hint);
        });
    Operation operation(engine, dnnl::convolution_backward_weights(chosen), chosen.scratchpad_desc());
    operation.input(DNNL_ARG_SRC, x, chosen.src_desc());
    operation.input(DNNL_ARG_DIFF_DST, y, chosen.diff_dst_desc());
    operation.output(DNNL_ARG_DIFF_WEIGHTS, weights, chosen.diff_weights_desc());
    if (has_bias()) operation.output(DNNL_ARG_DIFF_BIAS, bias, bias);
    return operation;
  }
};

}  // namespace

Convolution::Convolution(const Network& network, const Layer& layer, Precision precision, bool winograd)
    : layer_(layer), from_pictures_(layer.input == 0), precision_(precision), winograd_(winograd) {
  const Layer& source = network.layers[static_cast<std::size_t>(layer.input)];
  in_ = source.channels;
  height_ = source.height;
  width_ = source.width;
  weights_ = network.parameters[static_cast<std::size_t>(layer.weight)].offset;
  bias_ = layer.bias < 0 ? 0 : network.parameters[static_cast<std::size_t>(layer.bias)].offset;
  in_place_ = stored_blocked(network, layer) || (from_pictures_ && layer.channels % kLanes == 0);
  const WeightShape shape{padded(layer.channels), from_pictures_ ? in_ : padded(in_),
                          layer.kernel * layer.kernel};
  weight_elements_ = static_cast<std::size_t>(shape.out) * static_cast<std::size_t>(shape.in) *
                     static_cast<std::size_t>(shape.taps);
}

std::size_t Convolution::staging_bytes() const {
  return in_place_ ? 0 : round_up(weight_elements_ * sizeof(float), kAlignment);
}

std::size_t Convolution::prepare(const dnnl::engine& engine, int batch) {
  auto found = batches_.find(batch);
  if (found == batches_.end()) found = batches_.emplace(batch, make(engine, batch)).first;
  const Batch& made = found->second;
  return staging_bytes() + std::max({made.forward.scratch_bytes(), made.input_gradient.scratch_bytes(),
                                     made.weight_gradient.scratch_bytes()});
}

Convolution::Batch Convolution::make(const dnnl::engine& engine, int batch) const {
  const memory::data_type f32 = memory::data_type::f32;
  const memory::data_type type = precision_ == Precision::bf16 ? memory::data_type::bf16 : f32;
  const int in = from_pictures_ ? in_ : padded(in_), out = padded(layer_.channels), kernel = layer_.kernel;
  // The last row and column of padding may go unread where the stride does not divide.
  const auto end_padding = [&](int size, int outputs) {
    return memory::dim{(outputs - 1) * layer_.stride + kernel - size - layer_.padding};
  };
  Maker maker{.engine = engine,
              .x = {{batch, in, height_, width_}, type, from_pictures_ ? Tag::nchw : Tag::nChw16c},
              .y = {{batch, out, layer_.height, layer_.width}, type, Tag::nChw16c},
              .weights = {{out, in, kernel, kernel}, f32, from_pictures_ ? Tag::oihw : Tag::OIhw16i16o},
              .bias = layer_.bias < 0 ? memory::desc() : memory::desc({out}, f32, Tag::a),
              .strides = {layer_.stride, layer_.stride},
              .padding = {layer_.padding, layer_.padding},
              .padding_end = {end_padding(height_, layer_.height), end_padding(width_, layer_.width)},
              .winograd = winograd_ && kernel == 3 && layer_.stride == 1 && !from_pictures_ &&
                          winograd_pays(type != f32, std::min(in, out), height_, width_)};
  maker.attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);

  Batch made;
  const auto forward = maker.describe_forward();
  made.forward = maker.forward(forward);
  if (!from_pictures_) made.input_gradient = maker.input_gradient(forward);
  made.weight_gradient = maker.weight_gradient(forward);
  made.implementations = maker.implementations;
  return made;
}

const float* Convolution::staged(const Lane& lane, const float* weights) const {
  if (in_place_) return weights;
  auto* staging = reinterpret_cast<float*>(lane.scratch);
  const int taps = layer_.kernel * layer_.kernel;
  if (from_pictures_) {  // more outputs of the same plain order
    float* end = std::copy_n(weights, layer_.channels * in_ * taps, staging);
    std::fill(end, staging + weight_elements_, 0.0F);
  } else {
    block_weights({layer_.channels, in_, taps}, weights, staging);
  }
  return staging;
}

void Convolution::forward(const Lane& lane, int batch, const float* model, const void* x, void* y) {
  const float* weights = staged(lane, model + weights_);
  Lane rest = lane;
  rest.scratch += staging_bytes();
  batches_.at(batch).forward.run(rest, {x, weights, y, model + bias_});
}

void Convolution::input_gradient(const Lane& lane, int batch, const float* model, const void* dy, void* dx) {
  const float* weights = staged(lane, model + weights_);
  Lane rest = lane;
  rest.scratch += staging_bytes();
  batches_.at(batch).input_gradient.run(rest, {dy, weights, dx});
}

void Convolution::weight_gradient(const Lane& lane, int batch, const void* x, const void* dy,
                                  float* gradients) {
  Lane rest = lane;
  rest.scratch += staging_bytes();
  auto* target = in_place_ ? gradients + weights_ : reinterpret_cast<float*>(lane.scratch);
  batches_.at(batch).weight_gradient.run(rest, {x, dy, target, gradients + bias_});
  if (in_place_) return;
  if (from_pictures_) {
    std::copy_n(target, layer_.channels * in_ * layer_.kernel * layer_.kernel, gradients + weights_);
  } else {
    unblock_weights({layer_.channels, in_, layer_.kernel * layer_.kernel}, target, gradients + weights_);
  }
}

std::string Convolution::implementations() const {
  return batches_.empty() ? std::string() : batches_.begin()->second.implementations;
}

}  // namespace alder
