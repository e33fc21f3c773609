// Everything that decides a training run. Filled by `alder train` from flags and a config file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.hpp"
#include "engine/engine.hpp"
#include "engine/engine_maker.hpp"
#include "gossip/recipe.hpp"
#include "gossip/schedule.hpp"
#include "train/learning_rate.hpp"

namespace alder::train {

enum class Algorithm { al_dsgd, d_psgd, all_reduce, released_alternation };
Algorithm parse_algorithm(std::string_view word);
std::string_view to_string(Algorithm algorithm);

// Which batch-norm statistics a worker's model is evaluated with.
enum class BatchNormMode {
  local,        // its own running statistics, never exchanged (as the release)
  average,      // running statistics are averaged with the same row as the parameters
  recalibrate,  // recomputed on training pictures before each evaluation
};
BatchNormMode parse_batch_norm(std::string_view word);

// Whose models are tested at the end of an epoch; after the last epoch all are.
enum class EvaluateWhom { averaged, all };

// Puts the training set where the engines compute, for batches that are made there.
using PictureMaker = std::function<std::shared_ptr<const ResidentPictures>(
    const data::Dataset& dataset, const data::Augmentation* augmentation, uint64_t seed)>;

struct TrainOptions {
  std::string model = "resnet-20";
  std::string data = "shapes";
  int workers = 8;

  std::string graph = "g8";
  std::string schedule = "static";
  std::string weights = "metropolis";
  Algorithm algorithm = Algorithm::al_dsgd;
  gossip::Order order = gossip::Order::combine_while_adapt;
  gossip::LeaderOptions leaders;
  float ranking_decay = 0.9F;
  int local_steps = 1;
  bool allow_disconnected = false;

  double epochs = 10;  // may be a fraction; steps = round(epochs * steps_per_epoch)
  int batch = 16;      // per worker
  LearningRateOptions learning_rate;
  OptimizerSettings optimizer{.momentum = 0.9F, .nesterov = false, .weight_decay = 5e-4F, .decay_all = true};
  float label_smoothing = 0;
  BatchNormMode batch_norm = BatchNormMode::average;
  bool different_initial_models = false;
  uint64_t seed = 1;

  std::string shards = "iid";  // iid | dirichlet:ALPHA
  data::Augmentation augmentation;
  bool augment = true;
  data::DatasetOptions dataset;

  std::string device = "cpu";  // as it was asked for, such as cuda:1
  EngineMaker make_engine;     // of that device; null: the CPU engine
  PictureMaker make_pictures;  // null: the host makes the batches
  std::string exchange = "local";
  Precision precision = Precision::fp32;
  int threads = 0;  // 0: all this process may use

  EvaluateWhom evaluate = EvaluateWhom::averaged;
  int evaluate_every = 1;  // epochs; 0: only at the end
  int64_t recalibration_pictures = 2048;
  int checkpoint_every = 1;  // epochs; 0: only at the end
  int keep_checkpoints = 2;

  std::filesystem::path out;
  bool resume = false;
  int64_t stop_after = 0;    // end as if interrupted after so many steps of this part of the run; 0: never
  std::string command;       // for summary.json
  double wait_seconds = 60;  // deadline of every wait for a neighbour
  double warn_seconds = 10;  // after which a wait is told, while it goes on

  bool trace = false;                              // record what happens when
  int64_t trace_begin = 0, trace_end = INT64_MAX;  // in the steps [begin, end)

  // With one worker a process:
  std::size_t bucket_bytes = std::size_t{8} << 20;  // of a model, exchanged one by one
  std::size_t least_buckets = 1;                    // however small it is
  std::string control_interface;                    // of the leader; empty: any
  double connect_seconds = 60;                      // until all processes have met
  double silence_seconds = 10;                      // without a sign of life: lost
  double epoch_wait_seconds = 600;                  // that one process may keep the others waiting
};

}  // namespace alder::train
