#include "train/model_file.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "base/error.hpp"
#include "train/safetensors.hpp"

namespace alder::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMomentum = "momentum.";

// The tensors of an array in PyTorch's order, as views into it.
void add_views(std::map<std::string, TensorView>& views, std::span<const Tensor> tensors,
               std::span<const float> array, std::string_view prefix) {
  for (const Tensor& tensor : tensors) {
    views[std::string(prefix) + tensor.name] = {DType::f32, tensor.shape,
                                                std::as_bytes(array.subspan(tensor.offset, tensor.elements))};
  }
}

void read_tensors(const SafeTensors& file, std::span<const Tensor> tensors, std::string_view prefix,
                  std::span<float> array) {
  for (const Tensor& tensor : tensors) {
    const auto values = file.floats(std::string(prefix) + tensor.name, tensor.shape);
    std::ranges::copy(values, array.begin() + static_cast<std::ptrdiff_t>(tensor.offset));
  }
}

std::map<std::string, std::string> metadata(const Network& network, Step step) {
  return {{"format", "pt"},
          {"alder.model", network.name},
          {"alder.classes", std::to_string(network.classes)},
          {"alder.step", std::to_string(step)}};
}

SafeTensors read(const fs::path& path, const Network& network, const std::string& digest) {
  SafeTensors file = SafeTensors::read(path);
  const auto model = file.metadata().find("alder.model");
  if (model != file.metadata().end() && model->second != network.name) {
    fail("{} holds a {}, not a {}; give --model {}", path.string(), model->second, network.name,
         model->second);
  }
  if (!digest.empty() && file.digest() != digest) {
    const auto step = file.metadata().find("alder.step");
    fail("{} is not the file of this checkpoint: SHA-256 {}... instead of {}..., of step {}", path.string(),
         file.digest().substr(0, 12), digest.substr(0, 12),
         step == file.metadata().end() ? "unknown" : step->second);
  }
  return file;
}

}  // namespace

std::string save_model(const fs::path& path, const Engine& engine, std::span<const float> model, Step step) {
  const Network& network = engine.network();
  std::vector<float> array(network.elements);
  engine.export_array(model, array);
  std::map<std::string, TensorView> views;
  add_views(views, network.parameters, array, "");
  add_views(views, network.statistics, array, "");
  return write_safetensors(path, views, metadata(network, step));
}

void load_model(const fs::path& path, const Engine& engine, std::span<float> model,
                const std::string& digest) {
  const Network& network = engine.network();
  const SafeTensors file = read(path, network, digest);
  std::vector<float> array(network.elements);
  read_tensors(file, network.parameters, "", array);
  read_tensors(file, network.statistics, "", array);
  engine.import_array(array, model);
}

std::string save_momentum(const fs::path& path, Engine& engine, Step step) {
  const Network& network = engine.network();
  std::vector<float> array(network.elements);
  engine.export_array(engine.momentum(), array);
  std::map<std::string, TensorView> views;
  add_views(views, network.parameters, array, kMomentum);
  return write_safetensors(path, views, metadata(network, step));
}

void load_momentum(const fs::path& path, Engine& engine, const std::string& digest) {
  const Network& network = engine.network();
  const SafeTensors file = read(path, network, digest);
  std::vector<float> array(network.elements);
  read_tensors(file, network.parameters, kMomentum, array);
  engine.import_array(array, engine.momentum());
}

}  // namespace alder::train
