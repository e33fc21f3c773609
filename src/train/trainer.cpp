#include "train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "train/setup.hpp"

namespace alder::train {
namespace {

std::vector<std::vector<int64_t>> square(int workers) {
  return std::vector(static_cast<std::size_t>(workers),
                     std::vector<int64_t>(static_cast<std::size_t>(workers)));
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail("cannot create run folder {}: {}; choose another --out", folder.string(), error.message());
}

// The release's model of one epoch: whole batches only, the same number on every worker.
Step whole_batches(const data::Dataset& dataset, const TrainOptions& options) {
  return dataset.train.count() / (static_cast<int64_t>(options.workers) * options.batch);
}

}  // namespace

Trainer::Trainer(TrainOptions options, Progress& progress, const std::atomic<bool>& stop)
    : options_(std::move(options)), progress_(progress), stop_(stop) {
  check_options(options_);
  schedule_ = make_run_schedule(options_);
  dataset_ = data::load_dataset(options_.data, options_.dataset);
  steps_per_epoch_ = whole_batches(dataset_, options_);
  if (steps_per_epoch_ == 0) {
    usage_error("--batch {} times --workers {} is more than the {} training pictures; lower one of them",
                options_.batch, options_.workers, dataset_.train.count());
  }
  total_steps_ = std::max<Step>(1, std::llround(options_.epochs * static_cast<double>(steps_per_epoch_)));
  recipe_ = std::make_shared<gossip::Recipe>(schedule_, run_order(options_), options_.leaders, total_steps_);
  build_workers();
  prepare_folder();
}

void Trainer::build_workers() {
  const Network network =
      make_network(options_.model, dataset_.classes, dataset_.train.height, dataset_.train.width);
  const int threads = options_.threads > 0 ? options_.threads : available_threads();
  const int side_by_side = std::min(threads, options_.workers);
  pool_ = std::make_unique<WorkerPool>(side_by_side);
  exchange_ = make_exchange(options_, network.elements);
  const EngineSettings settings{.max_batch = options_.batch,
                                .threads = std::max(1, threads / side_by_side),
                                .precision = options_.precision,
                                .label_smoothing = options_.label_smoothing};
  std::vector<std::vector<int64_t>> shards = make_shards(options_, dataset_);
  for (Rank rank = 0; rank < options_.workers; ++rank) {
    workers_.push_back(
        std::make_unique<Worker>(rank, options_, dataset_, std::move(shards[static_cast<std::size_t>(rank)]),
                                 recipe_, make_cpu_engine(network, settings), exchange_->endpoint(rank)));
  }
  if (options_.algorithm == Algorithm::all_reduce) bytes_factor_ = 2.0 / options_.workers;
  evaluator_ = std::make_unique<Evaluator>(options_, dataset_, workers_, *pool_);
}

// The run folder, and in it either a fresh start or the newest checkpoint's state.
void Trainer::prepare_folder() {
  const bool has_checkpoint = std::filesystem::exists(options_.out / "latest");
  if (has_checkpoint && !options_.resume) {
    usage_error(
        "--out {}: holds the checkpoints of another run; add --resume to continue it or choose another "
        "folder",
        options_.out.string());
  }
  make_folder(options_.out);
  if (options_.resume && has_checkpoint) {
    state_ = load_checkpoint(options_.out, identity(), workers_);
  } else {
    state_ = {.identity = identity(),
              .bytes_sent = square(options_.workers),
              .bytes_sent_at_epoch = square(options_.workers)};
    initialise_models();
  }
  first_step_ = state_.step;
  seconds_before_ = state_.seconds;
  bytes_before_ = state_.bytes_sent;
  log_ = std::make_unique<MetricsLog>(options_.out / "metrics.jsonl", options_.resume);
}

void Trainer::initialise_models() {
  const Network& network = workers_.front()->engine().network();
  std::vector<float> array(network.elements);
  for (const auto& worker : workers_) {
    const auto own = static_cast<uint64_t>(options_.different_initial_models ? worker->rank() : 0);
    initialise(network, options_.seed + (own << 32), array);
    worker->engine().import_array(array, worker->model());
  }
}

// What decides the numbers of a run, epochs and evaluation apart.
Identity Trainer::identity() const {
  return {{"model", options_.model},
          {"data", dataset_.name},
          {"training pictures", dataset_.train.count()},
          {"workers", options_.workers},
          {"batch", options_.batch},
          {"algorithm", to_string(options_.algorithm)},
          {"order", gossip::to_string(recipe_->order())},
          {"schedule", schedule_->name()},
          {"schedule hash", schedule_->hash()},
          {"steps", total_steps_},
          {"shards", options_.shards},
          {"seed", options_.seed},
          {"learning rate", options_.learning_rate.base},
          {"momentum", options_.optimizer.momentum},
          {"weight decay", options_.optimizer.weight_decay},
          {"precision", options_.precision == Precision::bf16 ? "bf16" : "fp32"}};
}

void Trainer::say(const std::string& text) {
  progress_.line("alder: " + text);
  log_->event(state_.step, text);
}

Json Trainer::run() {
  started_ns_ = monotonic_ns();
  write_run_line();
  say(workers_.front()->engine().description());
  for (const std::string& warning : schedule_->warnings()) say("warning: " + warning);
  for (const std::string& warning : gossip::leader_warnings(*schedule_, options_.leaders))
    say("warning: " + warning);
  if (first_step_ > 0) say(fmt::format("resumed after step {} of {}", first_step_, total_steps_));

  const Step end =
      options_.stop_after > 0 ? std::min(total_steps_, first_step_ + options_.stop_after) : total_steps_;
  while (state_.step < end && !stop_.load(std::memory_order_relaxed)) {
    run_step();
    record_rows();
    check_losses();
    ++state_.step;
    report_progress();
    if (state_.step % steps_per_epoch_ == 0 || state_.step == total_steps_) finish_epoch();
  }
  if (state_.step < total_steps_) {
    save();
    say(fmt::format("interrupted after step {} of {}; continue with the same command and --resume",
                    state_.step, total_steps_));
  }
  const Json result = summary();
  write_atomically(options_.out / "summary.json", result.dump(2) + "\n");
  return result;
}

void Trainer::run_step() {
  const int64_t begin = monotonic_ns();
  const double rate = learning_rate_at(options_.learning_rate, state_.step, total_steps_,
                                       static_cast<double>(steps_per_epoch_));
  const StepContext context{state_.step, static_cast<float>(rate)};
  learning_rate_ = rate;
  for (int phase = 0; phase < workers_.front()->phases(); ++phase) {
    pool_->run(static_cast<int>(workers_.size()),
               [&](int index) { workers_[static_cast<std::size_t>(index)]->run_phase(phase, context); });
  }
  const double seconds = seconds_between(begin, monotonic_ns());
  state_.training_seconds += seconds;
  step_seconds_ = step_seconds_ > 0 ? 0.95 * step_seconds_ + 0.05 * seconds : seconds;
}

// What this step's combination took from whom, for the epoch's variance inflation. The two-exchange order has
// no single row and is left out.
void Trainer::record_rows() {
  if (recipe_->exchanges_per_step() > 1) return;
  gossip::Rows rows(workers_.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const gossip::RowEntry& entry : workers_[i]->row().combine) {
      rows[i].push_back({entry.rank, static_cast<double>(entry.weight)});
    }
  }
  epoch_rows_.push_back(std::move(rows));
}

// A loss that is not finite ends the run: what it spreads to neighbours cannot be undone.
void Trainer::check_losses() {
  double sum = 0;
  for (const auto& worker : workers_) {
    const double loss = worker->last_result().loss;
    if (!std::isfinite(loss)) {
      const std::string text = fmt::format(
          "worker {}: loss {} at step {} (last finite loss {:.4g}, learning rate {:.4g}); lower --lr or add "
          "--warmup",
          worker->rank(), loss, state_.step, worker->last_finite_loss(), learning_rate_);
      log_->event(state_.step, text);
      throw Error(text);
    }
    sum += loss;
  }
  const double mean = sum / static_cast<double>(workers_.size());
  smoothed_loss_ = state_.step == first_step_ ? mean : 0.95 * smoothed_loss_ + 0.05 * mean;
}

void Trainer::report_progress() {
  const double pictures = static_cast<double>(options_.workers) * options_.batch;
  progress_.step({.epoch = epoch_now(),
                  .epochs = options_.epochs,
                  .step = state_.step,
                  .steps = total_steps_,
                  .loss = smoothed_loss_,
                  .images_per_second = pictures / step_seconds_,
                  .eta_seconds = step_seconds_ * static_cast<double>(total_steps_ - state_.step)});
}

void Trainer::finish_epoch() {
  const bool last = state_.step == total_steps_;
  const auto epoch = state_.step / steps_per_epoch_;
  const bool tests = last || (options_.evaluate_every > 0 && epoch % options_.evaluate_every == 0);
  const bool tests_each = last || (tests && options_.evaluate == EvaluateWhom::all);
  consensus_ = evaluator_->consensus();
  std::optional<TestResult> averaged;
  worker_tests_.clear();
  if (tests) averaged = averaged_test_ = evaluator_->averaged_model();
  if (tests_each) worker_tests_ = evaluator_->each_worker();
  collect_bytes();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    write_worker_line(*workers_[i], consensus_.distance_to_mean[i], tests_each ? &worker_tests_[i] : nullptr);
    workers_[i]->counters() = {};
  }
  state_.bytes_sent_at_epoch = state_.bytes_sent;
  write_mean_line(averaged ? &*averaged : nullptr);
  const std::string test = averaged ? fmt::format("  averaged model {:.2f} %", 100 * averaged->accuracy) : "";
  progress_.line(fmt::format("epoch {:g}  step {}  loss {:.3f}{}  consensus distance {:.3g}  {:.0f} images/s",
                             epoch_now(), state_.step, smoothed_loss_, test, consensus_.root_mean_square,
                             images_per_second()));
  if (last || (options_.checkpoint_every > 0 && epoch % options_.checkpoint_every == 0)) save();
  if (last)
    save_model(options_.out / "averaged.safetensors", workers_.front()->engine(), evaluator_->average(),
               state_.step);
}

void Trainer::save() {
  collect_bytes();
  state_.seconds = elapsed();
  save_checkpoint(options_.out, state_, workers_, options_.keep_checkpoints);
}

}  // namespace alder::train
