#include "train/single_step.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.hpp"
#include "models/network.hpp"
#include "train/safetensors.hpp"

namespace alder::train {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

namespace fs = std::filesystem;

constexpr int kCount = 3, kClasses = 5, kSize = 6, kChannels = 3;
constexpr int kPlane = kSize * kSize;

struct Stored {
  DType type;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};
using File = std::map<std::string, Stored>;

template <typename Value>
Stored stored(DType type, std::vector<int64_t> shape, const std::vector<Value>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {type, std::move(shape), {bytes.begin(), bytes.end()}};
}

void write(const fs::path& path, const File& file) {
  std::map<std::string, TensorView> views;
  for (const auto& [name, tensor] : file) views[name] = {tensor.type, tensor.shape, tensor.bytes};
  write_safetensors(path, views, {});
}

// Every tensor of `tiny`, filled with a wave that no two tensors share; variances stay positive.
File initial_weights() {
  File file;
  const Network network = make_network("tiny", kClasses, kSize, kSize);
  double phase = 0;
  for (const auto* tensors : {&network.parameters, &network.statistics}) {
    for (const Tensor& tensor : *tensors) {
      std::vector<float> values(tensor.elements);
      for (float& value : values) value = static_cast<float>(0.4 * std::sin(phase += 0.7));
      if (tensor.name.ends_with("running_var")) {
        for (float& value : values) value += 1.0F;
      }
      file[tensor.name] = stored(DType::f32, tensor.shape, values);
    }
  }
  return file;
}

std::vector<uint8_t> pixels() {
  std::vector<uint8_t> values(kCount * kChannels * kPlane);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<uint8_t>((i * i * 31 + i * 7) % 256);
  return values;
}

std::vector<float> normalised(const SingleStepOptions& options) {
  std::vector<float> values;
  for (const uint8_t pixel : pixels()) {
    const std::size_t channel = values.size() / kPlane % kChannels;
    values.push_back((static_cast<float>(pixel) / 255.0F - options.mean[channel]) /
                     options.deviation[channel]);
  }
  return values;
}

const std::vector<int64_t> kLabels = {4, 0, 2};
const std::vector<int64_t> kImageShape = {kCount, kChannels, kSize, kSize};

class SingleStep : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::ranges::replace(name, '/', '_');
    folder_ = fs::path(testing::TempDir()) / ("single_step_" + name);
    fs::create_directories(folder_);
    options_ = {.model = "tiny",
                .init = folder_ / "init.safetensors",
                .batch = folder_ / "batch.safetensors",
                .out = folder_ / "out.safetensors"};
    init_ = initial_weights();
    batch_ = {{"images", stored(DType::u8, kImageShape, pixels())},
              {"labels", stored(DType::i64, {kCount}, kLabels)}};
  }
  void TearDown() override { fs::remove_all(folder_); }

  SafeTensors run() {
    write(options_.init, init_);
    write(options_.batch, batch_);
    single_step(options_);
    return SafeTensors::read(options_.out);
  }

  fs::path folder_;
  SingleStepOptions options_;
  File init_, batch_;
};

// Probabilities by the definition, in double.
std::vector<double> softmax(std::span<const float> logits) {
  std::vector<double> result;
  double sum = 0;
  for (const float logit : logits) sum += result.emplace_back(std::exp(static_cast<double>(logit)));
  for (double& value : result) value /= sum;
  return result;
}

TEST_F(SingleStep, WritesLossAndClassifierGradientThatFollowFromItsLogits) {
  const SafeTensors out = run();
  const auto logits = out.floats("logits", std::vector<int64_t>{kCount, kClasses});
  std::vector<double> gradient(kClasses);
  double loss = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::vector<double> p = softmax(logits.subspan(i * kClasses, kClasses));
    const auto label = static_cast<std::size_t>(kLabels[i]);
    loss -= std::log(p[label]) / kCount;
    for (std::size_t k = 0; k < kClasses; ++k) gradient[k] += (p[k] - (k == label ? 1 : 0)) / kCount;
  }
  EXPECT_NEAR(out.floats("loss", {})[0], loss, 1e-5);
  const auto written = out.floats("grad.fc.bias", std::vector<int64_t>{kClasses});
  for (std::size_t k = 0; k < kClasses; ++k) EXPECT_NEAR(written[k], gradient[k], 1e-6) << k;
}

TEST_F(SingleStep, WritesAGradientForEachParameterAndNoWeights) {
  const SafeTensors out = run();
  const Network network = make_network("tiny", kClasses, kSize, kSize);
  for (const Tensor& tensor : network.parameters) {
    const auto gradient = out.floats("grad." + tensor.name, tensor.shape);
    double norm = 0;
    for (const float value : gradient) norm += static_cast<double>(value) * value;
    EXPECT_GT(norm, 0) << tensor.name;
  }
  for (const Tensor& tensor : network.statistics) {
    EXPECT_EQ(out.at(tensor.name).shape, tensor.shape);
  }
  EXPECT_EQ(out.tensors().size(), network.parameters.size() + network.statistics.size() + 2);
}

// The stem's convolution by its definition at one output position.
double stem(std::span<const float> images, std::span<const float> weight, int picture, int channel, int y,
            int x) {
  double sum = 0;
  for (int c = 0; c < kChannels; ++c) {
    for (int dy = 0; dy < 3; ++dy) {
      for (int dx = 0; dx < 3; ++dx) {
        const int row = y + dy - 1, column = x + dx - 1;
        if (row < 0 || row >= kSize || column < 0 || column >= kSize) continue;
        const int pixel = (picture * kChannels + c) * kPlane + row * kSize + column;
        const int tap = ((channel * kChannels + c) * 3 + dy) * 3 + dx;
        sum += static_cast<double>(images[static_cast<std::size_t>(pixel)]) *
               weight[static_cast<std::size_t>(tap)];
      }
    }
  }
  return sum;
}

// PyTorch: new = 0.9 old + 0.1 batch, the batch's variance with divisor n-1.
TEST_F(SingleStep, MovesTheRunningStatisticsTowardsTheBatchAsPyTorchDoes) {
  const SafeTensors out = run();
  const SafeTensors init = SafeTensors::read(options_.init);
  const std::vector<float> images = normalised(options_);
  const auto weight = init.floats("conv1.weight", std::vector<int64_t>{8, kChannels, 3, 3});
  constexpr double kSamples = kCount * kPlane;
  for (int channel = 0; channel < 8; ++channel) {
    double sum = 0, squares = 0;
    for (int i = 0; i < kCount * kPlane; ++i) {
      const double value = stem(images, weight, i / kPlane, channel, i % kPlane / kSize, i % kSize);
      sum += value;
      squares += value * value;
    }
    const double mean = sum / kSamples, variance = (squares - sum * mean) / (kSamples - 1);
    const auto at = [&](const SafeTensors& file, const char* name) {
      return static_cast<double>(
          file.floats(name, std::vector<int64_t>{8})[static_cast<std::size_t>(channel)]);
    };
    EXPECT_NEAR(at(out, "bn1.running_mean"), 0.9 * at(init, "bn1.running_mean") + 0.1 * mean, 1e-5)
        << channel;
    EXPECT_NEAR(at(out, "bn1.running_var"), 0.9 * at(init, "bn1.running_var") + 0.1 * variance, 1e-5)
        << channel;
  }
}

TEST_F(SingleStep, TakesPixelsAndNormalisedPicturesAlike) {
  const SafeTensors from_pixels = run();
  batch_["images"] = stored(DType::f32, kImageShape, normalised(options_));
  const SafeTensors from_floats = run();
  for (const auto& [name, view] : from_pixels.tensors()) {
    EXPECT_TRUE(std::ranges::equal(view.bytes, from_floats.at(name).bytes)) << name;
  }
}

TEST_F(SingleStep, SmoothsTheLabelsWhenAsked) {
  options_.label_smoothing = 0.2F;
  const SafeTensors out = run();
  const auto logits = out.floats("logits", std::vector<int64_t>{kCount, kClasses});
  double loss = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::vector<double> p = softmax(logits.subspan(i * kClasses, kClasses));
    for (std::size_t k = 0; k < kClasses; ++k) {
      const double target = 0.2 / kClasses + (static_cast<int64_t>(k) == kLabels[i] ? 0.8 : 0.0);
      loss -= target * std::log(p[k]) / kCount;
    }
  }
  EXPECT_NEAR(out.floats("loss", {})[0], loss, 1e-5);
}

TEST_F(SingleStep, IgnoresPyTorchsCountOfBatches) {
  init_["bn1.num_batches_tracked"] = stored(DType::i64, {}, std::vector<int64_t>{7});
  EXPECT_NO_THROW(run());
}

struct BadInput {
  const char* name;
  std::function<void(File& init, File& batch, SingleStepOptions& options)> spoil;
  std::vector<const char*> messages;
};

void PrintTo(const BadInput& input, std::ostream* out) {
  *out << input.name;
}

class SpoiledStep : public SingleStep, public testing::WithParamInterface<BadInput> {};

TEST_P(SpoiledStep, IsRefusedWithFileAndTensorNamed) {
  GetParam().spoil(init_, batch_, options_);
  for (const char* message : GetParam().messages) {
    EXPECT_THAT([&] { run(); }, ThrowsMessage<Error>(HasSubstr(message)));
  }
  EXPECT_FALSE(fs::exists(options_.out));
}

using Options = SingleStepOptions;
const Stored kFloat = stored(DType::f32, {1}, std::vector<float>{0});

const BadInput kBadInputs[] = {
    {"MissingTensor",
     [](File& init, File&, Options&) { init.erase("layer1.0.conv1.weight"); },
     {"init.safetensors does not fit model tiny", "missing: layer1.0.conv1.weight"}},
    {"ManyMissing",
     [](File& init, File&, Options&) {
       std::erase_if(init, [](auto& item) { return item.first.starts_with("layer"); });
     },
     {"missing: layer1.0.conv1.weight, layer1.0.bn1.weight, layer1.0.bn1.bias and 19 more"}},
    {"ExtraTensor",
     [](File& init, File&, Options&) { init["layer9.weight"] = kFloat; },
     {"not in the model: layer9.weight"}},
    {"NoClassifier",
     [](File& init, File&, Options&) { init.erase("fc.weight"); },
     {"init.safetensors: tensor fc.weight is missing"}},
    {"FlatClassifier",
     [](File& init, File&, Options&) { init["fc.weight"] = kFloat; },
     {"fc.weight has shape [1]", "[classes, features]"}},
    {"WrongShape",
     [](File& init, File&, Options&) { init["bn1.weight"] = kFloat; },
     {"'bn1.weight' has shape [1], [8] is needed"}},
    {"WrongType",
     [](File& init, File&, Options&) {
       init["bn1.weight"] = stored(DType::f64, {8}, std::vector<double>(8));
     },
     {"'bn1.weight' is F64, F32 is needed"}},
    {"UnknownModel", [](File&, File&, Options& options) { options.model = "tini"; }, {"did you mean tiny"}},
    {"NoImages",
     [](File&, File& batch, Options&) { batch.erase("images"); },
     {"batch.safetensors: unknown tensor 'images'"}},
    {"NoLabels",
     [](File&, File& batch, Options&) { batch.erase("labels"); },
     {"batch.safetensors: unknown tensor 'labels'"}},
    {"ImagesOfDoubles",
     [](File&, File& batch, Options&) {
       batch["images"] = stored(DType::f64, {1, 3, 2, 2}, std::vector<double>(12));
     },
     {"images is F64; U8 (pixels) or F32"}},
    {"ImagesWithoutChannels",
     [](File&, File& batch, Options&) {
       batch["images"] = stored(DType::u8, {1, 2, 2}, std::vector<uint8_t>(4));
     },
     {"images has shape [1, 2, 2]; [N, 3, height, width]"}},
    {"NoPictures",
     [](File&, File& batch, Options&) {
       batch["images"] = stored(DType::u8, {0, 3, 6, 6}, std::vector<uint8_t>());
     },
     {"images has shape [0, 3, 6, 6]"}},
    {"FewerLabels",
     [](File&, File& batch, Options&) {
       batch["labels"] = stored(DType::i64, {2}, std::vector<int64_t>{0, 1});
     },
     {"labels is I64 [2]; I64 [3] is needed"}},
    {"ShortLabels",
     [](File&, File& batch, Options&) {
       batch["labels"] = stored(DType::i32, {3}, std::vector<int32_t>{0, 1, 2});
     },
     {"labels is I32 [3]"}},
    {"LabelTooLarge",
     [](File&, File& batch, Options&) {
       batch["labels"] = stored(DType::i64, {3}, std::vector<int64_t>{0, 5, 1});
     },
     {"label 5 of picture 1 is outside 0 to 4"}},
    {"NegativeLabel",
     [](File&, File& batch, Options&) {
       batch["labels"] = stored(DType::i64, {3}, std::vector<int64_t>{-1, 0, 1});
     },
     {"label -1 of picture 0"}},
    {"NoThreads", [](File&, File&, Options& options) { options.threads = 0; }, {"--threads 0"}},
    {"SmoothingOfOne",
     [](File&, File&, Options& options) { options.label_smoothing = 1; },
     {"--label-smoothing 1"}},
    {"TwoMeans",
     [](File&, File&, Options& options) {
       options.mean = {0, 0};
     },
     {"2 and 3 values"}},
    {"DeviationOfZero",
     [](File&, File&, Options& options) {
       options.deviation = {1, 0, 1};
     },
     {"deviation 0"}},
};

INSTANTIATE_TEST_SUITE_P(Inputs, SpoiledStep, testing::ValuesIn(kBadInputs),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace alder::train
