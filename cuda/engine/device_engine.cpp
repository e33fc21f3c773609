#include "cuda/engine/device_engine.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "cuda/kernels/pictures.hpp"

namespace alder::ALDER_BACKEND {
namespace {

// Longer than any pass takes: a kernel that waits for itself must not hold the host for ever.
constexpr std::chrono::minutes kLongestPass{10};

constexpr int kLeastCapability = 80;

DeviceProperties usable_device(const DeviceOptions& options) {
  if (const std::string why = why_unusable(options.device); !why.empty()) usage_error("{}", why);
  set_device(options.device);
  return device_properties(options.device);
}

const EngineSettings& checked(const EngineSettings& settings, const Network& network) {
  if (network.channels > DevicePictures::kMaxChannels) {
    fail("network '{}': pictures of {} channels, on GPUs at most {} are possible", network.name,
         network.channels, DevicePictures::kMaxChannels);
  }
  if (settings.max_batch < 1) usage_error("batch size {} is not positive", settings.max_batch);
  if (!(settings.label_smoothing >= 0 && settings.label_smoothing < 1)) {
    usage_error("label smoothing {} is not in 0 .. 1", settings.label_smoothing);
  }
  if (settings.precision != Precision::bf16) {
    usage_error("precision fp32: GPUs compute in bf16 with float32 sums; use --precision bf16");
  }
  return settings;
}

}  // namespace

DeviceEngine::DeviceEngine(const Network& network, const EngineSettings& settings,
                           const DeviceOptions& options)
    : network_(network),
      settings_(checked(settings, network_)),
      options_(options),
      device_(usable_device(options)),
      stream_(settings.owner),
      program_(make_device_program(network_)),
      // Before the first allocation: a model that does not fit must say so.
      sizes_(first_size()),
      arrays_(stream_, network_),
      norms_(stream_, network_),
      order_(stream_, network_),
      mixer_(stream_, network_, options.graphs),
      passes_(network_, program_, device_, norms_),
      labels_(static_cast<std::size_t>(settings.max_batch), "labels of " + settings.owner),
      logits_(static_cast<std::size_t>(settings.max_batch * network.classes), "logits of " + settings.owner),
      result_(sizeof(HeadResult), "loss of " + settings.owner),
      head_passes_(1, "passes of " + settings.owner) {
  for (int buffer = 0; buffer < kModelBuffers; ++buffer) {
    norms_.add_model(stream_, model(buffer).data(), gradients().data());
  }
  const auto images = static_cast<std::size_t>(settings.max_batch);
  const auto values = static_cast<std::size_t>(network_.channels * network_.height * network_.width);
  staged_images_ = MappedMemory(images * values * sizeof(float), "pictures of " + settings.owner);
  staged_labels_ = MappedMemory(images * sizeof(int32_t), "labels of " + settings.owner);
  staged_samples_ = MappedMemory(images * sizeof(int64_t), "samples of " + settings.owner);
  staged_draws_ = MappedMemory(sizeof(PictureDraws), "draws of " + settings.owner);
  fill(stream_, head_passes_.data(), 0, sizeof(uint32_t));
  make_room(size_for(settings.max_batch).plan);
  stream_.synchronize();
}

// Work that is still under way must not find its memory gone.
DeviceEngine::~DeviceEngine() {
  try {
    set_device(options_.device);
    stream_.synchronize();
  } catch (const Error&) {  // whoever waited before has been told
  }
}

std::map<int, std::unique_ptr<DeviceEngine::Size>> DeviceEngine::first_size() const {
  auto size = std::make_unique<Size>();
  size->plan = plan_batch(network_, program_, settings_.max_batch, device_, options_);
  check_memory(network_, program_, size->plan, device_, memory_info(), settings_, options_);
  std::map<int, std::unique_ptr<Size>> sizes;
  sizes.emplace(settings_.max_batch, std::move(size));
  return sizes;
}

DeviceEngine::Size& DeviceEngine::size_for(int batch) {
  std::unique_ptr<Size>& size = sizes_[batch];
  if (!size) {
    size = std::make_unique<Size>();
    size->plan = plan_batch(network_, program_, batch, device_, options_);
    make_room(size->plan);
  }
  return *size;
}

// The arena is as large as the largest batch needs it. A smaller one can need more only where other kernels,
// with more scratch, are chosen for it.
void DeviceEngine::make_room(const BatchPlan& plan) {
  const auto bytes = static_cast<std::size_t>(arena_bytes(network_, plan));
  const std::size_t counters = std::max<std::size_t>(1, plan.workspace.counters);
  if (bytes <= arena_.bytes() && counters <= counters_.size()) return;
  stream_.synchronize();
  for (auto& [batch, size] : sizes_) {
    size->graphs = {};  // have the old addresses
  }
  if (bytes > arena_.bytes()) {
    arena_ = DeviceMemory();
    arena_ = DeviceMemory(bytes, "arena of " + stream_.owner());
  }
  if (counters > counters_.size()) {
    counters_ = DeviceArray<uint32_t>(counters, "counters of " + stream_.owner());
    fill(stream_, counters_.data(), 0, counters * sizeof(uint32_t));
  }
}

PassArrays DeviceEngine::pass_arrays(int buffer) const {
  return {.model = arrays_.model(buffer).data(),
          .weights = arrays_.copy(),
          .gradients = arrays_.gradients().data(),
          .arena = arena_.at<std::byte>(),
          .counters = counters_.data(),
          .model_index = buffer};
}

Head DeviceEngine::head() const {
  return {.x = nullptr,
          .weight = nullptr,
          .bias = nullptr,
          .labels = labels_.data(),
          .logits = logits_.data(),
          .result = static_cast<HeadResult*>(result_.device()),
          .passes = head_passes_.data(),
          .workspace = {},
          .smoothing = settings_.label_smoothing};
}

DeviceEngine::Size& DeviceEngine::begin(int buffer, std::size_t pictures) {
  set_device(options_.device);
  if (pictures < 1 || pictures > static_cast<std::size_t>(settings_.max_batch)) {
    fail("batch of {} pictures given to an engine made for 1 to {}", pictures, settings_.max_batch);
  }
  if (buffer < 0 || buffer >= kModelBuffers)
    fail("model buffer {} does not exist; there are {}", buffer, kModelBuffers);
  batch_ = static_cast<int>(pictures);
  return size_for(batch_);
}

// Checks a batch, stages it, and sees to it that the bf16 parameters are those of the buffer. What was staged
// before has been taken: its batch's result is known, or it was waited for.
DeviceEngine::Size& DeviceEngine::begin(int buffer, const Batch& batch) {
  const std::size_t pictures = batch.labels.size();
  const std::size_t values =
      pictures * static_cast<std::size_t>(network_.channels * network_.height * network_.width);
  if (batch.images.size() != values) {
    fail("batch of {} labels holds {} values of pictures instead of {}", pictures, batch.images.size(),
         values);
  }
  Size& size = begin(buffer, pictures);
  std::memcpy(staged_images_.host(), batch.images.data(), batch.images.size_bytes());
  std::memcpy(staged_labels_.host(), batch.labels.data(), batch.labels.size_bytes());
  copy_parameters(buffer);
  return size;
}

DeviceEngine::Size& DeviceEngine::begin(int buffer, const ResidentBatch& batch) {
  const auto& resident = static_cast<const DeviceResidentPictures&>(*batch.pictures);
  const DevicePictures& set = *resident.pictures;
  if (set.channels() != network_.channels || set.height() != network_.height ||
      set.width() != network_.width) {
    fail("pictures of {}x{}x{} given to network '{}', which takes {}x{}x{}", set.channels(), set.height(),
         set.width(), network_.name, network_.channels, network_.height, network_.width);
  }
  for (const int64_t sample : batch.samples) {
    if (sample < 0 || sample >= set.count())
      fail("sample {} does not exist; there are {}", sample, set.count());
  }
  Size& size = begin(buffer, batch.samples.size());
  std::memcpy(staged_samples_.host(), batch.samples.data(), batch.samples.size_bytes());
  *static_cast<PictureDraws*>(staged_draws_.host()) = {.seed = resident.seed, .epoch = batch.epoch};
  copy_parameters(buffer);
  return size;
}

void DeviceEngine::copy_parameters(int buffer) {
  if (arrays_.copied(buffer)) return;
  round_to_bf16(stream_, model(buffer).data(), arrays_.copy(), network_.elements);
  arrays_.set_copied(buffer);
}

void DeviceEngine::take_pictures(const BatchPlan& plan, const DeviceResidentPictures* resident) const {
  const auto place = [&](int buffer) {
    return arena_.at<std::byte>(static_cast<std::size_t>(plan.offsets[static_cast<std::size_t>(buffer)]));
  };
  auto* taken = reinterpret_cast<uint16_t*>(place(0));
  if (resident != nullptr) {
    make_batch(stream_, *resident->pictures,
               {.indices = static_cast<const int64_t*>(staged_samples_.device()),
                .count = plan.batch,
                .augmentation = resident->augmentation ? &*resident->augmentation : nullptr,
                .draws = static_cast<const PictureDraws*>(staged_draws_.device()),
                .images = taken,
                .image_channels = network_.channels,
                .labels = labels_.data()});
    return;
  }
  const auto images = static_cast<std::size_t>(plan.batch);
  const auto values = static_cast<std::size_t>(network_.channels * network_.height * network_.width);
  auto* staged = reinterpret_cast<float*>(place(program_.staged));
  copy(stream_, staged, staged_images_.host(), images * values * sizeof(float));
  copy(stream_, labels_.data(), staged_labels_.host(), images * sizeof(int32_t));
  import_pictures(stream_, staged, plan.batch, network_.channels, network_.height, network_.width, taken,
                  network_.channels);
}

BatchResult DeviceEngine::train(Size& size, int buffer, const DeviceResidentPictures* resident) {
  const auto launch_all = [&] {
    take_pictures(size.plan, resident);
    passes_.forward(stream_, size.plan, pass_arrays(buffer), Purpose::train);
    passes_.backward(stream_, size.plan, pass_arrays(buffer), head());
  };
  if (resident != nullptr && resident != recorded_) {
    for (auto& [batch, other] : sizes_) other->graphs[1] = {};
    recorded_ = resident;
  }
  const std::size_t source = resident == nullptr ? 0 : 1, index = static_cast<std::size_t>(buffer);
  spans_.pass_begins(stream_);
  if (options_.graphs && size.ran[source][index]) {
    Graph& graph = size.graphs[source][index];
    if (!graph) graph = Graph::capture(stream_, launch_all);
    graph.launch(stream_);
  } else {
    launch_all();
    size.ran[source][index] = true;
  }
  spans_.pass_ends(stream_);
  const BatchResult result = await_result();
  spans_.loss_is_known();
  return result;
}

BatchResult DeviceEngine::forward_backward(int buffer, const Batch& batch) {
  return train(begin(buffer, batch), buffer, nullptr);
}

BatchResult DeviceEngine::forward_backward(int buffer, const ResidentBatch& batch) {
  if (dynamic_cast<const DeviceResidentPictures*>(batch.pictures) == nullptr) {
    throw std::logic_error("pictures of another kind of engine, or none, given to the engine of " +
                           stream_.owner());
  }
  return train(begin(buffer, batch), buffer, static_cast<const DeviceResidentPictures*>(batch.pictures));
}

// The head counts its passes in memory that the host sees. It is looked at rather than waited for: the loss
// comes in the middle of the stream's work, and the backward pass goes on behind it.
BatchResult DeviceEngine::await_result() {
  ++passes_begun_;
  Event done;
  done.record(stream_);
  auto* result = static_cast<HeadResult*>(result_.host());
  const std::atomic_ref<uint32_t> passes(result->passes);
  const auto deadline = std::chrono::steady_clock::now() + kLongestPass;
  while (passes.load(std::memory_order_acquire) != passes_begun_) {
    for (int look = 0; look < 1000; ++look) {
      if (passes.load(std::memory_order_acquire) == passes_begun_) break;
    }
    // Throws what a kernel has run into.
    if (done.done() && passes.load(std::memory_order_acquire) != passes_begun_) {
      fail("{}: a pass ended without a loss (pass {}, the device counts {})", stream_.owner(), passes_begun_,
           passes.load());
    }
    if (std::chrono::steady_clock::now() > deadline) {
      fail("{}: no loss from {} after {} minutes", stream_.owner(), device_.name, kLongestPass.count());
    }
    std::this_thread::yield();
  }
  return {.loss = result->loss, .correct = static_cast<int64_t>(result->correct)};
}

BatchResult DeviceEngine::evaluate(int buffer, const Batch& batch, std::span<float> logits) {
  const auto room = batch.labels.size() * static_cast<std::size_t>(network_.classes);
  if (!logits.empty() && logits.size() != room) {
    fail("evaluate: room for {} logits given where the batch has {}", logits.size(), room);
  }
  const Size& size = begin(buffer, batch);
  take_pictures(size.plan, nullptr);
  passes_.forward(stream_, size.plan, pass_arrays(buffer), Purpose::evaluate);
  passes_.evaluate_head(stream_, size.plan, pass_arrays(buffer), head());
  const BatchResult result = await_result();
  if (!logits.empty()) std::ranges::copy(this->logits(), logits.begin());
  return result;
}

void DeviceEngine::accumulate_statistics(int buffer, const Batch& batch, std::span<float> sums) {
  check_length(sums.size(), "accumulate_statistics");
  const Size& size = begin(buffer, batch);
  take_pictures(size.plan, nullptr);
  passes_.forward(stream_, size.plan, pass_arrays(buffer), Purpose::statistics);
  const float* statistics = norms_.take_batch_statistics(stream_, buffer);
  std::vector<float> one(norms_.statistics_elements());
  copy(stream_, one.data(), statistics, one.size() * sizeof(float));
  stream_.synchronize();
  const std::span<float> part = sums.subspan(network_.parameter_elements);
  for (std::size_t i = 0; i < one.size(); ++i) part[i] += one[i];
}

void DeviceEngine::combine(const Combination& combination) {
  set_device(options_.device);
  spans_.mixing_begins(stream_);
  mixer_.mix(stream_, combination, arrays_);
  spans_.mixing_ends(stream_);
}

void DeviceEngine::finish() {
  set_device(options_.device);
  stream_.synchronize();
  spans_.settle(stream_);
}

std::span<const float> DeviceEngine::logits() const {
  set_device(options_.device);
  logits_on_host_.resize(static_cast<std::size_t>(batch_ * network_.classes));
  copy(stream_, logits_on_host_.data(), logits_.data(), logits_on_host_.size() * sizeof(float));
  stream_.synchronize();
  return logits_on_host_;
}

void DeviceEngine::check_length(std::size_t length, const char* what) const {
  if (length != network_.elements) {
    fail("{}: array of {} values given instead of {}", what, length, network_.elements);
  }
}

// Between calls nothing in the arena is needed: arrays pass through it on their way from one order to the
// other.
void DeviceEngine::export_array(std::span<const float> engine_order, std::span<float> torch_order) const {
  check_length(engine_order.size(), "export_array");
  check_length(torch_order.size(), "export_array");
  set_device(options_.device);
  float *from = arena_.at<float>(), *to = from + network_.elements;
  copy(stream_, from, engine_order.data(), engine_order.size_bytes());
  order_.export_array(stream_, from, to);
  copy(stream_, torch_order.data(), to, torch_order.size_bytes());
  stream_.synchronize();
}

void DeviceEngine::import_array(std::span<const float> torch_order, std::span<float> engine_order) const {
  check_length(torch_order.size(), "import_array");
  check_length(engine_order.size(), "import_array");
  set_device(options_.device);
  float *from = arena_.at<float>(), *to = from + network_.elements;
  copy(stream_, from, torch_order.data(), torch_order.size_bytes());
  order_.import_array(stream_, from, to);
  copy(stream_, engine_order.data(), to, engine_order.size_bytes());
  stream_.synchronize();
  arrays_.forget(engine_order.data());
}

void DeviceEngine::read_array(std::span<const float> array, std::span<float> host) const {
  set_device(options_.device);
  copy(stream_, host.data(), array.data(), array.size_bytes());
  stream_.synchronize();
}

void DeviceEngine::write_array(std::span<const float> host, std::span<float> array) {
  set_device(options_.device);
  copy(stream_, array.data(), host.data(), host.size_bytes());
  stream_.synchronize();
  arrays_.forget(array.data());
}

int DeviceEngine::cuda_device() const {
  return kOnGpu ? options_.device : -1;
}

Engine::Memory DeviceEngine::memory() const {
  const BatchPlan& plan = sizes_.at(settings_.max_batch)->plan;
  const MemoryNeed need = memory_need(network_, plan);
  return {.arrays = need.arrays,
          .activations = plan.activation_bytes,
          .scratch = need.arena - plan.activation_bytes + need.rest};
}

std::string DeviceEngine::description() const {
  const BatchPlan& plan = sizes_.at(settings_.max_batch)->plan;
  const MemoryNeed need = memory_need(network_, plan);
  constexpr double kMiB = 1 << 20;
  return fmt::format(
      "{} (compute capability {}.{}, {} multiprocessors), bf16 activations, convolutions {}; {:.1f} MiB a "
      "worker: arena {:.1f}, arrays {:.1f}, rest {:.1f}",
      device_.name, device_.capability / 10, device_.capability % 10, device_.multiprocessors,
      describe_variants(plan), static_cast<double>(need.total()) / kMiB,
      static_cast<double>(need.arena) / kMiB, static_cast<double>(need.arrays) / kMiB,
      static_cast<double>(need.rest) / kMiB);
}

int count_gpus() {
  return count_devices().devices;
}

std::string why_unusable(int device) {
  const DeviceCount count = count_devices();
  if (count.devices == 0) return "there is no GPU: " + count.why_none;
  if (device < 0 || device >= count.devices) {
    return fmt::format("GPU {} does not exist; there are {}, counted from 0", device, count.devices);
  }
  const DeviceProperties properties = device_properties(device);
  if (properties.capability >= kLeastCapability) return {};
  return fmt::format(
      "GPU {} ({}) has compute capability {}.{}, and the kernels need {}.{} or newer (A100, L4, H100, H200)",
      device, properties.name, properties.capability / 10, properties.capability % 10, kLeastCapability / 10,
      kLeastCapability % 10);
}

std::unique_ptr<Engine> make_engine(const Network& network, const EngineSettings& settings,
                                    const DeviceOptions& options) {
  return std::make_unique<DeviceEngine>(network, settings, options);
}

std::shared_ptr<const ResidentPictures> make_resident_pictures(const data::Dataset& dataset,
                                                               const data::Augmentation* augmentation,
                                                               uint64_t seed, const DeviceOptions& options) {
  usable_device(options);
  const Stream stream("the training pictures");
  auto pictures = std::make_shared<DeviceResidentPictures>();
  pictures->pictures.emplace(stream, dataset, dataset.train);
  if (augmentation != nullptr) pictures->augmentation = *augmentation;
  pictures->seed = seed;
  stream.synchronize();
  return pictures;
}

}  // namespace alder::ALDER_BACKEND
