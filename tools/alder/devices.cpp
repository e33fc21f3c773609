#include "devices.hpp"

#include <charconv>
#include <vector>

#include "base/error.hpp"
#include "cuda/engine/make_engine.hpp"
#include "launch/launcher.hpp"

namespace alder::tools {
namespace {

constexpr std::string_view kCuda = "cuda", kEmulated = "emulated";

int gpus() {
#ifdef ALDER_HAVE_CUDA
  return cuda::count_gpus();
#else
  return 0;
#endif
}

// N of "cuda:N". "cuda": the GPUs of a node go round among its processes.
int ordinal(std::string_view device) {
  if (device == kCuda) {
    const int devices = gpus();
    return devices == 0 ? 0 : local_rank(process_environment()).value_or(0) % devices;
  }
  const std::string_view digits = device.substr(kCuda.size() + 1);
  int value = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0) {
    usage_error("--device {}: write cuda, or cuda:N with N the number of a GPU from 0", device);
  }
  return value;
}

// What a word for a device that is not the CPU stands for.
struct Makers {
  EngineMaker engine;
  train::PictureMaker pictures;
};

Makers cuda_makers([[maybe_unused]] const DeviceOptions& options) {
#ifdef ALDER_HAVE_CUDA
  if (const std::string why = cuda::why_unusable(options.device); !why.empty()) {
    usage_error("--device cuda: {}; use --device cpu", why);
  }
  return {[options](const Network& network, const EngineSettings& settings) {
            return cuda::make_engine(network, settings, options);
          },
          [options](const data::Dataset& dataset, const data::Augmentation* augmentation, uint64_t seed) {
            return cuda::make_resident_pictures(dataset, augmentation, seed, options);
          }};
#else
  usage_error(
      "--device cuda: this build of alder has no CUDA engine, since no nvcc was found when it was "
      "configured; "
      "use --device cpu");
#endif
}

Makers emulated_makers(const DeviceOptions& options) {
  return {[options](const Network& network, const EngineSettings& settings) {
            return emulated::make_engine(network, settings, options);
          },
          [options](const data::Dataset& dataset, const data::Augmentation* augmentation, uint64_t seed) {
            return emulated::make_resident_pictures(dataset, augmentation, seed, options);
          }};
}

Makers makers(const std::string& device, const std::string& variant) {
  if (device == "cpu") return {};
  DeviceOptions options;
  options.variant = variant;
  if (device == kEmulated) return emulated_makers(options);
  if (device == kCuda || device.starts_with("cuda:")) {
    options.device = ordinal(device);
    return cuda_makers(options);
  }
  const std::vector<std::string> known{"cpu", "cuda", "emulated"};
  throw UsageError(unknown_name("device", device, known));
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
  return makers(device_, variant_).engine;
}

train::PictureMaker DeviceWords::picture_maker() const {
  return makers(device_, variant_).pictures;
}

Precision DeviceWords::precision() const {
  if (precision_ == "auto") return device_ == "cpu" ? Precision::fp32 : Precision::bf16;
  return precision_ == "bf16" ? Precision::bf16 : Precision::fp32;
}

}  // namespace alder::tools
