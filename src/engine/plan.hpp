// From a network's layer list to the instructions that engines run, and to their memory.
//
// Fusion: batch norm takes up the ReLU behind it, and also the residual addition when nobody else
// reads its output. Average pool, linear layer and loss are one instruction, the head.
//
// Gradients of a value that several layers read stay apart until somebody needs their sum: batch norm
// reads two parts in its own pass, so a residual connection costs no pass of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/network.hpp"

namespace alder {

inline constexpr int kNone = -1;

enum class Action { convolution, norm, relu, add, head };

// Operands are indices in Program::buffers. The same record serves both directions; the backward one
// has its gradient operands filled in. An `add` in the backward list means dx = gradient + gradient2.
struct Instruction {
  Action action;
  int layer;             // of the network: the convolution, batch norm or linear layer that it stands for
  int x = kNone;         // what it reads
  int residual = kNone;  // norm: added after normalising; add: the second summand
  int y = kNone;         // what it writes; may be x's buffer (relu, add)
  bool relu = false;     // norm: a ReLU ends it

  int gradient = kNone;   // of y
  int gradient2 = kNone;  // another part of it
  int joined = kNone;     // norm: receives both parts through the ReLU
  int addend = kNone;     // norm: what other readers of x contribute to dx
  int dx = kNone;         // gradient of x; none where nobody needs it
};

// A place for a value of `values` elements per picture, needed from instruction `first` to `last`
// (forward instructions count from 0, backward ones go on from there).
struct Buffer {
  int64_t values = 0;
  int first = 0, last = 0;
  int64_t offset = 0;  // in bytes, as place_buffers decides
};

struct Program {
  // 0 is the input, the pictures. The CPU engine has it in plain NCHW order and all others blocked.
  std::vector<Buffer> buffers;
  std::vector<Instruction> forward, backward;
};

// `lanes`: the channels of every value but the pictures are rounded up to a multiple of it; by default what
// the CPU engine's blocked order needs. Throws Error where the network has a form that engines cannot run:
// something other than convolutions reads the input, a layer that nobody reads, no pool in front of the
// linear layer.
Program make_program(const Network& network);
Program make_program(const Network& network, std::size_t lanes);

// Gives each buffer from `first_buffer` on its offset, so that buffers needed at the same time do not
// overlap: largest first, each at the lowest place that is free (Pisarchyk and Lee 2020, "greedy by
// size"). Returns the total in bytes.
int64_t place_buffers(std::vector<Buffer>& buffers, int first_buffer, int64_t batch, int64_t value_bytes);

}  // namespace alder
