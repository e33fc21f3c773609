#include "cuda/engine/batch_plan.hpp"

#include <algorithm>
#include <map>
#include <string_view>

#include "base/error.hpp"
#include "cuda/kernels/elementwise.hpp"
#include "cuda/kernels/head.hpp"
#include "cuda/kernels/norm_backward.hpp"
#include "cuda/kernels/norm_statistics.hpp"
#include "engine/aligned.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using convolution::Direction;
using convolution::Problem;
using convolution::Variant;

void widen(WorkspaceSize& most, const WorkspaceSize& one) {
  most.bytes = std::max(most.bytes, one.bytes);
  most.counters = std::max(most.counters, one.counters);
}

class BatchPlanner {
 public:
  BatchPlanner(const Network& network, const DeviceProgram& program, int batch,
               const DeviceProperties& device, const DeviceOptions& options)
      : network_(network), program_(program), device_(device), options_(options) {
    plan_.batch = batch;
  }

  BatchPlan run() {
    plan_.convolutions.resize(network_.layers.size());
    for (const Instruction& step : program_.program.forward) choose(step);
    fold_norms();
    find_workspace();
    place();
    return std::move(plan_);
  }

 private:
  const Layer& layer(int index) const { return network_.layers[static_cast<std::size_t>(index)]; }

  Problem problem_of(const Layer& convolution) const {
    const Layer& input = layer(convolution.input);
    return {.images = plan_.batch,
            .height = input.height,
            .width = input.width,
            .channels = input.channels,
            .filters = convolution.channels,
            .kernel = convolution.kernel,
            .stride = convolution.stride};
  }

  const Variant* variant(const Problem& problem, Direction direction) const {
    return convolution::choose(problem, direction, device_, options_.variant).variant;
  }

  void choose(const Instruction& step) {
    if (step.action != Action::convolution) return;
    ConvolutionPlan& one = plan_.convolutions[static_cast<std::size_t>(step.layer)];
    one.problem = problem_of(layer(step.layer));
    one.forward = variant(one.problem, Direction::forward);
    one.weight_gradient = variant(one.problem, Direction::weight_gradient);
    if (step.x != 0) one.data_gradient = variant(one.problem, Direction::data_gradient);
  }

  // A batch norm is left to its readers where all of them take it, in both passes that read it.
  void fold_norms() {
    plan_.folded.resize(program_.forward.size());
    if (!options_.fold_norms) return;
    for (std::size_t k = 0; k < program_.forward.size(); ++k) {
      const std::vector<int>& readers = program_.forward[k].readers;
      plan_.folded[k] = !readers.empty() && std::ranges::all_of(readers, [&](int reader) {
        const int index = program_.program.forward[static_cast<std::size_t>(reader)].layer;
        const ConvolutionPlan& one = plan_.convolution(index);
        return one.forward->fusions(one.problem, Direction::forward).input_norm &&
               one.weight_gradient->fusions(one.problem, Direction::weight_gradient).input_norm;
      });
    }
  }

  void find_workspace() {
    for (const ConvolutionPlan& one : plan_.convolutions) {
      if (one.forward == nullptr) continue;
      const auto need = [&](const Variant* variant, Direction direction) {
        if (variant != nullptr) widen(plan_.workspace, variant->workspace(one.problem, direction, device_));
      };
      need(one.forward, Direction::forward);
      need(one.data_gradient, Direction::data_gradient);
      need(one.weight_gradient, Direction::weight_gradient);
    }
    for (const Layer& layer : network_.layers) {
      const int pixels = plan_.batch * layer.height * layer.width;
      if (layer.op == Op::batch_norm) {
        widen(plan_.workspace, norm_statistics_workspace(pixels, layer.channels));
        widen(plan_.workspace, norm_backward_workspace(pixels, layer.channels));
      }
      if (layer.op == Op::convolution && layer.bias >= 0) {
        widen(plan_.workspace, bias_gradient_workspace(pixels, layer.channels));
      }
    }
    widen(plan_.workspace, head_workspace(head_shape(network_, plan_.batch)));
  }

  void place() {
    const ArenaPlan arena = plan_arena(program_, plan_.batch, plan_.folded, options_.reuse_memory);
    plan_.offsets = arena.offsets;
    plan_.activation_bytes = arena.bytes;
    plan_.arena_bytes = arena.bytes + static_cast<int64_t>(round_up(plan_.workspace.bytes, kAlignment));
  }

  const Network& network_;
  const DeviceProgram& program_;
  const DeviceProperties& device_;
  const DeviceOptions& options_;
  BatchPlan plan_;
};

}  // namespace

HeadShape head_shape(const Network& network, int batch) {
  const Layer& last = network.layers.back();
  const Layer& pool = network.layers[static_cast<std::size_t>(last.input)];
  const Layer& pooled = network.layers[static_cast<std::size_t>(pool.input)];
  return {.images = batch,
          .pixels = pooled.height * pooled.width,
          .channels = pool.channels,
          .classes = network.classes};
}

BatchPlan plan_batch(const Network& network, const DeviceProgram& program, int batch,
                     const DeviceProperties& device, const DeviceOptions& options) {
  return BatchPlanner(network, program, batch, device, options).run();
}

std::string describe_variants(const BatchPlan& plan) {
  std::string text;
  const auto count = [&](std::string_view what, const Variant* ConvolutionPlan::*direction) {
    std::map<std::string_view, int> layers;
    for (const ConvolutionPlan& one : plan.convolutions) {
      if (one.*direction != nullptr) ++layers[(one.*direction)->name()];
    }
    text += fmt::format("{}{} by", text.empty() ? "" : "; ", what);
    const char* comma = "";
    for (const auto& [name, number] : layers) {
      text += fmt::format("{} {} {}", comma, name, number);
      comma = ",";
    }
  };
  count("forward", &ConvolutionPlan::forward);
  count("data gradients", &ConvolutionPlan::data_gradient);
  count("weight gradients", &ConvolutionPlan::weight_gradient);
  return text;
}

}  // namespace alder::ALDER_BACKEND
