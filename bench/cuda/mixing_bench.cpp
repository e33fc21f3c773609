// The mixing pass against a copy of as many bytes, both in this run, in turns.
//
//   mixing_bench --models resnet-50,wrn-28-10 --degrees 0,1,2,4,8 --slots fp32,bf16 --json mixing.json
//
// Bytes are those that the algorithm needs: for each parameter 22 + 4 d (2 d with slots in bf16), see
// cuda/kernels/mixing.hpp. The copy reads half of them and writes half. Every value of every result is
// checked.
#include <CLI/CLI.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cuda/emulator/bf16.hpp"
#include "cuda/kernels/mixing.hpp"
#include "measure.hpp"

namespace alder::ALDER_BACKEND {
namespace {

struct Options {
  std::vector<std::string> models{"resnet-50", "wrn-28-10"}, slots{"fp32", "bf16"};
  std::vector<int> degrees{0, 1, 2, 3, 4, 5, 6, 7, 8};
  int rounds = 20;
  uint32_t blocks = 0;
  std::string json;
};

constexpr float kGradient = 0.5F, kMomentum = 0.25F;
constexpr OptimizerSettings kOptimizer{.learning_rate = 0.1F, .momentum = 0.9F, .weight_decay = 0.01F};

// Every value of model k is k + 1, which bf16 has.
float model_value(int k) {
  return static_cast<float>(k + 1);
}

DeviceMemory filled(const Stream& stream, std::size_t elements, float value, bool bf16,
                    std::string_view purpose) {
  DeviceMemory memory(elements * (bf16 ? sizeof(uint16_t) : sizeof(float)), purpose);
  if (bf16) {
    const std::vector<uint16_t> values(elements, emulator::to_bf16(value));
    copy(stream, memory.data(), values.data(), memory.bytes());
    stream.synchronize();
  } else {
    const std::vector<float> values(elements, value);
    copy(stream, memory.data(), values.data(), memory.bytes());
    stream.synchronize();
  }
  return memory;
}

// What one element must come to, in the roundings of mixing.hpp. This file is compiled without contraction.
float expected_value(const Segment& segment, std::span<const float> row, bool bf16) {
  float mixed = bf16 ? model_value(0) : row[0] * model_value(0);
  for (std::size_t k = 1; k < row.size(); ++k) {
    const float source = model_value(static_cast<int>(k));
    mixed = mixed + row[k] * (bf16 ? source - model_value(0) : source);
  }
  if (segment.statistics) return mixed - segment.statistics_rate * kGradient;
  const float gradient = kGradient + kOptimizer.weight_decay * model_value(0);
  return mixed - kOptimizer.learning_rate * (kOptimizer.momentum * kMomentum + gradient);
}

class MixingBench {
 public:
  MixingBench(const Stream& stream, const Network& network, int degree, bool bf16, const Options& options)
      : stream_(stream),
        network_(network),
        segments_(segments_of(network)),
        kinds_(stream, segments_),
        degree_(degree),
        bf16_(bf16),
        options_(options),
        row_(static_cast<std::size_t>(degree) + 1, 1.0F / static_cast<float>(degree + 1)),
        device_row_(row_.size(), "row"),
        settings_(1, "settings"),
        gradients_(filled(stream, elements(), kGradient, false, "gradients")),
        momentum_(filled(stream, elements(), kMomentum, false, "momentum")),
        target_(elements() * sizeof(float), "target"),
        copy_(elements() * sizeof(uint16_t), "compute copy") {
    device_row_.upload(stream, row_);
    settings_.upload(stream, std::vector{mixing_settings(kOptimizer, StatisticsMode::average)});
    for (int k = 0; k <= degree; ++k) {
      models_.push_back(filled(stream, elements(), model_value(k), bf16 && k > 0, "a model"));
      sources_.push_back({models_.back().data(), bf16 && k > 0});
    }
  }

  // Bytes of one pass.
  double bytes() const { return static_cast<double>(elements()) * bytes_of_element(); }
  int bytes_of_element() const { return 22 + degree_ * (bf16_ ? 2 : 4); }

  // One pass, its result held against the formulas.
  void check() {
    run();
    std::vector<float> target(elements());
    copy(stream_, target.data(), target_.data(), target_.bytes());
    stream_.synchronize();
    for (const Segment& segment : segments_) {
      const float expected = expected_value(segment, row_, bf16_);
      for (std::size_t i = segment.begin; i < segment.end; ++i) {
        if (target[i] != expected) {
          fail("wrong result with {} neighbours in {}: element {} is {} instead of {}", degree_,
               bf16_ ? "bf16" : "fp32", i, target[i], expected);
        }
      }
    }
  }

  void run() const {
    mix(stream_, {.sources = sources_,
                  .row = device_row_.data(),
                  .settings = settings_.data(),
                  .kinds = &kinds_,
                  .self = models_[0].at<float>(),
                  .gradients = gradients_.at<float>(),
                  .momentum = momentum_.at<float>(),
                  .target = target_.at<float>(),
                  .copy = copy_.at<uint16_t>(),
                  .blocks = options_.blocks});
  }

 private:
  std::size_t elements() const { return network_.elements; }

  const Stream& stream_;
  const Network& network_;
  std::vector<Segment> segments_;
  MixingKinds kinds_;
  int degree_;
  bool bf16_;
  const Options& options_;
  std::vector<float> row_;
  DeviceArray<float> device_row_;
  DeviceArray<MixingSettings> settings_;
  DeviceMemory gradients_, momentum_, target_, copy_;
  std::vector<DeviceMemory> models_;
  std::vector<MixingSource> sources_;
};

nlohmann::json measure_one(const Stream& stream, const Network& network, int degree, bool bf16,
                           const Options& options) {
  MixingBench bench(stream, network, degree, bf16, options);
  bench.check();
  const auto half = static_cast<std::size_t>(bench.bytes() / 2);
  const DeviceMemory from(half, "what is copied"), to(half, "the copy");
  fill(stream, from.data(), 0, half);
  const auto times = measure(
      stream, {[&] { bench.run(); }, [&] { copy(stream, to.data(), from.data(), half); }}, options.rounds);
  const auto rate = [](double bytes, double us) { return bytes / us * 1e-3; };  // GB/s
  const double mixing = rate(bench.bytes(), times[0].median_us);
  const double copying = rate(2.0 * static_cast<double>(half), times[1].median_us);
  fmt::print("| {} | {} | {} | {} | {} | {:.1f} | {:.0f} | {:.0f} | {:.1f} |\n", network.name,
             network.parameter_count, degree, bf16 ? "bf16" : "fp32", bench.bytes_of_element(),
             times[0].median_us, mixing, copying, 100 * mixing / copying);
  return {{"model", network.name},
          {"parameters", network.parameter_count},
          {"neighbours", degree},
          {"slots", bf16 ? "bf16" : "fp32"},
          {"bytes_per_parameter", bench.bytes_of_element()},
          {"median_us", times[0].median_us},
          {"best_us", times[0].best_us},
          {"gigabytes_per_second", mixing},
          {"copy_gigabytes_per_second", copying}};
}

void run(const Options& options) {
  require_device();
  const Stream stream("the mixing benchmark");
  fmt::print(
      "{}\n\n| model | parameters | neighbours | slots | B/parameter | us | GB/s | copy GB/s | % of copy |\n"
      "|---|---|---|---|---|---|---|---|---|\n",
      describe_device());
  nlohmann::json rows;
  for (const std::string& model : options.models) {
    const Network network = make_network(model, 10);
    for (const std::string& slots : options.slots) {
      for (const int degree : options.degrees) {
        if (slots == "bf16" && degree == 0) continue;  // no slots
        rows.push_back(measure_one(stream, network, degree, slots == "bf16", options));
      }
    }
  }
  if (options.json.empty()) return;
  std::ofstream file(options.json);
  file << nlohmann::json{{"device", describe_device()}, {"mixing", rows}}.dump(1) << "\n";
  if (!file.flush()) fail("{}: cannot be written", options.json);
}

}  // namespace
}  // namespace alder::ALDER_BACKEND

int main(int count, char** words) {
  using namespace alder::ALDER_BACKEND;
  CLI::App app("Times the mixing pass against a copy of as many bytes");
  Options options;
  app.add_option("--models", options.models)->delimiter(',')->capture_default_str();
  app.add_option("--degrees", options.degrees, "numbers of neighbours")
      ->delimiter(',')
      ->check(CLI::Range(0, 127))
      ->capture_default_str();
  app.add_option("--slots", options.slots, "what neighbours' models are in")
      ->delimiter(',')
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--blocks", options.blocks, "of the grid, at most; 0: one for each tile")
      ->capture_default_str();
  app.add_option("--json", options.json, "file that receives the table");
  CLI11_PARSE(app, count, words);
  try {
    run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mixing_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
