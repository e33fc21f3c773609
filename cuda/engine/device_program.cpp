#include "cuda/engine/device_program.hpp"

#include <algorithm>

#include "engine/aligned.hpp"

namespace alder {
namespace {

constexpr int64_t kValueBytes = 2;  // bf16

std::vector<int> readers_of(const Network& network, int layer) {
  std::vector<int> readers;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& reader = network.layers[i];
    if (reader.input == layer || reader.input2 == layer) readers.push_back(static_cast<int>(i));
  }
  return readers;
}

// Follows values through their buffers: a buffer holds what was last written to it.
class Linker {
 public:
  Linker(const Network& network, const Program& program)
      : network_(network), program_(program), links_(program.forward.size()) {}

  std::vector<ForwardLinks> run() {
    find_makers();
    for (int k = 0; k < size(); ++k) {
      if (at(k).action == Action::convolution) link_bias(k);
    }
    for (int k = 0; k < size(); ++k) {
      if (at(k).action == Action::convolution) link_convolution(k);
      if (at(k).action == Action::norm) link_norm(k);
    }
    return std::move(links_);
  }

 private:
  int size() const { return static_cast<int>(program_.forward.size()); }
  const Instruction& at(int k) const { return program_.forward[static_cast<std::size_t>(k)]; }
  ForwardLinks& links(int k) { return links_[static_cast<std::size_t>(k)]; }

  // For each instruction, which ones made its x and its residual; kNone: the pictures.
  void find_makers() {
    std::vector<int> last_writer(program_.buffers.size(), kNone);
    const auto maker = [&](int buffer) {
      return buffer == kNone ? kNone : last_writer[static_cast<std::size_t>(buffer)];
    };
    for (int k = 0; k < size(); ++k) {
      makers_.push_back({maker(at(k).x), maker(at(k).residual)});
      if (at(k).y != kNone) last_writer[static_cast<std::size_t>(at(k).y)] = k;
    }
  }

  std::vector<int> readers(int k) const {
    std::vector<int> found;
    for (int reader = 0; reader < size(); ++reader) {
      const Makers& makers = makers_[static_cast<std::size_t>(reader)];
      if (makers.x == k || makers.residual == k) found.push_back(reader);
    }
    return found;
  }

  void link_bias(int k) {
    const Layer& layer = network_.layers[static_cast<std::size_t>(at(k).layer)];
    if (layer.bias < 0 || bias_cancels(network_, at(k).layer)) return;
    const std::vector<int> all = readers(k);
    const bool added_later = all.size() == 1 && at(all.front()).action == Action::add;
    links(k).bias = added_later ? all.front() : k;
  }

  void link_convolution(int k) {
    const int next = k + 1;
    if (next < size() && at(next).action == Action::add && links(k).bias == kNone) {
      const Makers& makers = makers_[static_cast<std::size_t>(next)];
      const int other = makers.x == k ? makers.residual : makers.x;
      // x + x is no sum of a convolution and something else.
      const bool mine = (makers.x == k) != (makers.residual == k);
      const bool biased = other != kNone && links(other).bias == next;
      if (mine && !biased && readers(k).size() == 1) links(k).addition = next;
    }
    const int maker = makers_[static_cast<std::size_t>(k)].x;
    if (maker != kNone && at(maker).action == Action::norm && at(maker).relu && at(maker).residual == kNone) {
      links(k).input_norm = maker;
    }
  }

  void link_norm(int k) {
    const int maker = makers_[static_cast<std::size_t>(k)].x;
    const bool sum_or_product = at(maker).action == Action::convolution || at(maker).action == Action::add;
    if (sum_or_product && links(maker).norm == kNone) links(maker).norm = k;
    if (!at(k).relu || at(k).residual != kNone) return;
    std::vector<int> all = readers(k);
    const bool convolutions = std::all_of(
        all.begin(), all.end(), [&](int reader) { return at(reader).action == Action::convolution; });
    if (convolutions) links(k).readers = std::move(all);
  }

  struct Makers {
    int x, residual;
  };

  const Network& network_;
  const Program& program_;
  std::vector<Makers> makers_;
  std::vector<ForwardLinks> links_;
};

std::vector<bool> find_sums(const Program& program) {
  std::vector<bool> found(program.backward.size(), false);
  for (std::size_t b = 0; b + 1 < program.backward.size(); ++b) {
    const Instruction &step = program.backward[b], &next = program.backward[b + 1];
    if (step.action != Action::convolution || step.dx == kNone || next.action != Action::add) continue;
    found[b] = (next.gradient == step.dx) != (next.gradient2 == step.dx);
  }
  return found;
}

// A result that is written an instruction earlier is needed from there on.
void extend(Program& program, int buffer, int time) {
  Buffer& result = program.buffers[static_cast<std::size_t>(buffer)];
  result.first = std::min(result.first, time);
}

}  // namespace

bool bias_cancels(const Network& network, int layer) {
  const std::vector<int> readers = readers_of(network, layer);
  return std::all_of(readers.begin(), readers.end(), [&](int reader) {
    return network.layers[static_cast<std::size_t>(reader)].op == Op::batch_norm;
  });
}

DeviceProgram make_device_program(const Network& network) {
  DeviceProgram result;
  Program& program = result.program = make_program(network, 1);
  result.forward = Linker(network, program).run();
  result.sum_behind = find_sums(program);
  const auto forward = static_cast<int>(program.forward.size());
  for (int k = 0; k < forward; ++k) {
    const int addition = result.forward[static_cast<std::size_t>(k)].addition;
    if (addition != kNone) extend(program, program.forward[static_cast<std::size_t>(addition)].y, k);
  }
  for (std::size_t b = 0; b < program.backward.size(); ++b) {
    if (result.sum_behind[b]) extend(program, program.backward[b + 1].dx, forward + static_cast<int>(b));
  }
  // The pictures are made before the first instruction, out of what nobody needs afterwards.
  constexpr int kBefore = -1;
  program.buffers.front().first = kBefore;
  result.staged = static_cast<int>(program.buffers.size());
  const int64_t in_float = program.buffers.front().values * static_cast<int64_t>(sizeof(float)) / kValueBytes;
  program.buffers.push_back({.values = in_float, .first = kBefore, .last = kBefore});
  return result;
}

ArenaPlan plan_arena(const DeviceProgram& program, int batch, const std::vector<bool>& left_out, bool reuse) {
  std::vector<Buffer> buffers = program.program.buffers;
  for (std::size_t k = 0; k < left_out.size(); ++k) {
    if (left_out[k]) buffers[static_cast<std::size_t>(program.program.forward[k].y)].values = 0;
  }
  if (!reuse) {
    for (Buffer& buffer : buffers) buffer.first = buffer.last = 0;
  }
  ArenaPlan plan;
  plan.bytes = place_buffers(buffers, 0, batch, kValueBytes);
  for (const Buffer& buffer : buffers) plan.offsets.push_back(buffer.offset);
  return plan;
}

}  // namespace alder
