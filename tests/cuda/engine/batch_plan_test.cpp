// What a batch needs, planned for real GPUs without one: every model of models/ has a kernel for each of its
// convolutions and a place for each of its activations.
#include "cuda/engine/batch_plan.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"
#include "cuda/engine/memory_need.hpp"
#include "engine_test.hpp"
#ifndef ALDER_ON_DEVICE
#include "cuda/emulator/options.hpp"
#endif

namespace alder::ALDER_BACKEND {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// As such GPUs say of themselves.
DeviceProperties h200() {
  return {.name = "H200",
          .capability = 90,
          .multiprocessors = 132,
          .memory_bytes = int64_t{141} << 30,
          .l2_bytes = int64_t{50} << 20,
          .shared_bytes = 227 * 1024};
}
DeviceProperties a100() {
  return {.name = "A100",
          .capability = 80,
          .multiprocessors = 108,
          .memory_bytes = int64_t{80} << 30,
          .l2_bytes = int64_t{40} << 20,
          .shared_bytes = 163 * 1024};
}

struct Planned {
  BatchPlan plan;
  MemoryNeed need;
};
Planned plan_for(const char* model, int batch, const DeviceProperties& device,
                 const DeviceOptions& options = {}) {
  const Network network = make_network(model, 10);
  Planned result{plan_batch(network, make_device_program(network), batch, device, options), {}};
  result.need = memory_need(network, result.plan);
  return result;
}

TEST(BatchPlan, FindsAKernelForEveryConvolutionOfEveryModel) {
  for (const char* model : {"resnet-20", "resnet-32", "resnet-44", "resnet-56", "resnet-110", "resnet-18",
                            "resnet-34", "resnet-50", "resnet-release", "wrn-28-10", "wrn-40-2",
                            "wrn-28-10-release", "wrn-16-8-release", "tiny"}) {
    for (const DeviceProperties& device : {h200(), a100()}) {
      const auto [plan, need] = plan_for(model, 128, device);
      int convolutions = 0;
      const Network network = make_network(model, 10);
      for (const Layer& layer : network.layers) convolutions += layer.op == Op::convolution;
      int planned = 0;
      for (const ConvolutionPlan& one : plan.convolutions) {
        if (one.forward == nullptr) continue;
        ++planned;
        EXPECT_NE(one.weight_gradient, nullptr) << model;
      }
      EXPECT_EQ(planned, convolutions) << model;
      EXPECT_EQ(need.arrays, static_cast<int64_t>(22 * network.elements)) << model;
      EXPECT_LT(need.total(), device.memory_bytes) << model << " on " << device.name;
    }
  }
}

// The tensor-core kernels take all layers of the networks that they are made for: nothing falls back to the
// library or to plain loops.
TEST(BatchPlan, LeavesNothingOfThePublishedModelsToSlowKernels) {
  for (const char* model : {"resnet-18", "resnet-50", "wrn-28-10", "resnet-release"}) {
    for (const DeviceProperties& device : {h200(), a100()}) {
      const std::string text = describe_variants(plan_for(model, 128, device).plan);
      EXPECT_THAT(text, Not(HasSubstr("naive"))) << model << " on " << device.name;
      EXPECT_THAT(text, Not(HasSubstr("gemm"))) << model << " on " << device.name;
    }
  }
}

TEST(BatchPlan, NeedsMoreForLargerBatchesAndLessWhenNormsAreFolded) {
  const int64_t small = plan_for("resnet-18", 64, h200()).need.arena;
  const int64_t large = plan_for("resnet-18", 512, h200()).need.arena;
  EXPECT_GT(large, 6 * small);
  EXPECT_LT(large, 10 * small);
  EXPECT_LT(plan_for("wrn-28-10", 128, h200()).need.arena,
            plan_for("wrn-28-10", 128, h200(), {.fold_norms = false}).need.arena);
}

TEST(BatchPlan, RefusesAnActivationOfMoreThanTheKernelsCount) {
  EXPECT_THROW(plan_for("wrn-28-10", 32768, h200()), Error);
}

#ifndef ALDER_ON_DEVICE
TEST(WhyUnusable, NamesAGpuThatIsTooOldAndOneThatIsNotThere) {
  emulator::Options old;
  old.compute_capability = 75;
  const emulator::ScopedOptions options(old);
  EXPECT_EQ(why_unusable(0),
            "GPU 0 (emulator) has compute capability 7.5, and the kernels need 8.0 or newer (A100, L4, H100, "
            "H200)");
  EXPECT_THAT(why_unusable(1), HasSubstr("GPU 1 does not exist; there are 1"));
  EXPECT_THROW(make_engine(make_network("tiny", 10), {.precision = Precision::bf16}), UsageError);
}
#endif

}  // namespace
}  // namespace alder::ALDER_BACKEND
