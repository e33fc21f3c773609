// The rendezvous of a job that a PMIx launcher started: mpirun, prterun, srun --mpi=pmix.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "launch/launcher.hpp"
#include "launch/rendezvous.hpp"

namespace alder {

class PmixRendezvous : public Rendezvous {
 public:
  // The process is connected to its launcher; its rank is claimed on this node (rank_claim.hpp).
  virtual std::string job() const = 0;          // the launcher's name for it, unique on this cluster
  virtual std::vector<Rank> local_ranks() = 0;  // of this node, this rank included; sorted
  // Parts with the launcher: no more put, fence or get. After that the process may end by itself without
  // the launcher taking the job down where it would (Slurm's PMIx plugin cancels the step of a client that is
  // lost). Collective in effect: call it when the others need nothing more from here.
  virtual void leave() = 0;
};

// Connects to the launcher. Throws UsageError when there is none, when it does not speak PMIx (launcher.hpp:
// explain_missing_launcher for `option`) or when this build has no PMIx, and Error when it does not answer.
// One a process at a time.
std::unique_ptr<PmixRendezvous> make_pmix_rendezvous(const Environment& environment, std::string_view option);

}  // namespace alder
