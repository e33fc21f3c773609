// One process per rank: whoever comes second is told who came first.
#pragma once

#include <string>

#include "base/types.hpp"

namespace alder {

// Holds a rank of a job on this node while it lives. A launcher gives every process a rank of its own, but
// what it started may be a script that starts two; both would then speak as the same rank, and the job would
// hang. The claim is a name in the kernel's table of abstract Unix sockets: nothing is left behind, however
// the process ends.
class RankClaim {
 public:
  // Throws UsageError naming job, rank, both processes and the host.
  RankClaim(const std::string& job, Rank rank);
  RankClaim(const RankClaim&) = delete;
  RankClaim& operator=(const RankClaim&) = delete;
  ~RankClaim();

 private:
  int socket_ = -1;
};

// What this node calls itself.
std::string host_name();

}  // namespace alder
