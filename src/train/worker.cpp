#include "train/worker.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace alder::train {
namespace {

// Adds the time from construction to destruction to a counter.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds), begin_(monotonic_ns()) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() { seconds_ += seconds_between(begin_, monotonic_ns()); }

 private:
  double& seconds_;
  int64_t begin_;
};

}  // namespace

Worker::Worker(Rank rank, const TrainOptions& options, const data::Dataset& dataset,
               std::vector<int64_t> shard, std::shared_ptr<const gossip::Recipe> recipe,
               std::unique_ptr<Engine> engine)
    : rank_(rank),
      options_(&options),
      dataset_(&dataset),
      shard_(std::move(shard)),
      sampler_(shard_, rank, options.batch, options.seed),
      recipe_(std::move(recipe)),
      engine_(std::move(engine)),
      sample_engine_(dynamic_cast<SampleEngine*>(engine_.get())),
      ranking_(options.ranking_decay),
      images_(static_cast<std::size_t>(options.batch) * dataset.train.bytes_per_picture()),
      labels_(static_cast<std::size_t>(options.batch)) {
  if (sampler_.batches_per_epoch() == 0) {
    usage_error("--batch {}: worker {} has only {} training pictures; lower --batch or --workers",
                options.batch, rank, shard_.size());
  }
  if (sample_engine_ != nullptr) {
    sample_engine_->keep_pictures(dataset, options.augment ? &options.augmentation : nullptr, options.seed);
  }
}

void Worker::connect(Endpoint& endpoint, Buckets buckets) {
  endpoint_ = &endpoint;
  buckets_ = std::move(buckets);
}

std::vector<Region> Worker::published_memory() {
  std::vector<Region> regions;
  for (int buffer = 0; buffer < engine_->model_buffers(); ++buffer) {
    const std::span<float> model = engine_->model(buffer);
    const int device = engine_->cuda_device();
    regions.push_back({.address = model.data(),
                       .bytes = model.size_bytes(),
                       .kind = device < 0 ? MemoryKind::host : MemoryKind::cuda,
                       .device = device});
  }
  return regions;
}

void Worker::run_phase(int phase, const StepContext& context) {
  const bool publishes_x = recipe_->order() == gossip::Order::combine_while_adapt || phases() == 3;
  if (phase == 0) {
    x_generation_ = generation_of(context.step, 0);
    half_generation_ = generation_of(context.step, phases() - 2);
    if (publishes_x) open_and_publish(x_generation_, context, model());
    compute(context);
    if (!publishes_x) {
      adapt_only(context);
      open_and_publish(half_generation_, context, engine_->model(kHalf));
    }
    announce(publishes_x ? x_generation_ : half_generation_, context);
    return;
  }
  if (phase == 1) {
    const Generation heard_of = publishes_x ? x_generation_ : half_generation_;
    heard_ = listen(heard_of);
    choose_row(context);
    if (row_.leaders.best >= 0) ++counters_.leader_best[row_.leaders.best];
    if (row_.leaders.degree >= 0) ++counters_.leader_degree[row_.leaders.degree];
    if (phases() == 3) {
      // h_t: the pulls act on x_t, which the neighbours go on reading until the last phase.
      settle_below(x_generation_);
      combine(row_.adapt, kHalf, true, context);
      open_and_publish(half_generation_, context, engine_->model(kHalf));
      announce(half_generation_, context);
      return;
    }
    if (publishes_x) {
      // x_{t+1} goes where x_{t-1} was: its readers must be done.
      settle_below(x_generation_);
      combine(row_.combine, 1 - current_, true, context);
      current_ = 1 - current_;
    } else {
      combine(row_.combine, current_, false, context);
    }
    release(heard_of);
    return;
  }
  // Again, without those whose h_t did not come: both versions of a model are needed.
  const std::vector<gossip::Standing> heard = listen(half_generation_);
  std::erase_if(heard_, [&](const gossip::Standing& one) {
    return std::ranges::none_of(heard, [&](const gossip::Standing& other) { return other.rank == one.rank; });
  });
  choose_row(context);
  combine(row_.combine, 1 - current_, false, context);
  current_ = 1 - current_;
  release(x_generation_);
  release(half_generation_);
}

// The neighbours' models have been read when the combination is done, not when it has been asked for.
void Worker::release(Generation generation) {
  {
    const Stopwatch watch(counters_.seconds_combine);
    engine_->finish();
  }
  endpoint_->release(generation);
}

// Forward and backward on the worker's next batch, which the engine makes where it can.
BatchResult Worker::run_batch(const StepContext& context) {
  const int64_t own_epoch = context.step / sampler_.batches_per_epoch();
  std::span<const int64_t> samples;
  {
    const Stopwatch watch(counters_.seconds_data);
    samples = sampler_.batch(own_epoch, context.step % sampler_.batches_per_epoch());
    if (sample_engine_ == nullptr) {
      data::make_batch(*dataset_, dataset_->train, samples,
                       options_->augment ? &options_->augmentation : nullptr, options_->seed, own_epoch,
                       images_, labels_);
    }
  }
  const Stopwatch watch(counters_.seconds_compute);
  if (sample_engine_ != nullptr) return sample_engine_->train_on_samples(current_, samples, own_epoch);
  return engine_->forward_backward(current_, {images_, labels_});
}

void Worker::compute(const StepContext& context) {
  result_ = run_batch(context);
  announced_loss_ = ranking_.update(static_cast<float>(result_.loss));
  if (std::isfinite(result_.loss)) last_finite_loss_ = result_.loss;
  counters_.loss_sum += result_.loss;
  counters_.correct += result_.correct;
  counters_.pictures += static_cast<int64_t>(labels_.size());
  ++counters_.steps;
}

void Worker::open_and_publish(Generation generation, const StepContext& context,
                              std::span<const float> source) {
  const gossip::GossipRow row = recipe_->schedule().row(context.step, rank_);
  live_ = {.send_to = recipe_->schedule().send_to(context.step, rank_), .receive_from = {}};
  for (const gossip::Incoming& incoming : row.incoming) live_.receive_from.push_back(incoming.from);
  degree_ = row.degree;
  {
    const Stopwatch watch(counters_.seconds_combine);
    engine_->finish();  // neighbours may read the source from here on
  }
  endpoint_->open(generation, live_);
  for (uint32_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    endpoint_->publish(generation, Bucket(bucket), source.first(buckets_[bucket]));
    source = source.subspan(buckets_[bucket]);
  }
  unsettled_.push_back({generation, live_.send_to});
}

void Worker::announce(Generation generation, const StepContext& context) {
  endpoint_->announce(generation, {.generation = generation.value(),
                                   .step = static_cast<uint64_t>(context.step),
                                   .loss = announced_loss_,
                                   .degree = static_cast<uint32_t>(degree_),
                                   .graph_hash = recipe_->schedule().hash()});
}

// The standings of the neighbours whose header and model both arrived. A neighbour that is late or
// gone is left out, and the recipe gives its weight back to self.
std::vector<gossip::Standing> Worker::listen(Generation generation) {
  const Stopwatch watch(counters_.seconds_wait);
  const Deadline until = deadline();
  std::vector<Arrival> arrivals = endpoint_->await_headers(generation, until);
  for (uint32_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    const std::vector<Arrival> parts = endpoint_->await_bucket(generation, Bucket(bucket), until);
    for (std::size_t k = 0; k < parts.size(); ++k) {
      if (parts[k] != Arrival::arrived) arrivals[k] = parts[k];
    }
  }
  std::vector<gossip::Standing> heard;
  for (std::size_t k = 0; k < live_.receive_from.size(); ++k) {
    if (arrivals[k] != Arrival::arrived) continue;
    const Header header = endpoint_->header(live_.receive_from[k], generation);
    heard.push_back({live_.receive_from[k], header.loss, static_cast<int>(header.degree)});
  }
  return heard;
}

// All buckets of a neighbour as the one array that they are.
std::span<const float> Worker::whole_slot(Rank neighbour, Generation generation) const {
  return {endpoint_->slot(neighbour, generation, Bucket(0)).data(), engine_->network().elements};
}

void Worker::choose_row(const StepContext& context) {
  row_ = recipe_->row(context.step, {rank_, announced_loss_, degree_}, heard_, context.learning_rate);
}

void Worker::combine(std::span<const gossip::RowEntry> row, int target, bool adapt,
                     const StepContext& context) {
  std::vector<Term> terms;
  terms.reserve(row.size());
  for (const gossip::RowEntry& entry : row) {
    std::span<const float> source;
    if (entry.rank == rank_) {
      source = engine_->model(entry.half_step ? kHalf : current_);
    } else {
      source = whole_slot(entry.rank, entry.half_step ? half_generation_ : x_generation_);
    }
    terms.push_back({entry.weight, source});
  }
  const Stopwatch watch(counters_.seconds_combine);
  OptimizerSettings optimizer = options_->optimizer;
  optimizer.learning_rate = context.learning_rate;
  engine_->combine({.terms = terms,
                    .self = engine_->model(adapt ? current_ : kHalf),
                    .target = engine_->model(target),
                    .adapt = adapt,
                    .optimizer = optimizer,
                    .statistics = options_->batch_norm == BatchNormMode::average ? StatisticsMode::average
                                                                                 : StatisticsMode::local});
}

// y_t = x_t - lr * update, into the buffer whose previous content all neighbours must have read.
void Worker::adapt_only(const StepContext& context) {
  settle_below(x_generation_);
  const gossip::RowEntry self{rank_, 1.0F, false};
  combine({&self, 1}, kHalf, true, context);
}

// Waits until every neighbour has read what was published below this generation: its memory is written next.
// A neighbour that is gone reads nothing; one that is late may be reading still, and that ends the run.
void Worker::settle_below(Generation generation) {
  const Stopwatch watch(counters_.seconds_wait);
  const int64_t begin = monotonic_ns();
  while (!unsettled_.empty() && unsettled_.front().generation < generation) {
    const Published& published = unsettled_.front();
    const std::vector<Arrival> arrivals = endpoint_->await_released(published.generation, deadline());
    if (std::ranges::count(arrivals, Arrival::late) > 0) {
      fail("{}", describe_wait({.waiter = rank_,
                                .what = "the release",
                                .generation = published.generation,
                                .neighbours = published.readers,
                                .arrivals = arrivals,
                                .seconds = seconds_between(begin, monotonic_ns())}));
    }
    unsettled_.erase(unsettled_.begin());
  }
}

Generation Worker::generation_of(Step step, int exchange) const {
  return Generation(static_cast<uint64_t>(step) * static_cast<uint64_t>(recipe_->exchanges_per_step()) +
                    static_cast<uint64_t>(exchange));
}

Deadline Worker::deadline() const {
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                                std::chrono::duration<double>(options_->wait_seconds));
}

}  // namespace alder::train
