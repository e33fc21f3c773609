#include "train/trainer.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <system_error>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "trace/span.hpp"
#include "train/job.hpp"
#include "train/model_file.hpp"
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

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "this host";
}

// What two processes compare in a number.
uint64_t hash_of(const std::vector<Fact>& facts) {
  return std::stoull(sha256(pack(facts)).substr(0, 16), nullptr, 16);
}

}  // namespace

Trainer::Trainer(TrainOptions options, Progress& progress, const std::atomic<bool>& stop, JobPlace place)
    : options_(std::move(options)), progress_(progress), place_(std::move(place)) {
  check_options(options_);
  if (place_.rendezvous != nullptr && place_.rendezvous->size() != options_.workers) {
    usage_error("--workers {}: the launcher started {} processes, one for each worker; leave --workers out",
                options_.workers, place_.rendezvous->size());
  }
  try {
    set_up(stop);
  } catch (const std::exception& error) {
    if (team_) team_->leave(error.what());
    throw;
  }
}

void Trainer::set_up(const std::atomic<bool>& stop) {
  schedule_ = make_run_schedule(options_);
  dataset_ = data::load_dataset(options_.data, options_.dataset);
  steps_per_epoch_ = whole_batches(dataset_, options_);
  if (steps_per_epoch_ == 0) {
    usage_error("--batch {} times --workers {} is more than the {} training pictures; lower one of them",
                options_.batch, options_.workers, dataset_.train.count());
  }
  total_steps_ = std::max<Step>(1, std::llround(options_.epochs * static_cast<double>(steps_per_epoch_)));
  recipe_ = std::make_shared<gossip::Recipe>(schedule_, run_order(options_), options_.leaders, total_steps_);
  join_team(stop);
  build_workers();
  prepare_folder();
  connect();
}

// Before anything is built that others are told of: whoever was started differently is found here.
void Trainer::join_team(const std::atomic<bool>& stop) {
  if (place_.rendezvous == nullptr) {
    team_ = make_solo_team(options_.workers, stop);
    return;
  }
  const Network network =
      make_network(options_.model, dataset_.classes, dataset_.train.height, dataset_.train.width);
  auto team = make_star_team(*place_.rendezvous,
                             star_team_settings(options_, network.elements * sizeof(float)), facts(), stop);
  watched_ = watch_losses(*place_.rendezvous, *team);
  team_ = std::move(team);
}

void Trainer::build_workers() {
  const Network network =
      make_network(options_.model, dataset_.classes, dataset_.train.height, dataset_.train.width);
  const auto local = static_cast<int>(team_->local().size());
  const int threads = threads_to_use(options_, place_.rendezvous);
  const int side_by_side = std::min(threads, local);
  pool_ = std::make_unique<WorkerPool>(side_by_side);
  EngineSettings settings{.max_batch = options_.batch,
                          .threads = std::max(1, threads / side_by_side),
                          .precision = options_.precision,
                          .label_smoothing = options_.label_smoothing,
                          .sharing = local};
  std::vector<std::vector<int64_t>> shards = make_shards(options_, dataset_);
  std::shared_ptr<const ResidentPictures> pictures;
  if (options_.make_pictures) {
    pictures =
        options_.make_pictures(dataset_, options_.augment ? &options_.augmentation : nullptr, options_.seed);
  }
  for (const Rank rank : team_->local()) {
    settings.owner = fmt::format("worker {}", rank);
    workers_.push_back(
        std::make_unique<Worker>(rank, options_, dataset_, std::move(shards[static_cast<std::size_t>(rank)]),
                                 recipe_, make_engine(options_.make_engine, network, settings), pictures));
    --settings.sharing;
  }
  rows_.resize(workers_.size());
  step_losses_.resize(workers_.size());
  if (options_.algorithm == Algorithm::all_reduce) bytes_factor_ = 2.0 / options_.workers;
  evaluator_ = std::make_unique<Evaluator>(options_, dataset_, *team_, workers_, *pool_);
}

// The run folder, and in it either a fresh start or the newest checkpoint's state.
void Trainer::prepare_folder() {
  bool resumes = false;
  if (team_->leads()) {
    const bool has_checkpoint = std::filesystem::exists(options_.out / "latest");
    if (has_checkpoint && !options_.resume) {
      usage_error(
          "--out {}: holds the checkpoints of another run; add --resume to continue it or choose another "
          "folder",
          options_.out.string());
    }
    make_folder(options_.out);
    resumes = has_checkpoint;
  }
  if (team_->broadcast(resumes).get<bool>()) {
    state_ = load_checkpoint(*team_, options_.out, identity(), workers_);
  } else {
    state_ = {.identity = identity(),
              .bytes_sent = square(options_.workers),
              .bytes_sent_at_epoch = square(options_.workers)};
    initialise_models();
  }
  first_step_ = state_.step;
  seconds_before_ = state_.seconds;
  bytes_before_ = state_.bytes_sent;
  if (team_->leads()) log_ = std::make_unique<MetricsLog>(options_.out / "metrics.jsonl", options_.resume);
}

void Trainer::connect() {
  const Network& network = workers_.front()->engine().network();
  ExchangeParts parts{.buckets = make_buckets(options_, network.elements),
                      .neighbours = {},
                      .graph_hash = schedule_->hash(),
                      .configuration_hash = hash_of(facts()),
                      .first_generation = Generation(static_cast<uint64_t>(first_step_) *
                                                     static_cast<uint64_t>(recipe_->exchanges_per_step())),
                      .rendezvous = watched_.get(),
                      .cuda_device = workers_.front()->engine().cuda_device()};
  if (watched_) parts.neighbours = neighbours_of(*schedule_, watched_->rank());
  exchange_ = place_.make_exchange ? place_.make_exchange(parts) : make_exchange(options_, parts);
  for (const auto& worker : workers_) {
    exchange_->attach(worker->rank(), worker->published_memory());
    worker->connect(exchange_->endpoint(worker->rank()), parts.buckets);
  }
  buckets_ = parts.buckets;
  port_counters_ = std::make_unique<PortCounters>(exchange_->wire().ports);
  start_watch();
  if (place_.wired_up) place_.wired_up();
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

// What must be equal on all processes: what decides the numbers, and what decides who waits for whom when.
std::vector<Fact> Trainer::facts() const {
  std::vector<Fact> facts;
  const auto add = [&](const std::string& name, const Json& value) {
    facts.push_back({name, value.is_string() ? value.get<std::string>() : value.dump()});
  };
  const Identity decisive = identity();
  for (const auto& [name, value] : decisive.items()) add(name, value);
  add("--epochs", options_.epochs);
  add("--exchange", options_.exchange);
  // Each kind of engine has its own order of the values inside a tensor, and sends them in it.
  add("--device", options_.device.substr(0, options_.device.find(':')));
  add("--stop-after", options_.stop_after);
  add("--resume", options_.resume);
  add("--evaluate", options_.evaluate == EvaluateWhom::all ? "all" : "averaged");
  add("--evaluate-every", options_.evaluate_every);
  add("--recalibration-pictures", options_.recalibration_pictures);
  add("--checkpoint-every", options_.checkpoint_every);
  add("--keep", options_.keep_checkpoints);
  add("--trace", options_.trace ? fmt::format("{}:{}", options_.trace_begin, options_.trace_end) : "no");
  return facts;
}

void Trainer::say(const std::string& text) {
  if (!team_->leads()) return;
  progress_.line("alder: " + text);
  log_->event(state_.step, text);
}

Json Trainer::run() {
  try {
    Json result = train();
    team_->leave("");
    return result;
  } catch (const std::exception& error) {
    record_end(error.what());
    team_->leave(error.what());
    throw;
  }
}

// As well as it can be done: the disk may be what is full.
void Trainer::record_end(const std::string& text) {
  try {
    if (log_) log_->event(state_.step, text);
  } catch (const Error&) {
  }
}

void Trainer::introduce() {
  if (log_) write_run_line();
  say(workers_.front()->engine().description());
  if (place_.rendezvous != nullptr) {
    say(fmt::format("{} processes by {}; {}", options_.workers, place_.rendezvous->description(),
                    exchange_->description()));
    report_remarks();
  }
  for (const std::string& warning : schedule_->warnings()) say("warning: " + warning);
  for (const std::string& warning : gossip::leader_warnings(*schedule_, options_.leaders))
    say("warning: " + warning);
  if (first_step_ > 0) say(fmt::format("resumed after step {} of {}", first_step_, total_steps_));
}

// What the exchange of each process chose: all of it is recorded, the leader's own and all warnings are said.
void Trainer::report_remarks() {
  const Team::Records remarks = team_->gather({Json(exchange_->take_remarks())});
  for (std::size_t rank = 0; rank < remarks.size(); ++rank) {
    if (!remarks[rank]) continue;
    for (const std::string text : *remarks[rank]) {
      const std::string line = fmt::format("worker {}: {}", rank, text);
      if (rank == 0 || text.starts_with("warning")) {
        say(line);
      } else {
        log_->event(state_.step, line);
      }
    }
  }
}

Json Trainer::train() {
  started_ns_ = monotonic_ns();
  introduce();
  start_trace();
  const Step end =
      options_.stop_after > 0 ? std::min(total_steps_, first_step_ + options_.stop_after) : total_steps_;
  while (state_.step < end && team_->may_start(state_.step)) {
    run_step();
    check_losses();
    ++state_.step;
    report_progress();
    if (state_.step % steps_per_epoch_ == 0 || state_.step == total_steps_) finish_epoch();
  }
  finish_trace();
  if (state_.step < total_steps_) {
    save();
    say(fmt::format("interrupted after step {} of {}; continue with the same command and --resume",
                    state_.step, total_steps_));
  }
  if (team_->leads()) report_departures();
  Json result = summary();
  if (team_->leads()) write_atomically(options_.out / "summary.json", result.dump(2) + "\n");
  return result;
}

void Trainer::start_watch() {
  watch_ =
      std::make_unique<WaitWatch>(WaitWatch::Settings{.warn_seconds = options_.warn_seconds,
                                                      .edges = [this] { return exchange_->edge_states(); },
                                                      .tell = [this](const std::string& text) { tell(text); },
                                                      .requested = place_.state_wanted});
  for (const auto& worker : workers_) worker->tell_waits(watch_->add(worker->rank()));
  watch_->start();
}

// What is told of waits goes to standard error, and to a file of this process: the log is the leader's, and
// of another thread.
void Trainer::tell(const std::string& text) {
  const std::lock_guard lock(tell_mutex_);
  // Not through progress_, which is the trainer's thread's.
  fmt::print(stderr, "alder: {}\n", text);
  const auto path = options_.out / fmt::format("waits-{:05}.log", workers_.front()->rank());
  std::ofstream(path, std::ios::app) << fmt::format("step {}: {}\n",
                                                    step_told_.load(std::memory_order_relaxed), text);
}

void Trainer::start_trace() {
  if (!options_.trace) return;
  const bool several = place_.rendezvous != nullptr;
  trace_ = std::make_unique<RunTrace>(
      options_, *team_,
      RunTrace::Facts{.host = several ? place_.rendezvous->host(place_.rendezvous->rank()) : host_name(),
                      .exchange = options_.exchange,
                      .wire = exchange_->wire(),
                      .buckets = buckets_,
                      .exchanges_per_step = recipe_->exchanges_per_step(),
                      .first_step = first_step_});
}

void Trainer::finish_trace() {
  if (!trace_) return;
  const std::optional<trace::Figures> figures = trace_->finish();
  trace_.reset();
  if (!figures) return;
  for (const std::string& remark : figures->remarks) say("trace: " + remark);
  for (const trace::WorkerFigures& worker : figures->workers) log_->write(overlap_line(worker));
  overlap_ = overlap_summary(*figures);
}

void Trainer::run_step() {
  if (trace_) trace_->begin_step(state_.step);
  step_told_.store(state_.step, std::memory_order_relaxed);
  const trace::Stretch stretch;
  const int64_t begin = monotonic_ns();
  const double rate = learning_rate_at(options_.learning_rate, state_.step, total_steps_,
                                       static_cast<double>(steps_per_epoch_));
  const StepContext context{state_.step, static_cast<float>(rate)};
  learning_rate_ = rate;
  for (int phase = 0; phase < workers_.front()->phases(); ++phase) {
    pool_->run(static_cast<int>(workers_.size()),
               [&](int index) { workers_[static_cast<std::size_t>(index)]->run_phase(phase, context); });
  }
  // What this step's combination took from whom, for the epoch's variance inflation. The two-exchange order
  // has no single row and is left out.
  if (recipe_->exchanges_per_step() == 1) {
    for (std::size_t i = 0; i < workers_.size(); ++i) rows_[i].add(workers_[i]->row().combine);
  }
  note(stretch, trace::Kind::step);
  const double seconds = seconds_between(begin, monotonic_ns());
  state_.training_seconds += seconds;
  step_seconds_ = step_seconds_ > 0 ? 0.95 * step_seconds_ + 0.05 * seconds : seconds;
}

// A loss that is not finite ends the run: what it spreads to neighbours cannot be undone.
void Trainer::check_losses() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const Worker& worker = *workers_[i];
    step_losses_[i] = worker.last_result().loss;
    if (std::isfinite(step_losses_[i])) continue;
    // Neighbours in other processes would wait for its next model before they hear of the end.
    exchange_->mark_failed(worker.rank());
    team_->fail(fmt::format(
        "worker {}: loss {} at step {} (last finite loss {:.4g}, learning rate {:.4g}); lower --lr or add "
        "--warmup",
        worker.rank(), step_losses_[i], state_.step, worker.last_finite_loss(), learning_rate_));
  }
  team_->report(state_.step, step_losses_);
}

void Trainer::report_progress() {
  if (!team_->leads()) return;
  const double pictures = static_cast<double>(options_.workers) * options_.batch;
  progress_.step({.epoch = epoch_now(),
                  .epochs = options_.epochs,
                  .step = state_.step,
                  .steps = total_steps_,
                  .loss = team_->smoothed_loss(),
                  .images_per_second = pictures / step_seconds_,
                  .eta_seconds = step_seconds_ * static_cast<double>(total_steps_ - state_.step)});
  report_departures();
}

void Trainer::report_departures() {
  for (const Departure& departure : team_->take_departures()) {
    lost_workers_.push_back({{"worker", departure.worker},
                             {"host", departure.host},
                             {"step", state_.step},
                             {"seconds", elapsed()},
                             {"reason", departure.reason}});
    say(fmt::format("worker {} on {} is lost at step {}: {}; the others go on without it", departure.worker,
                    departure.host, state_.step, departure.reason));
  }
}

void Trainer::finish_epoch() {
  const trace::Stretch stretch;
  const bool last = state_.step == total_steps_;
  const auto epoch = state_.step / steps_per_epoch_;
  const bool tests = last || (options_.evaluate_every > 0 && epoch % options_.evaluate_every == 0);
  tests_each_ = last || (tests && options_.evaluate == EvaluateWhom::all);
  // Spare buffers are written now, and neighbours that are behind may still be reading them.
  pool_->run(static_cast<int>(workers_.size()),
             [&](int index) { workers_[static_cast<std::size_t>(index)]->settle(); });
  evaluator_->update_average();
  consensus_ = evaluator_->consensus();
  worker_tests_.clear();
  if (tests) averaged_test_ = evaluator_->averaged_model();
  if (tests_each_) worker_tests_ = evaluator_->each_worker();
  std::vector<Json> mine;
  for (std::size_t i = 0; i < workers_.size(); ++i) mine.push_back(epoch_record(i));
  const Team::Records records = team_->gather(std::move(mine));
  note(stretch, trace::Kind::evaluation);
  for (const auto& worker : workers_) worker->counters() = {};
  if (team_->leads()) write_epoch(records, tests ? &averaged_test_ : nullptr);
  if (last || (options_.checkpoint_every > 0 && epoch % options_.checkpoint_every == 0)) save();
  if (last && team_->leads()) {
    save_model(options_.out / "averaged.safetensors", workers_.front()->engine(), evaluator_->average(),
               state_.step);
  }
}

void Trainer::note(const trace::Stretch& stretch, trace::Kind kind) const {
  for (const auto& worker : workers_) {
    stretch.add(kind, {worker->rank(), -1, static_cast<uint64_t>(state_.step)});
  }
}

void Trainer::save() {
  const trace::Stretch stretch;
  std::vector<Json> mine;
  for (const auto& worker : workers_) mine.push_back(bytes_record(*worker));
  collect_bytes(team_->gather(std::move(mine)));
  state_.seconds = elapsed();
  save_checkpoint(*team_, options_.out, state_, workers_, options_.keep_checkpoints);
  note(stretch, trace::Kind::checkpoint);
}

}  // namespace alder::train
