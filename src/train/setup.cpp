#include "train/setup.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <stdexcept>

#include "base/error.hpp"

namespace alder::train {
namespace {

void require(bool condition, const char* option, double value, const char* remedy) {
  if (!condition) usage_error("{} {}: {}", option, value, remedy);
}

}  // namespace

Algorithm parse_algorithm(std::string_view word) {
  if (word == "al-dsgd") return Algorithm::al_dsgd;
  if (word == "d-psgd") return Algorithm::d_psgd;
  if (word == "all-reduce") return Algorithm::all_reduce;
  if (word == "released-alternation") return Algorithm::released_alternation;
  const std::vector<std::string> known{"al-dsgd", "d-psgd", "all-reduce", "released-alternation"};
  throw UsageError(unknown_name("algorithm", word, known));
}

std::string_view to_string(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::al_dsgd:
      return "al-dsgd";
    case Algorithm::d_psgd:
      return "d-psgd";
    case Algorithm::all_reduce:
      return "all-reduce";
    case Algorithm::released_alternation:
      return "released-alternation";
  }
  return "unknown";
}

BatchNormMode parse_batch_norm(std::string_view word) {
  if (word == "local") return BatchNormMode::local;
  if (word == "average") return BatchNormMode::average;
  if (word == "recalibrate") return BatchNormMode::recalibrate;
  const std::vector<std::string> known{"local", "average", "recalibrate"};
  throw UsageError(unknown_name("batch-norm mode", word, known));
}

void check_options(const TrainOptions& options) {
  require(options.workers >= 1, "--workers", options.workers, "at least 1");
  require(options.batch >= 1, "--batch", options.batch, "at least 1 picture per worker");
  require(options.epochs > 0 && std::isfinite(options.epochs), "--epochs", options.epochs, "more than 0");
  require(options.learning_rate.base > 0 && std::isfinite(options.learning_rate.base), "--lr",
          options.learning_rate.base, "more than 0");
  require(options.learning_rate.warmup_epochs >= 0, "--warmup", options.learning_rate.warmup_epochs,
          "0 or more epochs");
  require(options.optimizer.momentum >= 0 && options.optimizer.momentum < 1, "--momentum",
          static_cast<double>(options.optimizer.momentum), "0 or more and below 1");
  require(options.optimizer.weight_decay >= 0, "--weight-decay",
          static_cast<double>(options.optimizer.weight_decay), "0 or more");
  require(options.label_smoothing >= 0 && options.label_smoothing < 1, "--label-smoothing",
          static_cast<double>(options.label_smoothing), "0 or more and below 1");
  require(options.ranking_decay >= 0 && options.ranking_decay < 1, "--ranking-decay",
          static_cast<double>(options.ranking_decay), "0 (last batch only) or more, below 1");
  require(options.local_steps >= 1, "--local-steps", options.local_steps, "at least 1");
  require(options.threads >= 0, "--threads", options.threads, "0 (all) or more");
  require(options.wait_seconds > 0, "--wait", options.wait_seconds, "more than 0 seconds");
  if (options.trace_begin < 0 || options.trace_end <= options.trace_begin) {
    usage_error("--trace-steps {}:{}: write A:B with 0 <= A < B, for the steps from A to before B",
                options.trace_begin, options.trace_end);
  }
  require(options.warn_seconds > 0, "--warn-wait", options.warn_seconds, "more than 0 seconds");
  if (options.optimizer.nesterov && options.optimizer.momentum == 0) {
    usage_error("--nesterov needs --momentum above 0");
  }
  if (options.device != "cpu" && !options.make_engine) {
    usage_error("--device {}: there is no engine for it here; use --device cpu", options.device);
  }
  if (options.exchange != "local" && options.exchange != "none" && options.exchange != "verbs") {
    const std::vector<std::string> known{"local", "none", "verbs"};
    throw UsageError(unknown_name("exchange", options.exchange, known));
  }
  if (options.out.empty()) usage_error("--out: give a folder for the run's files");
}

std::unique_ptr<gossip::Schedule> make_run_schedule(const TrainOptions& options) {
  gossip::ScheduleOptions wanted{.workers = options.workers,
                                 .graph = options.graph,
                                 .schedule = options.schedule,
                                 .weights = gossip::parse_weight_rule(options.weights),
                                 .local_steps = options.local_steps,
                                 .seed = options.seed,
                                 .allow_disconnected = options.allow_disconnected};
  if (options.algorithm == Algorithm::all_reduce) {
    wanted.graph = "complete";
    wanted.schedule = "static";
    wanted.weights = gossip::WeightRule::metropolis;  // 1/m everywhere on the complete graph
  } else if (options.algorithm == Algorithm::released_alternation) {
    wanted.schedule = "release-alternation";
    wanted.allow_disconnected = true;  // that is what it is; the warning says who is cut off
  }
  return gossip::make_schedule(wanted);
}

gossip::Order run_order(const TrainOptions& options) {
  const bool adapts_first =
      options.algorithm == Algorithm::all_reduce || options.algorithm == Algorithm::released_alternation;
  return adapts_first ? gossip::Order::adapt_then_combine : options.order;
}

std::vector<std::vector<int64_t>> make_shards(const TrainOptions& options, const data::Dataset& dataset) {
  if (options.shards == "iid") return data::shard_iid(dataset.train.count(), options.workers, options.seed);
  constexpr std::string_view kDirichlet = "dirichlet:";
  const std::string_view word = options.shards;
  if (word.starts_with(kDirichlet)) {
    double alpha = 0;
    const char* end = word.data() + word.size();
    const auto [rest, error] = std::from_chars(word.data() + kDirichlet.size(), end, alpha);
    if (error == std::errc{} && rest == end && alpha > 0) {
      return data::shard_dirichlet(dataset.train.labels, dataset.classes, options.workers, alpha,
                                   options.seed);
    }
  }
  usage_error("--shards {}: write iid or dirichlet:ALPHA with ALPHA above 0, such as dirichlet:0.1",
              options.shards);
}

std::unique_ptr<Engine> make_engine(const EngineMaker& maker, const Network& network,
                                    const EngineSettings& settings) {
  return maker ? maker(network, settings) : make_cpu_engine(network, settings);
}

Buckets make_buckets(const TrainOptions& options, std::size_t elements) {
  if (options.exchange != "verbs") return {elements};
  const std::size_t most = std::max<std::size_t>(1, options.bucket_bytes / sizeof(float));
  const std::size_t count = std::max(options.least_buckets, (elements + most - 1) / most);
  // Equal parts, and each a whole number of cache lines, so that none is a small rest.
  constexpr std::size_t kGrain = 32;
  Buckets buckets;
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= count; ++i) {
    const std::size_t end = i == count ? elements : elements * i / count / kGrain * kGrain;
    if (end > begin) buckets.push_back(end - begin);
    begin = end;
  }
  return buckets;
}

std::vector<Neighbour> neighbours_of(const gossip::Schedule& schedule, Rank worker) {
  std::map<Rank, Neighbour> found;
  const auto phases = static_cast<int>(schedule.phases().size());
  for (int phase = 0; phase < phases; ++phase) {
    for (const gossip::Arc& arc : schedule.arcs(phase)) {
      if (arc.to == worker) found[arc.from].is_heard = true;
      if (arc.from == worker) found[arc.to].hears_us = true;
    }
  }
  std::vector<Neighbour> neighbours;
  for (auto& [rank, neighbour] : found) {
    neighbour.rank = rank;
    neighbours.push_back(neighbour);
  }
  return neighbours;
}

std::unique_ptr<Exchange> make_exchange(const TrainOptions& options, const ExchangeParts& parts) {
  if (options.exchange == "none") {
    return parts.rendezvous == nullptr ? make_no_exchange(options.workers)
                                       : make_no_exchange(options.workers, parts.rendezvous->rank());
  }
  if (options.exchange == "local") return make_local_exchange(options.workers, parts.buckets);
  throw std::logic_error("exchange '" + options.exchange + "' is made elsewhere");
}

int available_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace alder::train
