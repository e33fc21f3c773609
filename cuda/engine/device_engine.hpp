// The engine of engine.hpp on a GPU or over the emulator. See docs/engine.md.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/engine/batch_plan.hpp"
#include "cuda/engine/device_arrays.hpp"
#include "cuda/engine/device_spans.hpp"
#include "cuda/engine/make_engine.hpp"
#include "cuda/engine/mixer.hpp"
#include "cuda/engine/norms.hpp"
#include "cuda/engine/passes.hpp"
#include "cuda/engine/resident_pictures.hpp"
#include "cuda/kernels/weights.hpp"
#include "cuda/runtime.hpp"
#include "engine/engine.hpp"

namespace alder::ALDER_BACKEND {

class DeviceEngine final : public Engine {
 public:
  DeviceEngine(const Network& network, const EngineSettings& settings, const DeviceOptions& options);
  ~DeviceEngine() override;

  const Network& network() const override { return network_; }
  int model_buffers() const override { return kModelBuffers; }
  std::span<float> model(int buffer) override { return arrays_.model(buffer); }
  std::span<float> gradients() override { return arrays_.gradients(); }
  std::span<float> momentum() override { return arrays_.momentum(); }

  // Returns when the loss is known, which is before the backward pass is done.
  BatchResult forward_backward(int buffer, const Batch& batch) override;
  BatchResult forward_backward(int buffer, const ResidentBatch& batch) override;
  BatchResult evaluate(int buffer, const Batch& batch, std::span<float> logits) override;
  void accumulate_statistics(int buffer, const Batch& batch, std::span<float> sums) override;
  void combine(const Combination& combination) override;
  void finish() override;
  std::span<const float> logits() const override;

  void export_array(std::span<const float> engine_order, std::span<float> torch_order) const override;
  void import_array(std::span<const float> torch_order, std::span<float> engine_order) const override;
  int cuda_device() const override;
  void read_array(std::span<const float> array, std::span<float> host) const override;
  void write_array(std::span<const float> host, std::span<float> array) override;

  Memory memory() const override;
  std::string description() const override;

 private:
  // What there is for one batch size.
  struct Size {
    BatchPlan plan;
    // By where pictures come from and model buffer: forward and backward. Recorded the second time that it
    // comes up, since the first time kernels are loaded and the library chooses its own, which a capture does
    // not allow.
    std::array<std::array<Graph, kModelBuffers>, 2> graphs;
    std::array<std::array<bool, kModelBuffers>, 2> ran{};
  };

  std::map<int, std::unique_ptr<Size>> first_size() const;
  Size& size_for(int batch);
  void make_room(const BatchPlan& plan);
  Size& begin(int buffer, const Batch& batch);
  Size& begin(int buffer, const ResidentBatch& batch);
  Size& begin(int buffer, std::size_t pictures);
  void copy_parameters(int buffer);
  // Null: those that the host staged.
  void take_pictures(const BatchPlan& plan, const DeviceResidentPictures* resident) const;
  BatchResult train(Size& size, int buffer, const DeviceResidentPictures* resident);
  PassArrays pass_arrays(int buffer) const;
  Head head() const;
  BatchResult await_result();
  void check_length(std::size_t length, const char* what) const;

  Network network_;
  EngineSettings settings_;
  DeviceOptions options_;
  DeviceProperties device_;
  Stream stream_;
  DeviceProgram program_;
  std::map<int, std::unique_ptr<Size>> sizes_;
  mutable DeviceArrays arrays_;  // import_array tells it what it overwrites
  Norms norms_;
  WeightOrder order_;
  Mixer mixer_;
  Passes passes_;
  DeviceMemory arena_;
  DeviceArray<uint32_t> counters_;

  // Of the batch under way, as the caller gave it.
  MappedMemory staged_images_, staged_labels_;
  MappedMemory staged_samples_, staged_draws_;
  const DeviceResidentPictures* recorded_ = nullptr;  // those that graphs read
  DeviceArray<int32_t> labels_;
  DeviceArray<float> logits_;
  mutable std::vector<float> logits_on_host_;
  int batch_ = 0;  // of logits_

  DeviceSpans spans_;

  MappedMemory result_;                // HeadResult
  DeviceArray<uint32_t> head_passes_;  // by the device
  uint32_t passes_begun_ = 0;          // by the host
};

}  // namespace alder::ALDER_BACKEND
