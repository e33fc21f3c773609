// A run of several processes: finding the job, and what is different from one process.
#pragma once

#include <memory>

#include "launch/launcher.hpp"
#include "launch/pmix_rendezvous.hpp"
#include "train/options.hpp"
#include "train/star_team.hpp"

namespace alder::train {

// The job that this process was started in, if the options and the launcher speak of one: the verbs exchange
// needs it, none uses it, and with the local one a launcher is a mistake. Null: all workers live in this
// process. Throws UsageError that says what is missing or contradicts itself.
std::unique_ptr<PmixRendezvous> find_job(const TrainOptions& options, const Environment& environment);

// `model_bytes`: of a model array, the longest message.
StarTeamSettings star_team_settings(const TrainOptions& options, std::size_t model_bytes);

// `rendezvous`, and as failures also whom the team's leader has lost. Both outlive it.
std::unique_ptr<Rendezvous> watch_losses(Rendezvous& rendezvous, StarTeam& team);

// What the options say; else what this process may run on, divided among the processes of the node where the
// launcher has not done that already.
int threads_to_use(const TrainOptions& options, const Rendezvous* rendezvous);

}  // namespace alder::train
