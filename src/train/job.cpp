#include "train/job.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "train/setup.hpp"

namespace alder::train {
namespace {

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

class WatchedRendezvous final : public Rendezvous {
 public:
  WatchedRendezvous(Rendezvous& rendezvous, StarTeam& team) : rendezvous_(rendezvous), team_(team) {}
  Rank rank() const override { return rendezvous_.rank(); }
  int size() const override { return rendezvous_.size(); }
  std::string host(Rank rank) const override { return rendezvous_.host(rank); }
  std::string description() const override { return rendezvous_.description(); }
  void put(std::string_view key, std::span<const std::byte> value) override { rendezvous_.put(key, value); }
  void fence(std::chrono::milliseconds deadline) override { rendezvous_.fence(deadline); }
  std::vector<std::byte> get(Rank rank, std::string_view key, std::chrono::milliseconds deadline) override {
    return rendezvous_.get(rank, key, deadline);
  }
  std::vector<Rank> take_failures() override {
    std::vector<Rank> failures = rendezvous_.take_failures();
    for (const Rank rank : team_.take_lost()) {
      if (rank != this->rank()) failures.push_back(rank);
    }
    return failures;
  }

 private:
  Rendezvous& rendezvous_;
  StarTeam& team_;
};

}  // namespace

std::unique_ptr<PmixRendezvous> find_job(const TrainOptions& options, const Environment& environment) {
  if (options.exchange == "verbs") return make_pmix_rendezvous(environment, "--exchange verbs");
  const auto launcher = find_launcher(environment);
  if (!launcher || launcher->size == 1) return nullptr;
  if (options.exchange == "none" && launcher->pmix)
    return make_pmix_rendezvous(environment, "--exchange none");
  if (options.exchange == "local" && (launcher->size || launcher->pmix)) {
    usage_error(
        "--exchange local: {} started several processes, and this exchange keeps all workers in one; use "
        "--exchange verbs for one worker per process, or start alder without it",
        launcher->name);
  }
  return nullptr;
}

StarTeamSettings star_team_settings(const TrainOptions& options, std::size_t model_bytes) {
  StarTeamSettings settings;
  settings.star.handshake.deadline = milliseconds_of(options.connect_seconds);
  settings.star.handshake.interface = options.control_interface;
  settings.star.handshake.limits.array = model_bytes;
  settings.star.silence = milliseconds_of(options.silence_seconds);
  settings.patience = milliseconds_of(options.epoch_wait_seconds);
  return settings;
}

std::unique_ptr<Rendezvous> watch_losses(Rendezvous& rendezvous, StarTeam& team) {
  return std::make_unique<WatchedRendezvous>(rendezvous, team);
}

int threads_to_use(const TrainOptions& options, const Rendezvous* rendezvous) {
  if (options.threads > 0) return options.threads;
  const int allowed = available_threads();
  if (rendezvous == nullptr) return allowed;
  int here = 0;
  for (Rank rank = 0; rank < rendezvous->size(); ++rank)
    here += rendezvous->host(rank) == rendezvous->host(rendezvous->rank()) ? 1 : 0;
  const auto online = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  return std::max(1, std::min(allowed, online / std::max(1, here)));
}

}  // namespace alder::train
