// `alder eval`: test what a run has saved, without the run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "engine/engine.hpp"
#include "engine/engine_maker.hpp"

namespace alder::train {

struct EvalOptions {
  std::filesystem::path
      checkpoint;  // a run folder (its newest checkpoint), a checkpoint folder, or one .safetensors file
  std::string which =
      "average";      // average (of all workers, statistics recalibrated), all, or a worker's rank
  std::string model;  // empty: what the file says
  std::string data = "shapes";
  data::DatasetOptions dataset;
  int batch = 64;
  int threads = 0;
  Precision precision = Precision::fp32;
  EngineMaker make_engine;  // null: the CPU engine
  int64_t recalibration_pictures = 2048;
};

struct EvalResult {
  std::string what;  // "worker 3", "average of 8", or the file's name
  double accuracy = 0, loss = 0;
  int64_t pictures = 0;
};

// Throws UsageError or Error; the message names the file or option.
std::vector<EvalResult> evaluate_saved(const EvalOptions& options);

}  // namespace alder::train
