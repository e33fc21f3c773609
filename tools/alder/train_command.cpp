#include "train_command.hpp"

#include <charconv>
#include <chrono>
#include <cmath>

#include "base/error.hpp"
#include "devices.hpp"
#include "verbs.hpp"

namespace alder::tools {

// Words that the library parses.
struct TrainWords {
  train::TrainOptions options;
  std::string algorithm = "al-dsgd", order = "combine-while-adapt", leaders = "annealed", annealing;
  std::string learning_rate_schedule = "cosine", batch_norm = "average", evaluate = "averaged";
  std::string decay = "all", progress = "auto", trace_steps;
  double weight_best = -1, weight_degree = -1, pull_best = -1, pull_degree = -1;  // below 0: the preset's
  double anneal_until = -1;
  int leader_every = 1;
  bool neighbours_only = false, no_augment = false, no_verify = false, json = false;
  DeviceWords device;
  VerbsOptions verbs;
};

namespace {

template <typename Value>
Value choose(const char* option, const std::string& word,
             std::initializer_list<std::pair<const char*, Value>> known) {
  std::vector<std::string> names;
  for (const auto& [name, value] : known) {
    if (word == name) return value;
    names.emplace_back(name);
  }
  throw UsageError(unknown_name(std::string(option) + " value", word, names));
}

gossip::LeaderOptions leader_options(const TrainWords& words) {
  gossip::LeaderOptions leaders = gossip::leader_preset(words.leaders);
  const auto override_with = [](float& value, double given) {
    if (given >= 0) value = static_cast<float>(given);
  };
  override_with(leaders.weight_best, words.weight_best);
  override_with(leaders.weight_degree, words.weight_degree);
  override_with(leaders.pull_best, words.pull_best);
  override_with(leaders.pull_degree, words.pull_degree);
  if (words.anneal_until >= 0) leaders.anneal_until = words.anneal_until;
  if (!words.annealing.empty()) leaders.annealing = gossip::parse_annealing(words.annealing);
  leaders.every = words.leader_every;
  leaders.include_self = !words.neighbours_only;
  leaders.enabled = true;
  return leaders;
}

// "A:B", either of which may be left out.
void fill_trace(train::TrainOptions& options, const std::string& steps) {
  if (steps.empty()) return;
  options.trace = true;
  const std::size_t colon = steps.find(':');
  const auto number = [&](std::string_view word, int64_t& value) {
    if (word.empty()) return true;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    return error == std::errc{} && rest == word.data() + word.size();
  };
  const std::string_view text = steps;
  if (colon == std::string::npos || !number(text.substr(0, colon), options.trace_begin) ||
      !number(text.substr(colon + 1), options.trace_end)) {
    usage_error("--trace-steps {}: write A:B, such as 100:200", steps);
  }
}

void fill(train::TrainOptions& options, const TrainWords& words) {
  fill_trace(options, words.trace_steps);
  options.algorithm = train::parse_algorithm(words.algorithm);
  options.order = gossip::parse_order(words.order);
  if (options.algorithm == train::Algorithm::al_dsgd) options.leaders = leader_options(words);
  train::parse_learning_rate_shape(words.learning_rate_schedule, options.learning_rate);
  options.batch_norm = train::parse_batch_norm(words.batch_norm);
  options.device = words.device.device();
  options.precision = words.device.precision();
  options.make_engine = words.device.engine_maker();
  options.make_pictures = words.device.picture_maker();
  options.evaluate = choose<train::EvaluateWhom>(
      "--evaluate", words.evaluate,
      {{"averaged", train::EvaluateWhom::averaged}, {"all", train::EvaluateWhom::all}});
  options.optimizer.decay_all = choose<bool>("--decay", words.decay, {{"all", true}, {"weights", false}});
  options.augment = !words.no_augment;
  options.dataset.verify = !words.no_verify;
  options.dataset.seed = options.seed;
}

void add_topology(CLI::App& command, train::TrainOptions& options, TrainWords& words) {
  const char* group = "Who talks to whom";
  command.add_option("--workers", options.workers, "Number of workers")->group(group);
  command.add_option("--graph", options.graph, "g8, ring, torus, exponential, ... or an edge-list FILE")
      ->group(group);
  command.add_option("--schedule", options.schedule, "static, cycle:N, matcha:BUDGET, one-peer, base:K")
      ->group(group);
  command.add_option("--weights", options.weights, "Averaging weights: metropolis, laplacian, lazy")
      ->group(group);
  command.add_option("--local-steps", options.local_steps, "Exchange at every k-th step only")->group(group);
  command
      .add_flag("--allow-disconnected", options.allow_disconnected, "Accept a schedule that cuts workers off")
      ->group(group);
  command.add_option("--algorithm", words.algorithm, "al-dsgd, d-psgd, all-reduce, released-alternation")
      ->group(group);
  command.add_option("--order", words.order, "combine-while-adapt, adapt-then-combine, paper")->group(group);
  command
      .add_option("--exchange", options.exchange,
                  "local (all workers in this process), verbs (one worker per process), none")
      ->group(group);
}

void add_leaders(CLI::App& command, train::TrainOptions& options, TrainWords& words) {
  const char* group = "Leaders (al-dsgd)";
  command.add_option("--leaders", words.leaders, "Preset: released, small, annealed")->group(group);
  command
      .add_option("--leader-weight-best", words.weight_best,
                  "w_N, averaging weight of the best; -1: preset's")
      ->group(group);
  command
      .add_option("--leader-weight-degree", words.weight_degree, "w_tau, of the best-connected; -1: preset's")
      ->group(group);
  command.add_option("--leader-pull-best", words.pull_best, "lambda_N, force towards the best; -1: preset's")
      ->group(group);
  command
      .add_option("--leader-pull-degree", words.pull_degree,
                  "lambda_tau, towards the best-connected; -1: preset's")
      ->group(group);
  command.add_option("--leader-annealing", words.annealing, "constant, linear, cosine; empty: preset's")
      ->group(group);
  command
      .add_option("--leader-anneal-until", words.anneal_until,
                  "Progress (0..1] at which strength is 0; -1: preset's")
      ->group(group);
  command.add_option("--leader-every", words.leader_every, "Follow leaders at every n-th step only")
      ->group(group);
  command.add_flag("--leader-neighbours-only", words.neighbours_only, "Self is no candidate")->group(group);
  command
      .add_option("--ranking-decay", options.ranking_decay,
                  "Exponential mean of the ranking loss; 0: last batch only")
      ->group(group);
}

void add_learning(CLI::App& command, train::TrainOptions& options, TrainWords& words) {
  const char* group = "Learning";
  command.add_option("--model", options.model, "resnet-20, resnet-18, wrn-28-10, resnet-release, ...")
      ->group(group);
  command.add_option("--epochs", options.epochs, "Passes over the training set (may be a fraction)")
      ->group(group);
  command.add_option("--batch", options.batch, "Pictures per worker and step")->group(group);
  command.add_option("--lr", options.learning_rate.base, "Learning rate")->group(group);
  command.add_option("--lr-schedule", words.learning_rate_schedule, "cosine, constant, step:0.5,0.75:0.1")
      ->group(group);
  command.add_option("--warmup", options.learning_rate.warmup_epochs, "Epochs of linear warm-up")
      ->group(group);
  command.add_option("--momentum", options.optimizer.momentum, "Momentum")->group(group);
  command.add_flag("--nesterov", options.optimizer.nesterov, "Nesterov's momentum")->group(group);
  command.add_option("--weight-decay", options.optimizer.weight_decay, "L2 penalty")->group(group);
  command.add_option("--decay", words.decay, "What decays: all, or weights without batch norm and biases")
      ->group(group);
  command.add_option("--label-smoothing", options.label_smoothing, "Label smoothing")->group(group);
  command.add_option("--batch-norm", words.batch_norm, "Statistics: local, average, recalibrate")
      ->group(group);
  command
      .add_flag("--different-initial-models", options.different_initial_models,
                "Each worker starts from its own weights")
      ->group(group);
  command.add_option("--seed", options.seed, "Seed of everything")->group(group);
}

void add_data(CLI::App& command, train::TrainOptions& options, TrainWords& words) {
  const char* group = "Data";
  command.add_option("--data", options.data, "shapes, cifar10:DIR, cifar100:DIR")->group(group);
  command.add_option("--shards", options.shards, "iid or dirichlet:ALPHA")->group(group);
  command
      .add_option("--crop", options.augmentation.crop_padding,
                  "Random crop after padding by this many pixels")
      ->group(group);
  command.add_option("--flip", options.augmentation.flip, "Random horizontal flip")->group(group);
  command.add_option("--cutout", options.augmentation.cutout, "Side of the square that is blanked; 0: none")
      ->group(group);
  command.add_flag("--no-augment", words.no_augment, "No crop, flip or cutout")->group(group);
  command
      .add_option("--limit-train", options.dataset.limit_train, "Use the first N training pictures; 0: all")
      ->group(group);
  command.add_option("--limit-test", options.dataset.limit_test, "Use the first N test pictures; 0: all")
      ->group(group);
  command.add_flag("--no-verify", words.no_verify, "Skip the SHA-256 check of CIFAR's files")->group(group);
}

void add_running(CLI::App& command, train::TrainOptions& options, TrainWords& words) {
  const char* group = "Running";
  command.add_option("--out", options.out, "Run folder")->required()->group(group);
  command.add_flag("--resume", options.resume, "Continue from the newest checkpoint in --out")->group(group);
  command
      .add_option("--stop-after", options.stop_after,
                  "End cleanly, with a checkpoint, after N steps; 0: never")
      ->group(group);
  words.device.add_to(command, group);
  command.add_option("--threads", options.threads, "CPU threads in all; 0: all that this process may use")
      ->group(group);
  command.add_option("--evaluate", words.evaluate, "Whom to test after an epoch: averaged, all")
      ->group(group);
  command.add_option("--evaluate-every", options.evaluate_every, "Epochs between tests; 0: only at the end")
      ->group(group);
  command
      .add_option("--recalibration-pictures", options.recalibration_pictures,
                  "Training pictures for batch-norm recalibration")
      ->group(group);
  command
      .add_option("--checkpoint-every", options.checkpoint_every,
                  "Epochs between checkpoints; 0: only at the end")
      ->group(group);
  command.add_option("--keep", options.keep_checkpoints, "Checkpoints to keep")->group(group);
  command.add_option("--wait", options.wait_seconds, "Deadline in seconds of every wait for a neighbour")
      ->group(group);
  command.add_flag("--trace", options.trace, "Record what happens when, for alder trace and the report")
      ->group(group);
  command
      .add_option("--trace-steps", words.trace_steps,
                  "Record the steps A:B only, from A to before B; implies --trace")
      ->group(group);
  command
      .add_option("--warn-wait", options.warn_seconds,
                  "Seconds after which a wait is told, with who waits for whom")
      ->group(group);
  command.add_option("--progress", words.progress, "auto, plain, none")->group(group);
  command.add_flag("--json", words.json, "Print summary.json on standard output and nothing else")
      ->group(group);
}

// What one worker a process needs besides its exchange.
void add_job(CLI::App& command, train::TrainOptions& options) {
  const char* group = "One process per worker";
  command
      .add_option("--control-interface", options.control_interface,
                  "Interface by which worker 0 is reached; empty: any")
      ->group(group);
  command
      .add_option("--connect-wait", options.connect_seconds,
                  "Seconds until all processes have found each other")
      ->group(group);
  command
      .add_option("--silence", options.silence_seconds,
                  "Seconds without a sign of life on the control plane after which a process counts as lost")
      ->group(group);
  command
      .add_option("--epoch-wait", options.epoch_wait_seconds,
                  "Seconds that a process may keep the others waiting at the end of an epoch")
      ->group(group);
}

// Where this process stands in its job, if it was started in one.
train::JobPlace place_of(PmixRendezvous* job, const train::TrainOptions& options, const VerbsOptions& verbs) {
  if (job == nullptr) return {};
  train::JobPlace place{.rendezvous = job, .make_exchange = {}, .wired_up = {}};
  if (options.exchange == "verbs") {
    place.make_exchange = [&verbs](const train::ExchangeParts& parts) { return verbs.make(parts); };
  }
  const std::chrono::milliseconds deadline(std::llround(options.connect_seconds * 1000));
  place.wired_up = [job, deadline] { job->wired_up(deadline); };
  return place;
}

}  // namespace

TrainCommand::TrainCommand() : words_(std::make_unique<TrainWords>()) {}
TrainCommand::~TrainCommand() = default;

void TrainCommand::add_to(CLI::App& command) {
  train::TrainOptions& options = words_->options;
  add_learning(command, options, *words_);
  add_data(command, options, *words_);
  add_topology(command, options, *words_);
  add_leaders(command, options, *words_);
  add_running(command, options, *words_);
  add_job(command, options);
  words_->verbs.add_to(command);
}

train::TrainOptions TrainCommand::options() const {
  train::TrainOptions options = words_->options;
  fill(options, *words_);
  words_->verbs.check(options);
  return options;
}

train::ProgressStyle TrainCommand::progress() const {
  return choose<train::ProgressStyle>("--progress", words_->progress,
                                      {{"auto", train::ProgressStyle::automatic},
                                       {"plain", train::ProgressStyle::plain},
                                       {"none", train::ProgressStyle::none}});
}

bool TrainCommand::json() const {
  return words_->json;
}

train::JobPlace TrainCommand::place(PmixRendezvous* job, const train::TrainOptions& options,
                                    const Context& context) const {
  train::JobPlace place = place_of(job, options, words_->verbs);
  place.state_wanted = context.state_wanted;
  return place;
}

}  // namespace alder::tools
