// Neighbours or all-reduce? What the figures say, in words, and what they cannot say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/simulation.hpp"

namespace alder::plan {

// One scheme's step: of the simulation where there was one, else of the closed form.
struct Contender {
  StepCost cost;
  double step_ms = 0;
  double waited_ms = 0;  // of this, for others (simulated)
};

struct VerdictInput {
  std::vector<Contender> neighbours;  // one an order
  Contender all_reduce;               // the better of ring and tree
  bool simulated = false;
  double compute_ms = 0, backward_ms = 0;
  int workers = 0, gpus = 0;
  std::optional<double> mixing_factor;  // a step's, 0 when a period averages exactly
  bool connected = true;
};

inline constexpr double kTie = 0.01;  // step times nearer than this share are no win

struct Verdict {
  std::string quickest;  // by step time; "tie" when the best two kinds are within kTie
  std::string best_order;
  double neighbour_ms = 0, all_reduce_ms = 0;  // steps
  // Steps that neighbours may need for each step of all-reduce to be as quick to an accuracy.
  double break_even_steps = 1;
  std::vector<std::string> reasons;  // sentences
};

Verdict judge(const VerdictInput& input);

}  // namespace alder::plan
