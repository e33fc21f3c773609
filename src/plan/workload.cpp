#include "plan/workload.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <string>

#include "base/error.hpp"

namespace alder::plan {
namespace {

struct ByteUnit {
  std::string_view name;
  double bytes;
};
constexpr std::array<ByteUnit, 9> kByteUnits{{{"", 1},
                                              {"B", 1},
                                              {"kB", 1e3},
                                              {"MB", 1e6},
                                              {"GB", 1e9},
                                              {"TB", 1e12},
                                              {"KiB", 0x1p10},
                                              {"MiB", 0x1p20},
                                              {"GiB", 0x1p30}}};

}  // namespace

Wire parse_wire(std::string_view word) {
  if (word == "fp32") return Wire::fp32;
  if (word == "bf16") return Wire::bf16;
  throw UsageError(unknown_name("wire format", word, std::array<std::string, 2>{"fp32", "bf16"}));
}

std::string_view to_string(Wire wire) {
  return wire == Wire::fp32 ? "fp32" : "bf16";
}

void check(const Workload& workload) {
  if (!std::isfinite(workload.model_bytes) || workload.model_bytes <= 0)
    usage_error("--model-bytes {}: a model has more than 0 bytes", workload.model_bytes);
  if (workload.step_ms && (!std::isfinite(*workload.step_ms) || *workload.step_ms <= 0)) {
    usage_error("--step-time {}: forward and backward take more than 0 ms", *workload.step_ms);
  }
  if (!(workload.backward_share >= 0 && workload.backward_share <= 1)) {
    usage_error("--backward-share {}: a share of the step, 0 to 1", workload.backward_share);
  }
}

double wire_bytes(const Workload& workload) {
  return workload.model_bytes * (workload.wire == Wire::bf16 ? 0.5 : 1);
}

int buckets(double model_bytes, double bucket_bytes) {
  if (bucket_bytes <= 0) return 1;
  return static_cast<int>(std::clamp(std::ceil(model_bytes / bucket_bytes), 1.0, 1e6));
}

double parse_bytes(std::string_view option, std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto known = std::ranges::find(kByteUnits, unit, &ByteUnit::name);
  if (error != std::errc{} || known == kByteUnits.end() || !std::isfinite(number) || number < 0) {
    usage_error("{} '{}': write a number of bytes such as 100000000, 100MB or 96MiB", option, text);
  }
  return number * known->bytes;
}

std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1000;
  return fmt::format("{:.3g} {}", bytes, kUnits[unit]);
}

double optimizer_bytes(const Workload& workload) {
  return 5 * workload.model_bytes;  // reads x, gradient, momentum; writes x, momentum
}

Passes pass_bytes(gossip::Order order, const Workload& workload, double degree) {
  // The fp32 arrays, and the neighbours' models as they came over the wire.
  const double model = workload.model_bytes, wire = wire_bytes(workload), update = optimizer_bytes(workload);
  if (order == gossip::Order::combine_while_adapt) return {.adapt = 0, .combine = update + degree * wire};
  // The half step is written in the first pass; the second reads it and writes x.
  if (order == gossip::Order::adapt_then_combine || degree == 0) {
    return {.adapt = update, .combine = 2 * model + degree * wire};
  }
  return {.adapt = update + 2 * wire, .combine = 2 * model + (degree + 2) * wire};
}

Passes passes_ms(gossip::Order order, const Cluster& cluster, const Workload& workload, double degree) {
  // GPUs that share one model hold a shard of it each.
  const double rate = cluster.memory_rate * (cluster.unit == Unit::node ? cluster.gpus_per_node : 1);
  const Passes bytes = pass_bytes(order, workload, degree);
  return {.adapt = milliseconds(bytes.adapt, rate), .combine = milliseconds(bytes.combine, rate)};
}

}  // namespace alder::plan
