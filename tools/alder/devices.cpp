#include "devices.hpp"

#include <charconv>
#include <vector>

#include "base/error.hpp"
#include "cuda/engine/make_engine.hpp"

namespace alder::tools {
namespace {

constexpr std::string_view kCuda = "cuda", kEmulated = "emulated";

// N of "cuda:N"; 0 for "cuda".
int ordinal(std::string_view device) {
  if (device == kCuda) return 0;
  const std::string_view digits = device.substr(kCuda.size() + 1);
  int value = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0) {
    usage_error("--device {}: write cuda, or cuda:N with N the number of a GPU from 0", device);
  }
  return value;
}

EngineMaker cuda_maker([[maybe_unused]] const DeviceOptions& options) {
#ifdef ALDER_HAVE_CUDA
  if (const std::string why = cuda::why_unusable(options.device); !why.empty()) {
    usage_error("--device cuda: {}; use --device cpu", why);
  }
  return [options](const Network& network, const EngineSettings& settings) {
    return cuda::make_engine(network, settings, options);
  };
#else
  usage_error(
      "--device cuda: this build of alder has no CUDA engine, since no nvcc was found when it was "
      "configured; "
      "use --device cpu");
#endif
}

}  // namespace

void DeviceWords::add_to(CLI::App& command, const char* group) {
  const auto in_group = [group](CLI::Option* option) {
    if (group != nullptr) option->group(group);
  };
  in_group(command.add_option(
      "--device", device_,
      "cpu, cuda or cuda:N (a GPU), emulated (the CUDA engine without a GPU, for tiny networks)"));
  in_group(command
               .add_option("--precision", precision_,
                           "fp32 or bf16 (activations and convolutions); auto: fp32 on the CPU, bf16 on GPUs")
               ->check(CLI::IsMember({"auto", "fp32", "bf16"})));
  in_group(
      command.add_option("--conv-variant", variant_,
                         "GPUs: convolutions to be preferred: sm90, sm80, gemm, naive; empty: the quickest"));
}

EngineMaker DeviceWords::engine_maker() const {
  if (device_ == "cpu") return {};
  DeviceOptions options;
  options.variant = variant_;
  if (device_ == kEmulated) {
    return [options](const Network& network, const EngineSettings& settings) {
      return emulated::make_engine(network, settings, options);
    };
  }
  if (device_ == kCuda || device_.starts_with("cuda:")) {
    options.device = ordinal(device_);
    return cuda_maker(options);
  }
  const std::vector<std::string> known{"cpu", "cuda", "emulated"};
  throw UsageError(unknown_name("device", device_, known));
}

Precision DeviceWords::precision() const {
  if (precision_ == "auto") return device_ == "cpu" ? Precision::fp32 : Precision::bf16;
  return precision_ == "bf16" ? Precision::bf16 : Precision::fp32;
}

}  // namespace alder::tools
