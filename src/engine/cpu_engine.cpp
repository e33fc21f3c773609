// The CPU engine: runs a Program (plan.hpp) with oneDNN's convolutions and the loops of this folder.
#include <fmt/format.h>
#include <omp.h>

#include <cmath>
#include <dnnl.hpp>
#include <optional>
#include <type_traits>
#include <vector>

#include "base/error.hpp"
#include "engine/aligned.hpp"
#include "engine/combine.hpp"
#include "engine/convolution.hpp"
#include "engine/elementwise.hpp"
#include "engine/engine.hpp"
#include "engine/head.hpp"
#include "engine/norm_layer.hpp"
#include "engine/plan.hpp"
#include "engine/weight_order.hpp"
#include "trace/span.hpp"

namespace alder {
namespace {

constexpr int kModelBuffers = 3;

// T is the type of activations and their gradients.
template <typename T>
class CpuEngine final : public Engine {
  static constexpr bool kRounded = std::is_same_v<T, BFloat16>;

 public:
  CpuEngine(const Network& network, const EngineSettings& settings);

  const Network& network() const override { return network_; }
  int model_buffers() const override { return kModelBuffers; }
  std::span<float> model(int buffer) override { return models_[buffer].template as<float>(); }
  std::span<float> gradients() override { return gradients_.as<float>(); }
  std::span<float> momentum() override { return momentum_.as<float>(); }

  BatchResult forward_backward(int buffer, const Batch& batch) override;
  BatchResult evaluate(int buffer, const Batch& batch, std::span<float> logits) override;
  void accumulate_statistics(int buffer, const Batch& batch, std::span<float> sums) override;
  void combine(const Combination& combination) override;

  std::span<const float> logits() const override {
    return logits_.as<float>().first(static_cast<std::size_t>(batch_) *
                                     static_cast<std::size_t>(network_.classes));
  }
  void export_array(std::span<const float> engine_order, std::span<float> torch_order) const override {
    export_model(network_, engine_order, torch_order);
  }
  void import_array(std::span<const float> torch_order, std::span<float> engine_order) const override {
    import_model(network_, torch_order, engine_order);
  }
  Memory memory() const override;
  std::string description() const override;

 private:
  const Layer& layer(const Instruction& step) const {
    return network_.layers[static_cast<std::size_t>(step.layer)];
  }
  BlockedShape blocked(const Layer& layer) const {
    return {batch_, (layer.channels + kLanes - 1) / kLanes, layer.height * layer.width};
  }
  std::size_t offset(int parameter) const {
    return network_.parameters[static_cast<std::size_t>(parameter)].offset;
  }
  T* at(int buffer);
  float* partial() { return partial_.as<float>().data(); }
  Lane lane();

  void begin(int buffer, const Batch& batch);
  void prepare(int batch);
  void forward(Statistics statistics);
  void backward();
  void head_backward(const Instruction& step);
  BatchResult loss(std::span<const int32_t> labels, float smoothing, float* logit_gradient);

  Network network_;
  EngineSettings settings_;
  dnnl::engine dnnl_engine_;
  dnnl::stream stream_;
  Program program_;
  std::vector<Segment> segments_;
  std::vector<std::optional<Convolution>> convolutions_;  // by layer
  std::vector<std::optional<NormLayer>> norms_;           // by layer
  AlignedBuffer models_[kModelBuffers], gradients_, momentum_;
  AlignedBuffer partial_, features_, feature_gradient_, logits_, logit_gradient_;
  std::vector<bool> prepared_;  // by batch size

  std::size_t activation_bytes_ = 0, scratch_bytes_ = 0;  // of the workspace, in this order

  // Of the call in progress.
  std::byte* workspace_ = nullptr;
  int batch_ = 0;
  const float* model_ = nullptr;
  const float* images_ = nullptr;
};

template <typename T>
CpuEngine<T>::CpuEngine(const Network& network, const EngineSettings& settings)
    : network_(network),
      settings_(settings),
      dnnl_engine_(dnnl::engine::kind::cpu, 0),
      stream_(dnnl_engine_),
      program_(make_program(network_)),
      segments_(segments_of(network_)),
      convolutions_(network_.layers.size()),
      norms_(network_.layers.size()),
      gradients_(network_.elements * sizeof(float)),
      momentum_(network_.elements * sizeof(float)),
      prepared_(static_cast<std::size_t>(settings.max_batch) + 1) {
  for (AlignedBuffer& buffer : models_) buffer = AlignedBuffer(network_.elements * sizeof(float));
  // In float32 the pictures are read where the caller has them.
  activation_bytes_ = static_cast<std::size_t>(
      place_buffers(program_.buffers, kRounded ? 0 : 1, settings.max_batch, sizeof(T)));

  std::size_t most_blocks = 0;
  for (std::size_t i = 0; i < network_.layers.size(); ++i) {
    const Layer& layer = network_.layers[i];
    most_blocks = std::max(most_blocks, round_up(static_cast<std::size_t>(layer.channels), kLanes) / kLanes);
    if (layer.op == Op::convolution) {
      convolutions_[i].emplace(network_, layer, settings.precision, settings.winograd);
    }
    if (layer.op == Op::batch_norm) norms_[i].emplace(network_, layer);
  }
  const auto images = static_cast<std::size_t>(settings.max_batch);
  const std::size_t widest = most_blocks * kLanes * sizeof(float);
  partial_ = AlignedBuffer(images * 2 * widest);
  features_ = AlignedBuffer(images * widest);
  feature_gradient_ = AlignedBuffer(images * widest);
  logits_ = AlignedBuffer(images * static_cast<std::size_t>(network_.classes) * sizeof(float));
  logit_gradient_ = AlignedBuffer(logits_.bytes());
  prepare(settings.max_batch);
}

template <typename T>
T* CpuEngine<T>::at(int buffer) {
  if (buffer == kNone) return nullptr;
  if constexpr (!kRounded) {
    if (buffer == 0) return const_cast<float*>(images_);  // only ever read
  }
  return reinterpret_cast<T*>(workspace_ + program_.buffers[static_cast<std::size_t>(buffer)].offset);
}

template <typename T>
Lane CpuEngine<T>::lane() {
  return {dnnl_engine_, stream_, workspace_ + activation_bytes_};
}

// Makes the primitives for a batch size the first time that it comes up.
template <typename T>
void CpuEngine<T>::prepare(int batch) {
  // oneDNN asks OpenMP for its threads: a setting of the calling thread, not of the engine.
  if (omp_get_max_threads() != settings_.threads) omp_set_num_threads(settings_.threads);
  if (prepared_[static_cast<std::size_t>(batch)]) return;
  for (auto& convolution : convolutions_) {
    if (convolution) scratch_bytes_ = std::max(scratch_bytes_, convolution->prepare(dnnl_engine_, batch));
  }
  prepared_[static_cast<std::size_t>(batch)] = true;
}

template <typename T>
void CpuEngine<T>::begin(int buffer, const Batch& batch) {
  const auto pictures = static_cast<int64_t>(batch.labels.size());
  const int64_t values = int64_t{network_.channels} * network_.height * network_.width;
  if (pictures < 1 || pictures > settings_.max_batch) {
    fail("batch of {} pictures given to an engine made for 1 to {}", pictures, settings_.max_batch);
  }
  if (static_cast<int64_t>(batch.images.size()) != pictures * values) {
    fail("batch of {} labels holds {} values of pictures instead of {}", pictures, batch.images.size(),
         pictures * values);
  }
  if (buffer < 0 || buffer >= kModelBuffers)
    fail("model buffer {} does not exist; there are {}", buffer, kModelBuffers);
  batch_ = static_cast<int>(pictures);
  model_ = model(buffer).data();
  images_ = batch.images.data();
  prepare(batch_);
  workspace_ = thread_workspace(activation_bytes_ + scratch_bytes_);
  if constexpr (kRounded) round_to_bf16(pictures * values, settings_.threads, images_, at(0));
}

template <typename T>
void CpuEngine<T>::forward(Statistics statistics) {
  for (const Instruction& step : program_.forward) {
    const Layer& layer = this->layer(step);
    switch (step.action) {
      case Action::convolution:
        convolutions_[static_cast<std::size_t>(step.layer)]->forward(lane(), batch_, model_, at(step.x),
                                                                     at(step.y));
        break;
      case Action::norm:
        norms_[static_cast<std::size_t>(step.layer)]->forward(batch_, settings_.threads, model_, statistics,
                                                              partial(), at(step.x), at(step.residual),
                                                              step.relu, at(step.y));
        break;
      case Action::relu:
        relu(blocked(layer).values(), settings_.threads, at(step.x), at(step.y));
        break;
      case Action::add:
        add(blocked(layer).values(), settings_.threads, at(step.x), at(step.residual), at(step.y));
        break;
      case Action::head: {
        const Layer& pool = network_.layers[static_cast<std::size_t>(layer.input)];
        const Layer& pooled = network_.layers[static_cast<std::size_t>(pool.input)];
        const BlockedShape shape = blocked(pooled);
        float* features = features_.template as<float>().data();
        average_pool(shape, settings_.threads, at(step.x), features);
        linear({batch_, pool.channels, network_.classes, shape.blocks * kLanes}, features,
               model_ + offset(layer.weight), layer.bias < 0 ? nullptr : model_ + offset(layer.bias),
               logits_.template as<float>().data());
        break;
      }
    }
  }
}

template <typename T>
void CpuEngine<T>::backward() {
  float* gradients = gradients_.template as<float>().data();
  for (const Instruction& step : program_.backward) {
    switch (step.action) {
      case Action::head:
        head_backward(step);
        break;
      case Action::convolution: {
        Convolution& convolution = *convolutions_[static_cast<std::size_t>(step.layer)];
        convolution.weight_gradient(lane(), batch_, at(step.x), at(step.gradient), gradients);
        if (step.dx != kNone)
          convolution.input_gradient(lane(), batch_, model_, at(step.gradient), at(step.dx));
        break;
      }
      case Action::norm: {
        // Without a residual the sign of y follows from x, which is read anyway.
        const NormGradient<T> in{.x = at(step.x),
                                 .y = step.residual == kNone ? nullptr : at(step.y),
                                 .gradient = at(step.gradient),
                                 .gradient2 = at(step.gradient2),
                                 .joined = at(step.joined),
                                 .relu = step.relu};
        norms_[static_cast<std::size_t>(step.layer)]->backward(batch_, settings_.threads, in, partial(),
                                                               gradients, at(step.addend), at(step.dx));
        break;
      }
      case Action::relu:
        relu_gradient(blocked(layer(step)).values(), settings_.threads, at(step.y), at(step.gradient),
                      at(step.gradient2), at(step.dx));
        break;
      case Action::add:
        add(program_.buffers[static_cast<std::size_t>(step.dx)].values * batch_, settings_.threads,
            at(step.gradient), at(step.gradient2), at(step.dx));
        break;
    }
  }
}

template <typename T>
void CpuEngine<T>::head_backward(const Instruction& step) {
  const Layer& layer = this->layer(step);
  const Layer& pool = network_.layers[static_cast<std::size_t>(layer.input)];
  const BlockedShape shape = blocked(network_.layers[static_cast<std::size_t>(pool.input)]);
  float* gradients = gradients_.template as<float>().data();
  float* feature_gradient = feature_gradient_.template as<float>().data();
  linear_gradient({batch_, pool.channels, network_.classes, shape.blocks * kLanes},
                  features_.template as<float>().data(), model_ + offset(layer.weight),
                  logit_gradient_.template as<float>().data(), gradients + offset(layer.weight),
                  layer.bias < 0 ? nullptr : gradients + offset(layer.bias), feature_gradient);
  average_pool_gradient(shape, settings_.threads, feature_gradient, at(step.dx));
}

template <typename T>
BatchResult CpuEngine<T>::loss(std::span<const int32_t> labels, float smoothing, float* logit_gradient) {
  return cross_entropy(network_.classes, labels, logits_.template as<float>().data(), smoothing,
                       logit_gradient);
}

template <typename T>
BatchResult CpuEngine<T>::forward_backward(int buffer, const Batch& batch) {
  BatchResult result;
  {
    const trace::Span span(trace::Kind::forward, trace::context());
    begin(buffer, batch);
    forward(Statistics::batch);
    result = loss(batch.labels, settings_.label_smoothing, logit_gradient_.template as<float>().data());
  }
  const trace::Span span(trace::Kind::backward, trace::context());
  backward();
  for (const auto& norm : norms_) {
    if (norm) norm->store_statistics_step(batch_, model_, gradients().data());
  }
  return result;
}

template <typename T>
BatchResult CpuEngine<T>::evaluate(int buffer, const Batch& batch, std::span<float> logits) {
  begin(buffer, batch);
  forward(Statistics::running);
  if (!logits.empty()) {
    if (logits.size() != this->logits().size()) {
      fail("evaluate: room for {} logits given where the batch has {}", logits.size(), this->logits().size());
    }
    std::copy(this->logits().begin(), this->logits().end(), logits.begin());
  }
  return loss(batch.labels, 0, nullptr);
}

template <typename T>
void CpuEngine<T>::accumulate_statistics(int buffer, const Batch& batch, std::span<float> sums) {
  if (sums.size() != network_.elements) {
    fail("accumulate_statistics: array of {} values given instead of {}", sums.size(), network_.elements);
  }
  begin(buffer, batch);
  forward(Statistics::batch);
  for (const auto& norm : norms_) {
    if (norm) norm->add_statistics(sums.data());
  }
}

template <typename T>
void CpuEngine<T>::combine(const Combination& combination) {
  alder::combine(segments_, combination, gradients(), momentum(), settings_.threads);
}

template <typename T>
Engine::Memory CpuEngine<T>::memory() const {
  Memory memory;
  for (const AlignedBuffer* buffer : {&models_[0], &models_[1], &models_[2], &gradients_, &momentum_}) {
    memory.arrays += static_cast<int64_t>(buffer->bytes());
  }
  memory.activations = static_cast<int64_t>(activation_bytes_);
  memory.scratch = static_cast<int64_t>(scratch_bytes_);
  for (const AlignedBuffer* buffer :
       {&partial_, &features_, &feature_gradient_, &logits_, &logit_gradient_}) {
    memory.scratch += static_cast<int64_t>(buffer->bytes());
  }
  for (const auto& norm : norms_) {
    if (norm) memory.scratch += static_cast<int64_t>(norm->bytes());
  }
  return memory;
}

template <typename T>
std::string CpuEngine<T>::description() const {
  const dnnl_version_t* version = dnnl_version();
  std::string implementations;
  for (const auto& convolution : convolutions_) {
    if (convolution) implementations = convolution->implementations();  // the last: not the unusual stem
  }
  return fmt::format("oneDNN {}.{}.{}, {} activations, convolutions by {}; {} thread{}", version->major,
                     version->minor, version->patch, kRounded ? "bf16" : "fp32", implementations,
                     settings_.threads, settings_.threads == 1 ? "" : "s");
}

}  // namespace

bool cpu_has_bf16() {
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

std::unique_ptr<Engine> make_cpu_engine(const Network& network, const EngineSettings& settings) {
  if (settings.max_batch < 1) usage_error("batch size {} is not positive", settings.max_batch);
  if (settings.threads < 1) usage_error("{} threads per engine: at least 1 is needed", settings.threads);
  if (!(settings.label_smoothing >= 0 && settings.label_smoothing < 1)) {
    usage_error("label smoothing {} is not in 0 .. 1", settings.label_smoothing);
  }
  if (settings.precision == Precision::fp32) return std::make_unique<CpuEngine<float>>(network, settings);
  if (!cpu_has_bf16()) {
    usage_error("precision bf16: this CPU has neither AVX-512 BF16 nor AMX; use fp32");
  }
  return std::make_unique<CpuEngine<BFloat16>>(network, settings);
}

}  // namespace alder
