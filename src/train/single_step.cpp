#include "train/single_step.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>

#include "base/error.hpp"
#include "train/safetensors.hpp"
#include "train/setup.hpp"

namespace alder::train {
namespace {

constexpr const char* kClassifier = "fc.weight";

template <typename Value>
std::span<const Value> values_of(const TensorView& view) {
  return {reinterpret_cast<const Value*>(view.bytes.data()), view.bytes.size() / sizeof(Value)};
}

TensorView view_of(std::span<const float> values, std::vector<int64_t> shape) {
  return {DType::f32, std::move(shape), std::as_bytes(values)};
}

void check_options(const SingleStepOptions& options) {
  make_network(options.model, 2);  // refuses an unknown name before any file is opened
  if (options.threads < 1) usage_error("--threads {}: at least 1", options.threads);
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1)) {
    usage_error("--label-smoothing {}: at least 0 and less than 1", options.label_smoothing);
  }
  const auto channels = static_cast<std::size_t>(Network{}.channels);
  if (options.mean.size() != channels || options.deviation.size() != channels) {
    usage_error("mean and deviation have {} and {} values; {} are needed, one a channel", options.mean.size(),
                options.deviation.size(), channels);
  }
  for (const float deviation : options.deviation) {
    if (!(deviation > 0)) usage_error("deviation {}: greater than 0", deviation);
  }
}

// Rows of the classifier. Bounded, since it is a number out of a file.
int classes_of(const SafeTensors& init, const SingleStepOptions& options) {
  if (!init.contains(kClassifier)) {
    fail("{}: tensor {} is missing; its rows tell the number of classes", options.init.string(), kClassifier);
  }
  const std::vector<int64_t>& shape = init.at(kClassifier).shape;
  if (shape.size() != 2 || shape[0] < 2 || shape[0] > 1'000'000) {
    fail("{}: tensor {} has shape [{}]; [classes, features] is needed", options.init.string(), kClassifier,
         fmt::join(shape, ", "));
  }
  return static_cast<int>(shape[0]);
}

// The first few names, for an error of one line.
std::string few(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 3;
  const std::size_t shown = std::min(names.size(), kMost);
  return fmt::format("{}{}",
                     fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                     names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

void check_names(const SafeTensors& init, const Network& network, const std::filesystem::path& path) {
  std::set<std::string> wanted;
  std::vector<std::string> missing, unknown;
  for (const auto* tensors : {&network.parameters, &network.statistics}) {
    for (const Tensor& tensor : *tensors) {
      wanted.insert(tensor.name);
      if (!init.contains(tensor.name)) missing.push_back(tensor.name);
    }
  }
  for (const auto& [name, view] : init.tensors()) {
    // PyTorch's count of steps; with a fixed momentum nothing reads it.
    if (!wanted.contains(name) && !name.ends_with(".num_batches_tracked")) unknown.push_back(name);
  }
  if (!missing.empty()) {
    fail("{} does not fit model {}; missing: {}", path.string(), network.name, few(missing));
  }
  if (!unknown.empty()) {
    fail("{} does not fit model {}; not in the model: {}", path.string(), network.name, few(unknown));
  }
}

// A model array in PyTorch's order.
std::vector<float> load_model(const SafeTensors& init, const Network& network) {
  std::vector<float> model(network.elements);
  for (const auto* tensors : {&network.parameters, &network.statistics}) {
    for (const Tensor& tensor : *tensors) {
      std::ranges::copy(init.floats(tensor.name, tensor.shape),
                        model.begin() + static_cast<std::ptrdiff_t>(tensor.offset));
    }
  }
  return model;
}

// {N, channels, height, width} of `images`.
std::vector<int64_t> picture_shape(const SafeTensors& batch, const std::filesystem::path& path) {
  constexpr int64_t kMost = 1'000'000;
  const TensorView& images = batch.at("images");
  const auto in_range = [](int64_t size) { return size >= 1 && size <= kMost; };
  if (images.shape.size() != 4 || images.shape[1] != Network{}.channels ||
      !std::ranges::all_of(images.shape, in_range)) {
    fail("{}: tensor images has shape [{}]; [N, {}, height, width] is needed", path.string(),
         fmt::join(images.shape, ", "), Network{}.channels);
  }
  return images.shape;
}

// Normalised pictures, NCHW.
std::vector<float> load_images(const SafeTensors& batch, const SingleStepOptions& options) {
  const TensorView& view = batch.at("images");
  if (view.type == DType::f32) {
    const std::span<const float> values = values_of<float>(view);
    return {values.begin(), values.end()};
  }
  if (view.type != DType::u8) {
    fail("{}: tensor images is {}; U8 (pixels) or F32 (normalised) is needed", options.batch.string(),
         name_of(view.type));
  }
  const std::size_t plane = static_cast<std::size_t>(view.shape[2] * view.shape[3]);
  const std::span<const uint8_t> pixels = values_of<uint8_t>(view);
  std::vector<float> images(pixels.size());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::size_t channel = i / plane % options.mean.size();
    images[i] = (static_cast<float>(pixels[i]) / 255.0F - options.mean[channel]) / options.deviation[channel];
  }
  return images;
}

std::vector<int32_t> load_labels(const SafeTensors& batch, int64_t count, int classes,
                                 const std::filesystem::path& path) {
  const TensorView& view = batch.at("labels");
  if (view.type != DType::i64 || view.shape != std::vector{count}) {
    fail("{}: tensor labels is {} [{}]; I64 [{}] is needed, one a picture", path.string(), name_of(view.type),
         fmt::join(view.shape, ", "), count);
  }
  std::vector<int32_t> labels;
  for (const int64_t label : values_of<int64_t>(view)) {
    if (label < 0 || label >= classes) {
      fail("{}: label {} of picture {} is outside 0 to {}", path.string(), label, labels.size(), classes - 1);
    }
    labels.push_back(static_cast<int32_t>(label));
  }
  return labels;
}

// The model after a step of size 0: its parameters are the old ones, its statistics the new ones.
std::vector<float> updated_model(Engine& engine) {
  const Term self{1.0F, engine.model(0)};
  engine.combine({.terms = {&self, 1},
                  .self = engine.model(0),
                  .target = engine.model(1),
                  .optimizer = {.learning_rate = 0.0F}});
  std::vector<float> model(engine.network().elements);
  engine.export_array(engine.model(1), model);
  return model;
}

std::span<const float> part(std::span<const float> array, const Tensor& tensor) {
  return array.subspan(tensor.offset, tensor.elements);
}

void write_results(Engine& engine, const BatchResult& result, int64_t count,
                   const std::filesystem::path& path) {
  const Network& network = engine.network();
  std::vector<float> gradients(network.elements);
  engine.export_array(engine.gradients(), gradients);
  const std::vector<float> model = updated_model(engine);
  const auto loss = static_cast<float>(result.loss);

  std::map<std::string, TensorView> tensors;
  tensors["logits"] = view_of(engine.logits(), {count, network.classes});
  tensors["loss"] = view_of({&loss, 1}, {});
  for (const Tensor& tensor : network.parameters) {
    tensors["grad." + tensor.name] = view_of(part(gradients, tensor), tensor.shape);
  }
  for (const Tensor& tensor : network.statistics) {
    tensors[tensor.name] = view_of(part(model, tensor), tensor.shape);
  }
  write_safetensors(path, tensors, {{"alder.model", network.name}});
}

}  // namespace

void single_step(const SingleStepOptions& options) {
  check_options(options);
  const SafeTensors init = SafeTensors::read(options.init);
  const SafeTensors batch = SafeTensors::read(options.batch);
  const int classes = classes_of(init, options);
  const std::vector<int64_t> shape = picture_shape(batch, options.batch);
  const Network network =
      make_network(options.model, classes, static_cast<int>(shape[2]), static_cast<int>(shape[3]));
  check_names(init, network, options.init);
  const std::vector<float> model = load_model(init, network);
  const std::vector<float> images = load_images(batch, options);
  const std::vector<int32_t> labels = load_labels(batch, shape[0], classes, options.batch);

  const std::unique_ptr<Engine> engine = make_engine(options.make_engine, network,
                                                     {.max_batch = static_cast<int>(shape[0]),
                                                      .threads = options.threads,
                                                      .precision = options.precision,
                                                      .label_smoothing = options.label_smoothing});
  engine->import_array(model, engine->model(0));
  const BatchResult result = engine->forward_backward(0, {images, labels});
  write_results(*engine, result, shape[0], options.out);
}

}  // namespace alder::train
