// From options to the parts of a run; every refusal is one line that names the option.
#pragma once

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

// One whole model for exchanges that copy nothing; for the others parts of about --bucket-mib.
Buckets make_buckets(const TrainOptions& options, std::size_t elements);

// What an exchange is made from.
struct ExchangeParts {
  Buckets buckets;
  const gossip::Schedule* schedule = nullptr;
  const gossip::Recipe* recipe = nullptr;
  Step first_step = 0;               // that will be taken
  Rendezvous* rendezvous = nullptr;  // null: all workers live here
};
std::unique_ptr<Exchange> make_exchange(const TrainOptions& options, const ExchangeParts& parts);

// Threads that this process may run on (its CPU affinity).
int available_threads();

}  // namespace alder::train
