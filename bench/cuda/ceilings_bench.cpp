// What the device gives at most: memory copied, caches read, tensor cores fed, kernels started. Kernels'
// tables are read against these figures, taken on the same card in the same session.
//
//   ceilings_bench --json ceilings.json
//
// Columns: the median over the rounds, and the best. Rates of reading count each byte once; a copy counts
// two.
#include <CLI/CLI.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "ceiling_kernels.hpp"
#include "measure.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using ceilings::Tensor;

struct Options {
  std::string json;
  int rounds = 10, steps = 4096, copy_mib = 512;
};

class Table {
 public:
  Table(const Stream& stream, int rounds) : stream_(stream), rounds_(rounds) {
    fmt::print("| ceiling | median | best | unit |\n|---|---|---|---|\n");
  }

  // `amount` of `unit` times a microsecond.
  void add(const std::string& name, const std::string& unit, double amount,
           const std::function<void()>& body) {
    const Measurement time = measure(stream_, {body}, rounds_)[0];
    row(name, unit, amount / time.median_us, amount / time.best_us);
  }
  // Microseconds of one of the `count` things that a body does.
  void add_time(const std::string& name, int count, const std::function<void()>& body) {
    const Measurement time = measure(stream_, {body}, rounds_)[0];
    row(name, "us", time.median_us / count, time.best_us / count);
  }
  const nlohmann::json& rows() const { return rows_; }

 private:
  void row(const std::string& name, const std::string& unit, double median, double best) {
    fmt::print("| {} | {:.4g} | {:.4g} | {} |\n", name, median, best, unit);
    rows_.push_back({{"ceiling", name}, {"unit", unit}, {"median", median}, {"best", best}});
  }

  const Stream& stream_;
  int rounds_;
  nlohmann::json rows_ = nlohmann::json::array();
};

void memory_rows(Table& table, const Stream& stream, const DeviceProperties& device, int copy_mib) {
  const std::size_t bytes = std::size_t(copy_mib) << 20;
  const DeviceMemory from(bytes, "what is read"), to(bytes, "what is written");
  const DeviceArray<uint32_t> sink(1, "sink");
  fill(stream, from.data(), 1, bytes);
  const auto gigabytes = [](double count) { return count * 1e-3; };  // bytes a microsecond to GB/s
  table.add(fmt::format("copy of {} MiB", copy_mib), "GB/s", gigabytes(2.0 * static_cast<double>(bytes)),
            [&] { copy(stream, to.data(), from.data(), bytes); });
  table.add(fmt::format("read of {} MiB", copy_mib), "GB/s", gigabytes(static_cast<double>(bytes)),
            [&] { ceilings::read_over(stream, device, from.data(), bytes, 1, sink.data()); });
  for (const int mib : {8, 16, 32, 48}) {
    if (mib > copy_mib) continue;
    constexpr int kTimes = 8;
    const std::size_t part = std::size_t(mib) << 20;
    table.add(fmt::format("read of {} MiB, {} times over", mib, kTimes), "GB/s",
              gigabytes(static_cast<double>(part) * kTimes),
              [&] { ceilings::read_over(stream, device, from.data(), part, kTimes, sink.data()); });
  }
}

void tensor_rows(Table& table, const Stream& stream, const DeviceProperties& device, int steps) {
  const DeviceArray<float> sink(ceilings::multiply_sink(device), "sink");
  const auto add = [&](const std::string& name, Tensor tensor, int columns) {
    const double flops = ceilings::multiply(stream, device, tensor, columns, steps, sink.data());
    table.add(name, "TFLOP/s", flops * 1e-6,
              [&] { ceilings::multiply(stream, device, tensor, columns, steps, sink.data()); });
  };
  add("mma.sync m16n8k16", Tensor::mma, 0);
  if (device.capability < 90) return;
  for (const int columns : {64, 128, 256}) {
    add(fmt::format("wgmma m64n{}k16, both shared", columns), Tensor::wgmma_shared, columns);
    add(fmt::format("wgmma m64n{}k16, A in registers", columns), Tensor::wgmma_registers, columns);
  }
}

void launch_rows(Table& table, const Stream& stream) {
  constexpr int kKernels = 64;
  for (const bool programmatic : {false, true}) {
    table.add_time(programmatic ? "next kernel of a graph, programmatic" : "next kernel of a graph", kKernels,
                   [&] {
                     for (int i = 0; i < kKernels; ++i) ceilings::nothing(stream, programmatic);
                   });
  }
}

void run(const Options& options) {
  require_device();
  const Stream stream("the ceilings");
  const DeviceProperties device = device_properties(0);
  fmt::print("{}\n\n", describe_device());
  Table table(stream, options.rounds);
  memory_rows(table, stream, device, options.copy_mib);
  tensor_rows(table, stream, device, options.steps);
  launch_rows(table, stream);
  if (options.json.empty()) return;
  std::ofstream file(options.json);
  file << nlohmann::json{{"device", describe_device()}, {"ceilings", table.rows()}}.dump(1) << "\n";
  if (!file.flush()) fail("{}: cannot be written", options.json);
}

}  // namespace
}  // namespace alder::ALDER_BACKEND

int main(int count, char** words) {
  CLI::App app("Measures what the device gives at most");
  alder::ALDER_BACKEND::Options options;
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--steps", options.steps, "multiplications in a row")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--copy-mib", options.copy_mib, "size of the copy")
      ->check(CLI::Range(1, 16384))
      ->capture_default_str();
  app.add_option("--json", options.json, "file that receives the table");
  CLI11_PARSE(app, count, words);
  try {
    alder::ALDER_BACKEND::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "ceilings_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
