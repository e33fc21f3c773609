#include "engine/convolution.hpp"

#include <algorithm>
#include <cstring>

#include "engine/aligned.hpp"
#include "engine/lanes.hpp"
#include "engine/weight_order.hpp"

namespace alder {

using dnnl::memory;

struct Convolution::Descriptions {
  memory::desc x, y, weights, bias;
  bool has_bias;
};

namespace {

using Tag = memory::format_tag;

int padded(int channels) {
  return static_cast<int>(round_up(static_cast<std::size_t>(channels), kLanes));
}

memory::desc any_layout(const memory::desc& desc, memory::data_type type) {
  return {desc.dims(), type, Tag::any};
}

// The three kinds of primitive differ in the order of their descriptions only. `Make(x, w, y)` returns a
// primitive description; taken is the one with the engine's own activation layout, or, where oneDNN has
// nothing but its reference loops for it (no AVX-512), the one with the layout that oneDNN likes best.
template <typename Make>
auto best(const memory::desc& x, const memory::desc& y, const Make& make) {
  const auto own = make(x, y);
  if (std::strncmp(own.impl_info_str(), "ref", 3) != 0) return own;
  return make(any_layout(x, x.data_type()), any_layout(y, y.data_type()));
}

}  // namespace

Convolution::Convolution(const Network& network, const Layer& layer, Precision precision)
    : layer_(layer), from_pictures_(layer.input == 0), precision_(precision) {
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
  const memory::data_type type =
      precision_ == Precision::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
  const memory::data_type f32 = memory::data_type::f32;
  const int in = from_pictures_ ? in_ : padded(in_), out = padded(layer_.channels), kernel = layer_.kernel;
  const memory::desc x({batch, in, height_, width_}, type, from_pictures_ ? Tag::nchw : Tag::nChw16c);
  const memory::desc y({batch, out, layer_.height, layer_.width}, type, Tag::nChw16c);
  const memory::desc weights({out, in, kernel, kernel}, f32, from_pictures_ ? Tag::oihw : Tag::OIhw16i16o);
  const memory::desc bias = layer_.bias < 0 ? memory::desc() : memory::desc({out}, f32, Tag::a);
  const memory::dims strides{layer_.stride, layer_.stride}, padding{layer_.padding, layer_.padding};
  // The last row and column of padding may go unread where the stride does not divide.
  const auto end_padding = [&](int size, int outputs) {
    return memory::dim{(outputs - 1) * layer_.stride + kernel - size - layer_.padding};
  };
  const memory::dims padding_end{end_padding(height_, layer_.height), end_padding(width_, layer_.width)};
  const auto algorithm = dnnl::algorithm::convolution_direct;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);

  const auto forward = best(x, y, [&](const memory::desc& from, const memory::desc& to) {
    return dnnl::convolution_forward::primitive_desc(
        {dnnl::prop_kind::forward_training, algorithm, from, any_layout(weights, type), bias, to, strides,
         padding, padding_end},
        attributes, engine);
  });
  Batch made;
  made.implementations = forward.impl_info_str();
  made.forward = Operation(engine, dnnl::convolution_forward(forward), forward.scratchpad_desc());
  made.forward.input(DNNL_ARG_SRC, x, forward.src_desc());
  made.forward.input(DNNL_ARG_WEIGHTS, weights, forward.weights_desc());
  made.forward.output(DNNL_ARG_DST, y, forward.dst_desc());
  if (layer_.bias >= 0) made.forward.input(DNNL_ARG_BIAS, bias, bias);

  if (!from_pictures_) {
    const auto backward = best(x, y, [&](const memory::desc& from, const memory::desc& to) {
      return dnnl::convolution_backward_data::primitive_desc(
          {algorithm, from, any_layout(weights, type), to, strides, padding, padding_end}, attributes, engine,
          forward);
    });
    made.implementations += std::string(", ") + backward.impl_info_str();
    made.input_gradient =
        Operation(engine, dnnl::convolution_backward_data(backward), backward.scratchpad_desc());
    made.input_gradient.input(DNNL_ARG_DIFF_DST, y, backward.diff_dst_desc());
    made.input_gradient.input(DNNL_ARG_WEIGHTS, weights, backward.weights_desc());
    made.input_gradient.output(DNNL_ARG_DIFF_SRC, x, backward.diff_src_desc());
  }

  const auto backward = best(x, y, [&](const memory::desc& from, const memory::desc& to) {
    return dnnl::convolution_backward_weights::primitive_desc(
        {algorithm, from, any_layout(weights, f32), bias, to, strides, padding, padding_end}, attributes,
        engine, forward);
  });
  made.implementations += std::string(", ") + backward.impl_info_str();
  made.weight_gradient =
      Operation(engine, dnnl::convolution_backward_weights(backward), backward.scratchpad_desc());
  made.weight_gradient.input(DNNL_ARG_SRC, x, backward.src_desc());
  made.weight_gradient.input(DNNL_ARG_DIFF_DST, y, backward.diff_dst_desc());
  made.weight_gradient.output(DNNL_ARG_DIFF_WEIGHTS, weights, backward.diff_weights_desc());
  if (layer_.bias >= 0) made.weight_gradient.output(DNNL_ARG_DIFF_BIAS, bias, bias);
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
