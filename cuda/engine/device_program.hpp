// A network's instructions (src/engine/plan.hpp) as the CUDA engine runs them: what can ride along with what,
// and where every activation lies in the arena. Pure functions of the network; nothing here knows a device.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/plan.hpp"
#include "models/network.hpp"

namespace alder {

// What a forward instruction has to do with others; indices in Program::forward, kNone where there is none.
struct ForwardLinks {
  // convolution: the addition right behind it that can be done in its own pass.
  int addition = kNone;
  // convolution, addition: the batch norm of what it writes. Its statistics can be taken in passing.
  int norm = kNone;
  // convolution: the batch norm with ReLU that makes its input and could be applied on the way in.
  int input_norm = kNone;
  // convolution: where its bias is added: by an addition, in place by itself, or nowhere (kNone), because
  // there is none or only batch norms read the output, which take it away again.
  int bias = kNone;
  // batch norm with ReLU: the convolutions that are all its readers; empty when others read it too.
  std::vector<int> readers;
};

struct DeviceProgram {
  Program program;  // channels as they are; buffer 0 holds the pictures in bf16, NHWC
  int staged = 0;   // the buffer of the same pictures in float32, NCHW, before the first instruction
  std::vector<ForwardLinks> forward;
  // By backward instruction. Convolution: whether the instruction behind it is a sum that its data gradient
  // is part of, so that it can be done in the same pass.
  std::vector<bool> sum_behind;
};

DeviceProgram make_device_program(const Network& network);

// Whether a convolution's bias is taken away again by the batch norms that read it.
bool bias_cancels(const Network& network, int layer);

// Where activations lie.
struct ArenaPlan {
  std::vector<int64_t> offsets;  // bytes, by buffer; multiples of 128
  int64_t bytes = 0;
};

// `left_out`: by forward instruction, batch norms whose output is never written. `reuse` false: every buffer
// has a place of its own, for tests of the planning.
ArenaPlan plan_arena(const DeviceProgram& program, int batch, const std::vector<bool>& left_out,
                     bool reuse = true);

}  // namespace alder
