// The team of a job with one worker per process, over the control plane (launch/star.hpp).
#pragma once

#include <chrono>
#include <memory>

#include "launch/star.hpp"
#include "train/team.hpp"

namespace alder::train {

struct StarTeamSettings {
  StarSettings star;
  // How long a process may keep the others waiting at the end of an epoch before it is left out.
  std::chrono::milliseconds patience{600'000};
};

// All ranks of the meeting construct theirs together; throws as Star does when they do not come or do not
// agree. `stop`: as for one process; it stops all.
class StarTeam : public Team {
 public:
  // Ranks that the leader has lost, since the last call: for whoever waits for their models. Any thread.
  virtual std::vector<Rank> take_lost() = 0;
};
std::unique_ptr<StarTeam> make_star_team(Rendezvous& meeting, const StarTeamSettings& settings,
                                         std::span<const Fact> facts, const std::atomic<bool>& stop);

}  // namespace alder::train
