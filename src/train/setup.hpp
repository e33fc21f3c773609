// From options to the parts of a run; every refusal is one line that names the option.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "data/dataset.hpp"
#include "exchange/exchange.hpp"
#include "gossip/recipe.hpp"
#include "launch/rendezvous.hpp"
#include "train/options.hpp"
#include "train/worker.hpp"

namespace alder::train {

// Checks what needs no data: ranges, devices, exchanges. Throws UsageError.
void check_options(const TrainOptions& options);

// The schedule of the algorithm: all-reduce is a complete graph with uniform weights; released-alternation
// is the release's two-matching schedule.
std::unique_ptr<gossip::Schedule> make_run_schedule(const TrainOptions& options);

// All-reduce and the release adapt first; d-psgd and al-dsgd take the order from the options.
gossip::Order run_order(const TrainOptions& options);

std::vector<std::vector<int64_t>> make_shards(const TrainOptions& options, const data::Dataset& dataset);

// The engine of the options' device.
std::unique_ptr<Engine> make_engine(const EngineMaker& maker, const Network& network,
                                    const EngineSettings& settings);

// One whole model for exchanges that copy nothing; for the others parts of about --bucket-mib.
Buckets make_buckets(const TrainOptions& options, std::size_t elements);

// Whom a worker has to do with at some step of a schedule.
struct Neighbour {
  Rank rank = 0;
  bool hears_us = false, is_heard = false;
  friend bool operator==(const Neighbour&, const Neighbour&) = default;
};
std::vector<Neighbour> neighbours_of(const gossip::Schedule& schedule, Rank worker);  // sorted by rank

// What an exchange is made from.
struct ExchangeParts {
  Buckets buckets;
  std::vector<Neighbour> neighbours;  // with one worker a process: of that worker
  uint64_t graph_hash = 0, configuration_hash = 0;
  Generation first_generation{};     // of the first step that will be taken
  Rendezvous* rendezvous = nullptr;  // null: all workers live here
  int cuda_device = -1;              // whose memory the models lie in; -1: host memory
};
using ExchangeMaker = std::function<std::unique_ptr<Exchange>(const ExchangeParts&)>;
// `local` and `none`.
std::unique_ptr<Exchange> make_exchange(const TrainOptions& options, const ExchangeParts& parts);

// Threads that this process may run on (its CPU affinity).
int available_threads();

}  // namespace alder::train
