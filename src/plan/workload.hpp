// What one step computes and what it sends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gossip/recipe.hpp"
#include "plan/cluster.hpp"

namespace alder::plan {

enum class Wire { fp32, bf16 };
Wire parse_wire(std::string_view word);
std::string_view to_string(Wire wire);

struct Workload {
  double model_bytes = 0;  // of one model in fp32, as it lies in memory
  Wire wire = Wire::fp32;  // of all that is sent, an all-reduce's gradients included
  // Forward and backward of one worker. None: what hides behind it is not known.
  std::optional<double> step_ms;
  double backward_share = 2.0 / 3;  // of step_ms: two of the three matrix products of a layer
  // Adapt-then-combine sends a bucket as soon as backward has passed it. 0: the whole model at once,
  // which is what `alder train` does.
  double bucket_bytes = 0;
  double all_reduce_bucket_bytes = 25e6;  // PyTorch's DistributedDataParallel
};

// UsageError for sizes and shares that cannot be meant.
void check(const Workload& workload);

double wire_bytes(const Workload& workload);  // of one model
inline double forward_backward_ms(const Workload& workload) {
  return workload.step_ms.value_or(0);
}
inline double backward_ms(const Workload& workload) {
  return forward_backward_ms(workload) * workload.backward_share;
}
int buckets(double model_bytes, double bucket_bytes);  // at least 1; bucket_bytes 0: 1

// "25 MB", "1.5GiB", "100000000": bytes. UsageError names the option.
double parse_bytes(std::string_view option, std::string_view text);
// "1.75 MB": decimal units, as wires are sold.
std::string bytes_text(double bytes);

// Memory traffic of a step's passes over the model: that of the update, and that of the weighted sum behind
// it. Combine-while-adapt does both in one pass. `degree` neighbours are heard; `paper` reads two leaders
// besides, where there are neighbours.
struct Passes {
  double adapt = 0, combine = 0;
  double sum() const { return adapt + combine; }
};
Passes pass_bytes(gossip::Order order, const Workload& workload, double degree);
double optimizer_bytes(const Workload& workload);
// In milliseconds, at the memory's rate.
Passes passes_ms(gossip::Order order, const Cluster& cluster, const Workload& workload, double degree);

}  // namespace alder::plan
