// How the processes of a job find each other: small values under keys, put by one rank and read by others.
//
// A process puts its values, then all meet in fence(), then any rank's values can be read. Implementations:
// PMIx (under mpirun, prterun, srun), and one for workers that share a process (tests).
//
// Threads: one Rendezvous belongs to one rank and is used by one thread at a time.
// Errors: alder::Error that names the rank, the key, what was waited for and for how long.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.hpp"

namespace alder {

class Rendezvous {
 public:
  virtual ~Rendezvous() = default;
  virtual Rank rank() const = 0;
  virtual int size() const = 0;
  // Where a rank runs, as its node calls itself; for messages and for choosing same-node paths.
  virtual std::string host(Rank rank) const = 0;
  // "pmix 4.2 under mpirun", for the run's record.
  virtual std::string description() const = 0;

  // A key is put once per fence; values are at most a few KiB (descriptors, not models).
  virtual void put(std::string_view key, std::span<const std::byte> value) = 0;
  // All ranks come here; afterwards everything put before is readable by all.
  virtual void fence(std::chrono::milliseconds deadline) = 0;
  virtual std::vector<std::byte> get(Rank rank, std::string_view key, std::chrono::milliseconds deadline) = 0;

  // Ranks whose process has ended since the last call, as the launcher tells it. Never blocks.
  virtual std::vector<Rank> take_failures() = 0;
};

}  // namespace alder
