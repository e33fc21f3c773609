// The convolutions of a network, each distinct one in every direction by every variant that can do it.
//
//   convolution_bench --model resnet-18 --batch 512 --json convolutions.jsonl
//
// Columns: the median time of a call, TFLOP/s, GB/s of x, w and y (each counted once), and the share of the
// floor, which is the larger of multiplying at --tflops and moving at --gbs: give the rates that the same
// machine has shown. `differs` is the largest difference from the first variant's result, relative to its
// largest value; above 2 % the program fails. `*` marks the variant that the registry chooses.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "cuda/emulator/bf16.hpp"
#include "cuda/kernels/convolution.hpp"
#include "cuda/runtime.hpp"
#include "models/network.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using namespace convolution;  // NOLINT: the subject of this program

struct Options {
  std::string model = "resnet-18", variant, json;
  int batch = 128, rounds = 15;
  double tflops = 790, gbs = 4300;
};

struct Layer {
  Problem problem;
  int count = 0;  // in the network
  bool first = false;
};

std::vector<Layer> layers_of(const Network& network, int batch) {
  std::map<std::tuple<int, int, int, int, int, int>, Layer> distinct;
  for (const alder::Layer& layer : network.layers) {
    if (layer.op != Op::convolution) continue;
    const alder::Layer& input = network.layers[static_cast<std::size_t>(layer.input)];
    const Problem problem{batch,          input.height, input.width, input.channels,
                          layer.channels, layer.kernel, layer.stride};
    Layer& entry = distinct[{-problem.height, problem.channels, problem.filters, problem.kernel,
                             problem.stride, problem.width}];
    entry.problem = problem;
    entry.first = input.op == Op::input;
    ++entry.count;
  }
  std::vector<Layer> layers;
  for (const auto& [key, layer] : distinct) layers.push_back(layer);
  return layers;
}

// x, weights and dy with values, results with NaN, and the largest workspace of any variant.
class Data {
 public:
  Data(const Stream& stream, const DeviceProperties& device, const Problem& problem)
      : stream_(stream),
        device_(device),
        problem_(problem),
        x_(random(problem.x_values(), 1, "x")),
        weights_(random(problem.weights(), 2, "weights")),
        dy_(random(problem.y_values(), 3, "dy")),
        result_(4 * std::max({problem.x_values() / 2 + 1, problem.y_values() / 2 + 1, problem.weights()}),
                "result") {}

  void run(const Variant& variant, Direction direction) {
    const WorkspaceSize size = variant.workspace(problem_, direction, device_);
    if (size.bytes > workspace_.bytes()) workspace_ = DeviceMemory(size.bytes, "workspace");
    if (size.counters > counters_.size()) {
      counters_ = DeviceArray<uint32_t>(size.counters, "counters");
      fill(stream_, counters_.data(), 0, size.counters * sizeof(uint32_t));
    }
    const Workspace workspace{workspace_.data(), counters_.data()};
    switch (direction) {
      case Direction::forward:
        return variant.forward(stream_, device_, problem_,
                               {.x = x_.data(),
                                .weights = weights_.data(),
                                .y = result_.at<uint16_t>(),
                                .workspace = workspace});
      case Direction::data_gradient:
        return variant.data_gradient(stream_, device_, problem_,
                                     {.dy = dy_.data(),
                                      .weights = weights_.data(),
                                      .dx = result_.at<uint16_t>(),
                                      .workspace = workspace});
      case Direction::weight_gradient:
        return variant.weight_gradient(
            stream_, device_, problem_,
            {.x = x_.data(), .dy = dy_.data(), .dw = result_.at<float>(), .workspace = workspace});
    }
  }

  std::vector<float> result(Direction direction) const {
    std::vector<float> values;
    if (direction == Direction::weight_gradient) {
      values.resize(problem_.weights());
      copy(stream_, values.data(), result_.data(), values.size() * sizeof(float));
      stream_.synchronize();
      return values;
    }
    std::vector<uint16_t> words(direction == Direction::forward ? problem_.y_values() : problem_.x_values());
    copy(stream_, words.data(), result_.data(), words.size() * sizeof(uint16_t));
    stream_.synchronize();
    for (const uint16_t word : words) values.push_back(emulator::from_bf16(word));
    return values;
  }

  void poison() { fill(stream_, result_.data(), 0xFF, result_.bytes()); }

 private:
  DeviceArray<uint16_t> random(std::size_t count, uint64_t stream_number, const char* what) const {
    std::vector<uint16_t> values(count);
    uint64_t state = stream_number * 0x9E3779B97F4A7C15U;  // as good as any for timing: never the same twice
    for (uint16_t& value : values) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      value = emulator::to_bf16(static_cast<float>(static_cast<int32_t>(state >> 32)) * 0x1p-31F);
    }
    DeviceArray<uint16_t> array(count, what);
    array.upload(stream_, values);
    return array;
  }

  const Stream& stream_;
  const DeviceProperties& device_;
  Problem problem_;
  DeviceArray<uint16_t> x_, weights_, dy_;
  DeviceMemory result_, workspace_;
  DeviceArray<uint32_t> counters_;
};

double median_microseconds(const Stream& stream, int rounds, const auto& call) {
  constexpr int kWarmUp = 3;
  for (int i = 0; i < kWarmUp; ++i) call();
  std::vector<double> times;
  Event begin(Event::Timing::on), end(Event::Timing::on);
  for (int i = 0; i < rounds; ++i) {
    begin.record(stream);
    call();
    end.record(stream);
    end.synchronize();
    times.push_back(1e3 * Event::milliseconds(begin, end));
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[static_cast<std::size_t>(rounds / 2)];
}

double difference(std::span<const float> values, std::span<const float> reference) {
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, std::fabs(double(reference[i])));
    const double away = std::fabs(double(values[i]) - double(reference[i]));
    worst = std::isnan(away) ? INFINITY : std::max(worst, away);
  }
  return worst / std::max(largest, 1e-30);
}

double floor_microseconds(const Options& options, const Problem& p, Direction direction) {
  const double weight_bytes = direction == Direction::weight_gradient ? 4 : 2;
  const double bytes =
      2.0 * (double(p.x_values()) + double(p.y_values())) + weight_bytes * double(p.weights());
  return std::max(2 * p.multiply_adds() / options.tflops * 1e-6, bytes / options.gbs * 1e-3);
}

struct Total {
  double microseconds = 0, floor = 0;
};

class Report {
 public:
  explicit Report(const Options& options) : options_(options) {
    if (!options.json.empty()) json_.open(options.json);
    std::printf("%-32s %2s  %-15s %-8s %9s %8s %7s %8s %7s  %s\n", "problem", "x", "direction", "variant",
                "us", "TFLOP/s", "GB/s", "floor us", "% floor", "differs");
  }

  void row(const Layer& layer, Direction direction, const Variant& variant, bool chosen, double microseconds,
           double differs) {
    const Problem& p = layer.problem;
    const double floor = floor_microseconds(options_, p, direction);
    const double tflops = 2 * p.multiply_adds() / microseconds * 1e-6;
    const double gbs = (2.0 * (double(p.x_values()) + double(p.y_values())) + 2.0 * double(p.weights())) /
                       microseconds * 1e-3;
    std::printf("%-32s %2d  %-15s %-8s %9.1f %8.1f %7.0f %8.1f %7.0f  %.1e%s\n", to_string(p).c_str(),
                layer.count, std::string(to_string(direction)).c_str(), std::string(variant.name()).c_str(),
                microseconds, tflops, gbs, floor, 100 * floor / microseconds, differs, chosen ? " *" : "");
    if (json_.is_open()) {
      json_ << fmt::format(
          R"({{"problem":"{}","count":{},"direction":"{}","variant":"{}","chosen":{},"microseconds":{:.3f},)"
          R"("tflops":{:.2f},"floor_microseconds":{:.3f},"differs":{:.3e}}})"
          "\n",
          to_string(p), layer.count, to_string(direction), variant.name(), chosen, microseconds, tflops,
          floor, differs);
    }
    if (chosen) {
      total_.microseconds += layer.count * microseconds;
      total_.floor += layer.count * floor;
    }
  }

  void end() const {
    std::printf("all convolutions of a step of %s at batch %d, as chosen: %.3f ms, floor %.3f ms (%.0f %%)\n",
                options_.model.c_str(), options_.batch, total_.microseconds * 1e-3, total_.floor * 1e-3,
                100 * total_.floor / total_.microseconds);
  }

 private:
  const Options& options_;
  std::ofstream json_;
  Total total_;
};

bool bench_direction(const Options& options, const Stream& stream, const DeviceProperties& device, Data& data,
                     const Layer& layer, Direction direction, Report& report) {
  constexpr double kMostDifference = 0.02;
  const Choice choice = choose(layer.problem, direction, device);
  std::vector<float> reference;
  bool right = true;
  for (const Variant* variant : variants()) {
    if (!options.variant.empty() && variant->name() != options.variant) continue;
    if (!variant->refusal(layer.problem, direction, device).empty()) continue;
    data.poison();
    const double time = median_microseconds(stream, options.rounds, [&] { data.run(*variant, direction); });
    const std::vector<float> result = data.result(direction);
    if (reference.empty()) reference = result;
    const double differs = difference(result, reference);
    right = right && differs <= kMostDifference;
    report.row(layer, direction, *variant, variant == choice.variant, time, differs);
  }
  return right;
}

int run(const Options& options) {
  const DeviceCount count = count_devices();
  if (count.devices == 0) {
    std::fprintf(stderr, "convolution_bench: no GPU (%s)\n", count.why_none.c_str());
    return 1;
  }
  if (!options.variant.empty()) find_variant(options.variant);
  set_device(0);
  const DeviceProperties device = device_properties(0);
  const Stream stream("convolution_bench");
  std::printf("%s, %d multiprocessors; floors at %.0f TFLOP/s, %.0f GB/s\n", device.name.c_str(),
              device.multiprocessors, options.tflops, options.gbs);
  Report report(options);
  bool right = true;
  for (const Layer& layer : layers_of(make_network(options.model, 10), options.batch)) {
    Data data(stream, device, layer.problem);
    for (const Direction direction :
         {Direction::forward, Direction::data_gradient, Direction::weight_gradient}) {
      if (layer.first && direction == Direction::data_gradient) continue;
      right = bench_direction(options, stream, device, data, layer, direction, report) && right;
    }
  }
  report.end();
  if (!right) std::fprintf(stderr, "convolution_bench: variants do not agree\n");
  return right ? 0 : 1;
}

}  // namespace
}  // namespace alder::ALDER_BACKEND

int main(int argc, char** argv) {
  alder::ALDER_BACKEND::Options options;
  CLI::App app("Times the convolutions of a network, each variant against its floor");
  app.add_option("--model", options.model, "network")->capture_default_str();
  app.add_option("--batch", options.batch, "pictures")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--rounds", options.rounds, "timed calls")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--variant", options.variant, "only this one");
  app.add_option("--tflops", options.tflops, "rate of multiplying for the floor")->capture_default_str();
  app.add_option("--gbs", options.gbs, "rate of memory for the floor, GB/s")->capture_default_str();
  app.add_option("--json", options.json, "also write the rows here, one JSON object a line");
  CLI11_PARSE(app, argc, argv);
  try {
    return alder::ALDER_BACKEND::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "convolution_bench: %s\n", error.what());
    return 1;
  }
}
