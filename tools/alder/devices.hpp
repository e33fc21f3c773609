// --device and what belongs to it, for the commands that compute: which engine, and in which precision.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "engine/engine_maker.hpp"
#include "train/options.hpp"

namespace alder::tools {

class DeviceWords {
 public:
  void add_to(CLI::App& command, const char* group = nullptr);

  const std::string& device() const { return device_; }
  // Null for the CPU. Throws UsageError for a word that is none, a build without the CUDA engine, and a
  // machine without a GPU.
  EngineMaker engine_maker() const;
  // Where engine_maker is not null. Same errors.
  train::PictureMaker picture_maker() const;
  // Where none was asked for: fp32 on the CPU, bf16 on GPUs.
  Precision precision() const;

 private:
  std::string device_ = "cpu", precision_ = "auto", variant_;
};

}  // namespace alder::tools
