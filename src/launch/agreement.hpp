// What all processes of a run must have in common, as words that a message can show.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "launch/bytes.hpp"

namespace alder {

struct Fact {
  std::string name, value;  // "--lr", "0.4"
  friend bool operator==(const Fact&, const Fact&) = default;
};

Bytes pack(std::span<const Fact> facts);
// Throws Error naming what is wrong.
std::vector<Fact> unpack_facts(ByteReader& reader);

// The first fact that differs, as a clause: "--lr is 0.2 on rank 3 (node7) and 0.4 on rank 0 (node1)"; none
// when all agree. `who`: "rank 3 (node7)".
std::optional<std::string> difference(std::span<const Fact> theirs, const std::string& who,
                                      std::span<const Fact> ours, const std::string& whose);

// The identity of the running program: the linker's build id, which is a hash of its content.
std::string program_id();

}  // namespace alder
