// Every kernel of a training step of one model, each at the shapes that the model has: time, bytes or
// operations, and how near that is to what memory and tensor cores give.
//
//   kernels_bench --model resnet-18 --batch 512 --flops 790 --json kernels.json
//
// `times`: how often the shape occurs in a step; 0: not in this model or not in every step. Bytes are those
// that the kernel must move (its header names the floor); the floor is the larger of bytes at the rate of a
// copy and operations at --flops. Without --copy-rate a copy of 256 MiB is measured first. Results are not
// looked at: tests/cuda does that.
#include <CLI/CLI.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "kernel_rows.hpp"
#include "measure.hpp"

namespace alder::ALDER_BACKEND {
namespace {

struct Options {
  std::string model = "resnet-18", only, json;
  int batch = 128, rounds = 20;
  double copy_rate = 0;  // GB/s
  double flops = 0;      // TFLOP/s
};

double measured_copy_rate(const Stream& stream, int rounds) {
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  const DeviceMemory from(kBytes, "what is copied"), to(kBytes, "the copy");
  fill(stream, from.data(), 0, kBytes);
  const auto times = measure(stream, {[&] { copy(stream, to.data(), from.data(), kBytes); }}, rounds);
  return 2.0 * kBytes / times[0].median_us * 1e-3;
}

nlohmann::json measure_row(const Stream& stream, const Row& row, double copy_rate, const Options& options) {
  const Measurement time = measure(stream, {row.run}, options.rounds)[0];
  const double memory_us = row.bytes / copy_rate * 1e-3;
  const double compute_us = options.flops > 0 ? row.flops / options.flops * 1e-6 : 0;
  const double floor_us = std::max(memory_us, compute_us);
  fmt::print("| {} | {} | {} | {:.1f} | {:.0f} | {} | {:.1f} | {:.0f} |\n", row.kernel, row.shape, row.times,
             time.median_us, row.bytes / time.median_us * 1e-3,
             row.flops > 0 ? fmt::format("{:.1f}", row.flops / time.median_us * 1e-6) : "", floor_us,
             100 * floor_us / time.median_us);
  return {{"kernel", row.kernel},        {"shape", row.shape},      {"times", row.times},
          {"median_us", time.median_us}, {"best_us", time.best_us}, {"bytes", row.bytes},
          {"flops", row.flops},          {"floor_us", floor_us}};
}

void run(const Options& options) {
  require_device();
  const Stream stream("the kernel benchmark");
  const DeviceProperties device = device_properties(0);
  const Network network = make_network(options.model, 10);
  const ModelShapes shapes(network, options.batch);
  const double copy_rate =
      options.copy_rate > 0 ? options.copy_rate : measured_copy_rate(stream, options.rounds);
  fmt::print(
      "{}\n{}, batch {}; copy {:.0f} GB/s{}\n\n"
      "| kernel | shape | times | us | GB/s | TFLOP/s | floor us | % of floor "
      "|\n|---|---|---|---|---|---|---|---|\n",
      describe_device(), network.name, options.batch, copy_rate, options.copy_rate > 0 ? " (as given)" : "");
  const Operands operands(stream, device, shapes);
  nlohmann::json rows = nlohmann::json::array();
  for (const Row& row : kernel_rows(stream, device, network, shapes, operands)) {
    if (row.kernel.find(options.only) == std::string::npos) continue;
    rows.push_back(measure_row(stream, row, copy_rate, options));
  }
  if (rows.empty()) usage_error("no kernel has '{}' in its name", options.only);
  if (options.json.empty()) return;
  const nlohmann::json all{{"device", describe_device()},
                           {"model", network.name},
                           {"batch", options.batch},
                           {"copy_gigabytes_per_second", copy_rate},
                           {"kernels", rows}};
  std::ofstream file(options.json);
  file << all.dump(1) << "\n";
  if (!file.flush()) fail("{}: cannot be written", options.json);
}

}  // namespace
}  // namespace alder::ALDER_BACKEND

int main(int count, char** words) {
  using namespace alder::ALDER_BACKEND;
  CLI::App app("Times every kernel of a training step at a model's shapes");
  Options options;
  app.add_option("--model", options.model)->capture_default_str();
  app.add_option("--batch", options.batch)->check(CLI::Range(1, 65536))->capture_default_str();
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--only", options.only, "kernels with this in their name");
  app.add_option("--copy-rate", options.copy_rate, "GB/s that memory gives; 0: measured")
      ->capture_default_str();
  app.add_option("--flops", options.flops, "TFLOP/s that tensor cores give; 0: unknown")
      ->capture_default_str();
  app.add_option("--json", options.json, "file that receives the table");
  CLI11_PARSE(app, count, words);
  try {
    run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "kernels_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
