#include "cuda/engine/passes.hpp"

#include "cuda/kernels/elementwise.hpp"
#include "cuda/kernels/norm_apply.hpp"
#include "cuda/kernels/norm_backward.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using convolution::Direction;

// What both ways need of the network, the plan and the arrays.
class Pass {
 public:
  Pass(const Stream& stream, const Network& network, const DeviceProgram& program, const BatchPlan& plan,
       const PassArrays& arrays)
      : stream_(stream), network_(network), program_(program), plan_(plan), arrays_(arrays) {}

 protected:
  const Layer& layer(int index) const { return network_.layers[static_cast<std::size_t>(index)]; }
  const Instruction& forward_step(int k) const {
    return program_.program.forward[static_cast<std::size_t>(k)];
  }
  const ForwardLinks& links(int k) const { return program_.forward[static_cast<std::size_t>(k)]; }
  bool folded(int k) const { return k != kNone && plan_.folded[static_cast<std::size_t>(k)]; }
  int pixels(const Layer& of) const { return plan_.batch * of.height * of.width; }

  uint16_t* at(int buffer) const {
    if (buffer == kNone) return nullptr;
    return reinterpret_cast<uint16_t*>(arrays_.arena + plan_.offsets[static_cast<std::size_t>(buffer)]);
  }
  Workspace workspace() const { return {arrays_.arena + plan_.activation_bytes, arrays_.counters}; }

  std::size_t offset(int parameter) const {
    return network_.parameters[static_cast<std::size_t>(parameter)].offset;
  }
  const uint16_t* weights(const Layer& convolution) const {
    return arrays_.weights + offset(convolution.weight);
  }
  // The bias of the convolution at instruction k, if it is added at instruction `by`.
  const float* bias(int k, int by) const {
    return links(k).bias == by ? arrays_.model + offset(layer(forward_step(k).layer).bias) : nullptr;
  }

  const Stream& stream_;
  const Network& network_;
  const DeviceProgram& program_;
  const BatchPlan& plan_;
  const PassArrays& arrays_;
};

class ForwardPass : Pass {
 public:
  ForwardPass(const Stream& stream, const Network& network, const DeviceProgram& program,
              const BatchPlan& plan, const PassArrays& arrays, const DeviceProperties& device,
              const Norms& norms, Purpose purpose)
      : Pass(stream, network, program, plan, arrays),
        device_(device),
        norms_(norms),
        purpose_(purpose),
        done_(program.forward.size()) {}

  void run() {
    for (int k = 0; k < static_cast<int>(done_.size()); ++k) {
      if (done_[static_cast<std::size_t>(k)] == Done::all) continue;
      switch (forward_step(k).action) {
        case Action::convolution:
          convolve(k);
          break;
        case Action::norm:
          normalise(k);
          break;
        case Action::relu:
          relu(stream_, pixels(layer_of(k)), layer_of(k).channels, at(forward_step(k).x),
               at(forward_step(k).y));
          break;
        case Action::add:
          sum(k);
          break;
        case Action::head:
          break;  // together with its way back, or on its own in evaluation
      }
    }
  }

 private:
  // What an earlier instruction has already done of this one.
  enum class Done : uint8_t { nothing, statistics, all };

  const Layer& layer_of(int k) const { return layer(forward_step(k).layer); }
  Done& done(int k) { return done_[static_cast<std::size_t>(k)]; }

  BatchStatistics statistics(int norm) const {
    return norms_.statistics(forward_step(norm).layer, arrays_.model,
                             purpose_ == Purpose::train ? arrays_.gradients : nullptr);
  }

  void convolve(int k) {
    const Instruction& step = forward_step(k);
    const ForwardLinks& links = this->links(k);
    const ConvolutionPlan& plan = plan_.convolution(step.layer);
    const convolution::Fusions takes = plan.forward->fusions(plan.problem, Direction::forward);
    convolution::ForwardArguments arguments{.x = at(step.x),
                                            .weights = weights(layer_of(k)),
                                            .y = at(step.y),
                                            .addend = nullptr,
                                            .input_norm = {},
                                            .statistics = {},
                                            .workspace = workspace()};
    if (folded(links.input_norm)) {
      arguments.x = at(forward_step(links.input_norm).x);
      arguments.input_norm = norms_.affine(forward_step(links.input_norm).layer);
    }
    int written = k;  // the instruction whose output this is
    if (links.addition != kNone && takes.addend) {
      const Instruction& addition = forward_step(links.addition);
      arguments.addend = at(addition.x == step.y ? addition.residual : addition.x);
      arguments.y = at(addition.y);
      written = links.addition;
      done(written) = Done::all;
    }
    const int norm = this->links(written).norm;
    if (norm != kNone && takes.statistics && links.bias == kNone && purpose_ != Purpose::evaluate) {
      arguments.statistics = statistics(norm);
      done(norm) = Done::statistics;
    }
    plan.forward->forward(stream_, device_, plan.problem, arguments);
    if (const float* own = bias(k, k); own != nullptr) {
      add(stream_, pixels(layer_of(k)), layer_of(k).channels,
          {.a = at(step.y), .bias_a = own, .sum = at(step.y)});
    }
  }

  void normalise(int k) {
    const Instruction& step = forward_step(k);
    const Layer& norm = layer_of(k);
    if (purpose_ != Purpose::evaluate && done(k) != Done::statistics) {
      norm_statistics(stream_, pixels(norm), norm.channels, at(step.x), statistics(k), workspace());
    }
    if (folded(k)) return;
    norm_apply(stream_, pixels(norm), norm.channels,
               {.x = at(step.x),
                .norm = norms_.affine(step.layer),
                .residual = at(step.residual),
                .relu = step.relu,
                .y = at(step.y)});
  }

  void sum(int k) {
    const Instruction& step = forward_step(k);
    const Layer& addition = layer_of(k);
    add(stream_, pixels(addition), addition.channels,
        {.a = at(step.x),
         .b = at(step.residual),
         .bias_a = late_bias(addition.input, k),
         .bias_b = late_bias(addition.input2, k),
         .sum = at(step.y)});
  }

  // The bias of convolution layer `source` that was left to the addition k.
  const float* late_bias(int source, int k) const {
    if (layer(source).op != Op::convolution) return nullptr;
    for (int maker = 0; maker < k; ++maker) {
      if (forward_step(maker).action == Action::convolution && forward_step(maker).layer == source) {
        return bias(maker, k);
      }
    }
    return nullptr;
  }

  const DeviceProperties& device_;
  const Norms& norms_;
  Purpose purpose_;
  std::vector<Done> done_;
};

class BackwardPass : Pass {
 public:
  BackwardPass(const Stream& stream, const Network& network, const DeviceProgram& program,
               const BatchPlan& plan, const PassArrays& arrays, const DeviceProperties& device,
               const Norms& norms)
      : Pass(stream, network, program, plan, arrays), device_(device), norms_(norms) {
    forward_of_.assign(network.layers.size(), kNone);
    for (int k = 0; k < static_cast<int>(program.forward.size()); ++k) {
      forward_of_[static_cast<std::size_t>(forward_step(k).layer)] = k;
    }
  }

  void run(Head head) {
    const std::vector<Instruction>& steps = program_.program.backward;
    for (std::size_t b = 0; b < steps.size(); ++b) {
      const Instruction& step = steps[b];
      switch (step.action) {
        case Action::head:
          through_head(step, head);
          break;
        case Action::convolution:
          // The sum behind it is done when the data gradient is.
          if (through_convolution(b)) ++b;
          break;
        case Action::norm:
          through_norm(step);
          break;
        case Action::relu:
          relu_gradient(stream_, pixels(layer(step.layer)), layer(step.layer).channels, at(step.y),
                        at(step.gradient), at(step.gradient2), at(step.dx));
          break;
        case Action::add:
          sum(step);
          break;
      }
    }
  }

 private:
  void through_head(const Instruction& step, Head head) {
    const Layer& linear = layer(step.layer);
    head.x = at(step.x);
    head.dx = at(step.dx);
    head.weight = arrays_.model + offset(linear.weight);
    head.bias = arrays_.model + offset(linear.bias);
    head.weight_gradient = arrays_.gradients + offset(linear.weight);
    head.bias_gradient = arrays_.gradients + offset(linear.bias);
    head.workspace = workspace();
    head_forward_backward(stream_, head_shape(network_, plan_.batch), head);
  }

  bool through_convolution(std::size_t b) {
    const Instruction& step = program_.program.backward[b];
    const Layer& convolved = layer(step.layer);
    const ForwardLinks& links = this->links(forward_of_[static_cast<std::size_t>(step.layer)]);
    const ConvolutionPlan& plan = plan_.convolution(step.layer);
    convolution::WeightGradientArguments weight{.x = at(step.x),
                                                .dy = at(step.gradient),
                                                .dw = arrays_.gradients + offset(convolved.weight),
                                                .input_norm = {},
                                                .workspace = workspace()};
    if (folded(links.input_norm)) {
      weight.x = at(forward_step(links.input_norm).x);
      weight.input_norm = norms_.affine(forward_step(links.input_norm).layer);
    }
    plan.weight_gradient->weight_gradient(stream_, device_, plan.problem, weight);
    if (links.bias != kNone) {
      bias_gradient(stream_, pixels(convolved), convolved.channels, at(step.gradient),
                    arrays_.gradients + offset(convolved.bias), workspace());
    }
    if (step.dx == kNone) return false;

    convolution::DataGradientArguments data{.dy = at(step.gradient),
                                            .weights = weights(convolved),
                                            .dx = at(step.dx),
                                            .addend = nullptr,
                                            .workspace = workspace()};
    const bool with_sum =
        program_.sum_behind[b] && plan.data_gradient->fusions(plan.problem, Direction::data_gradient).addend;
    if (with_sum) {
      const Instruction& behind = program_.program.backward[b + 1];
      data.addend = at(behind.gradient == step.dx ? behind.gradient2 : behind.gradient);
      data.dx = at(behind.dx);
    }
    plan.data_gradient->data_gradient(stream_, device_, plan.problem, data);
    return with_sum;
  }

  void through_norm(const Instruction& step) {
    const Layer& norm = layer(step.layer);
    const NormValues values = norms_.values(step.layer);
    const ReluGate gate = !step.relu               ? ReluGate::open
                          : step.residual == kNone ? ReluGate::from_x
                                                   : ReluGate::from_y;
    const NormBackward arguments{.x = at(step.x),
                                 .y = gate == ReluGate::from_y ? at(step.y) : nullptr,
                                 .gate = gate,
                                 .gradient = at(step.gradient),
                                 .gradient2 = at(step.gradient2),
                                 .joined = at(step.joined),
                                 .mean = values.mean,
                                 .variance = values.variance,
                                 .scale = values.scale,
                                 .shift = values.shift,
                                 .gamma_gradient = arrays_.gradients + offset(norm.weight),
                                 .beta_gradient = arrays_.gradients + offset(norm.bias),
                                 .addend = at(step.addend),
                                 .dx = at(step.dx)};
    norm_backward_sums(stream_, pixels(norm), norm.channels, arguments, workspace());
    norm_backward_apply(stream_, pixels(norm), norm.channels, arguments);
  }

  // Of two gradients: channels do not matter.
  void sum(const Instruction& step) {
    const int64_t values = program_.program.buffers[static_cast<std::size_t>(step.dx)].values * plan_.batch;
    const int width = values % 8 == 0 ? 8 : 1;
    add(stream_, static_cast<int>(values / width), width,
        {.a = at(step.gradient), .b = at(step.gradient2), .sum = at(step.dx)});
  }

  const DeviceProperties& device_;
  const Norms& norms_;
  std::vector<int> forward_of_;  // by layer
};

}  // namespace

void Passes::forward(const Stream& stream, const BatchPlan& plan, const PassArrays& arrays,
                     Purpose purpose) const {
  if (purpose == Purpose::evaluate) norms_.fold_running(stream, arrays.model_index);
  ForwardPass(stream, network_, program_, plan, arrays, device_, norms_, purpose).run();
  if (purpose == Purpose::train) norms_.count_biases(stream, arrays.model_index);
}

void Passes::evaluate_head(const Stream& stream, const BatchPlan& plan, const PassArrays& arrays,
                           Head head) const {
  const Layer& linear = network_.layers.back();
  const auto offset = [&](int parameter) {
    return network_.parameters[static_cast<std::size_t>(parameter)].offset;
  };
  const auto x = static_cast<std::size_t>(program_.program.forward.back().x);
  head.x = reinterpret_cast<const uint16_t*>(arrays.arena + plan.offsets[x]);
  head.weight = arrays.model + offset(linear.weight);
  head.bias = arrays.model + offset(linear.bias);
  head.workspace = {arrays.arena + plan.activation_bytes, arrays.counters};
  head_evaluate(stream, head_shape(network_, plan.batch), head);
}

void Passes::backward(const Stream& stream, const BatchPlan& plan, const PassArrays& arrays,
                      Head head) const {
  BackwardPass(stream, network_, program_, plan, arrays, device_, norms_).run(head);
}

}  // namespace alder::ALDER_BACKEND
