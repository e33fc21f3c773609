// How the ranks of a job come to be connected to rank 0: its addresses travel by the rendezvous, everybody
// connects and says who it is, and rank 0 lets all in or none.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "launch/agreement.hpp"
#include "launch/connection.hpp"
#include "launch/rendezvous.hpp"

namespace alder {

struct HandshakeSettings {
  std::chrono::milliseconds deadline{60'000};  // until all ranks are connected
  std::string interface;                       // rank 0 is reached by its addresses only; empty: by any
  std::string program = program_id();          // must be the same everywhere
  FrameLimits limits;
};

// All ranks call it. Rank 0: connections by rank, none at 0. Others: one, to rank 0, at 0.
// Throws UsageError, on all ranks and with the same text, when one is there twice, runs another program or
// differs in a fact (names both hosts), and Error when somebody is missing (names the ranks) or rank 0 cannot
// be reached (what was tried).
std::vector<std::unique_ptr<Connection>> shake_hands(Rendezvous& meeting, const HandshakeSettings& settings,
                                                     std::span<const Fact> facts);

}  // namespace alder
