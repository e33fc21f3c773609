#include "engine/plan.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "engine/aligned.hpp"
#include "engine/lanes.hpp"

namespace alder {
namespace {

// The value that an instruction makes, and where it lies. Several values may share a buffer when one
// is computed in place of the other.
struct Value {
  int buffer;
  Action maker;
};

class Planner {
 public:
  Planner(const Network& network, std::size_t lanes)
      : network_(network), lanes_(lanes), readers_(network.layers.size()) {
    for (std::size_t i = 0; i < network.layers.size(); ++i) {
      for (const int source : {layer(i).input, layer(i).input2}) {
        if (source != kNone) readers_[static_cast<std::size_t>(source)].push_back(static_cast<int>(i));
      }
    }
    check();
  }

  Program run() {
    output_.assign(network_.layers.size(), kNone);
    choose_residual_norms();
    for (std::size_t i = 0; i < network_.layers.size(); ++i) {
      if (output_[i] == kNone) emit(static_cast<int>(i));
    }
    pending_.resize(values_.size());
    for (std::size_t k = program_.forward.size(); k-- > 0;) emit_backward(k);
    set_lifetimes();
    return std::move(program_);
  }

 private:
  struct Operands {
    int x, residual, y;  // values
  };

  const Layer& layer(std::size_t i) const { return network_.layers[i]; }
  const Layer& layer(int i) const { return layer(static_cast<std::size_t>(i)); }
  int& output(int i) { return output_[static_cast<std::size_t>(i)]; }

  // The only reader of layer i, or kNone when there are several.
  int only_reader(int i) const {
    const auto& readers = readers_[static_cast<std::size_t>(i)];
    return readers.size() == 1 ? readers.front() : kNone;
  }

  bool only_reader_is(int i, Op op) const {
    const int reader = only_reader(i);
    return reader != kNone && layer(reader).op == op;
  }

  void check() const {
    const int last = static_cast<int>(network_.layers.size()) - 1;
    if (last < 2 || layer(last).op != Op::linear || layer(layer(last).input).op != Op::average_pool) {
      fail("network '{}' does not end with a global average pool and a linear layer, which all engines need",
           network_.name);
    }
    for (int i = 0; i < last; ++i) {
      if (readers_[static_cast<std::size_t>(i)].empty()) {
        fail("network '{}': nobody reads the output of layer {} '{}'", network_.name, i, layer(i).name);
      }
      if (layer(i).op == Op::average_pool && only_reader(i) != last) {
        fail("network '{}': layer {} is an average pool in front of something else than the linear layer",
             network_.name, i);
      }
    }
    for (const int reader : readers_.front()) {
      if (layer(reader).op != Op::convolution) {
        fail("network '{}': layer {} reads the pictures and is no convolution", network_.name, reader);
      }
    }
  }

  // Decides which batch norms are computed together with the addition behind them: at most one per addition.
  void choose_residual_norms() {
    norm_of_add_.assign(network_.layers.size(), kNone);
    for (std::size_t i = 0; i < network_.layers.size(); ++i) {
      if (layer(i).op != Op::add || layer(i).input == layer(i).input2) continue;
      for (const int source : {layer(i).input, layer(i).input2}) {
        if (layer(source).op == Op::batch_norm && only_reader(source) != kNone) {
          norm_of_add_[i] = source;
          break;
        }
      }
    }
  }

  int new_buffer(int64_t values) {
    program_.buffers.push_back({.values = values});
    return static_cast<int>(program_.buffers.size()) - 1;
  }

  int new_value(int buffer, Action maker) {
    values_.push_back({buffer, maker});
    return static_cast<int>(values_.size()) - 1;
  }

  int64_t padded_values(int i) const {
    const auto channels = static_cast<std::size_t>(layer(i).channels);
    return static_cast<int64_t>(round_up(channels, lanes_)) * layer(i).height * layer(i).width;
  }

  int buffer(int value) const {
    return value == kNone ? kNone : values_[static_cast<std::size_t>(value)].buffer;
  }

  // A buffer for the output of the elementwise layer i: in place of an input that nobody needs any more.
  int output_buffer(int i) {
    for (const int source : {layer(i).input, layer(i).input2}) {
      if (source == kNone || only_reader(source) != i) continue;
      const Value& value = values_[static_cast<std::size_t>(output(source))];
      if (value.maker == Action::convolution || value.maker == Action::add) return value.buffer;
    }
    return new_buffer(padded_values(i));
  }

  void emit(int i) {
    switch (layer(i).op) {
      case Op::input:
        output(i) = new_value(new_buffer(int64_t{layer(i).channels} * layer(i).height * layer(i).width),
                              Action::head);
        break;
      case Op::convolution:
        output(i) =
            append(Action::convolution, i, output(layer(i).input), kNone, new_buffer(padded_values(i)));
        break;
      case Op::batch_norm:
        // A norm that goes into an addition is emitted with it: the other summand may not exist yet.
        if (only_reader(i) == kNone || norm_of_add_[static_cast<std::size_t>(only_reader(i))] != i) {
          emit_norm(i, i, kNone);
        }
        break;
      case Op::relu:
        output(i) = append(Action::relu, i, output(layer(i).input), kNone, output_buffer(i));
        break;
      case Op::add: {
        const int norm = norm_of_add_[static_cast<std::size_t>(i)];
        if (norm != kNone) {
          emit_norm(norm, i, layer(i).input == norm ? layer(i).input2 : layer(i).input);
        } else {
          output(i) =
              append(Action::add, i, output(layer(i).input), output(layer(i).input2), output_buffer(i));
        }
        break;
      }
      case Op::average_pool:
        output(i) = output(layer(i).input);
        break;
      case Op::linear:
        append(Action::head, i, output(layer(i).input), kNone, kNone);
        break;
    }
  }

  // Batch norm `norm`, its addition (if `last` is one) and the ReLU behind them.
  void emit_norm(int norm, int last, int residual) {
    const bool relu = only_reader_is(last, Op::relu);
    const int value = append(Action::norm, norm, output(layer(norm).input),
                             residual == kNone ? kNone : output(residual), new_buffer(padded_values(norm)));
    program_.forward.back().relu = relu;
    output(last) = value;
    if (relu) output(only_reader(last)) = value;
    if (norm != last) output(norm) = value;
  }

  int append(Action action, int i, int x, int residual, int y_buffer) {
    const int y = y_buffer == kNone ? kNone : new_value(y_buffer, action);
    program_.forward.push_back(
        {.action = action, .layer = i, .x = buffer(x), .residual = buffer(residual), .y = y_buffer});
    operands_.push_back({x, residual, y});
    return y;
  }

  // --- backward ---

  std::vector<int>& pending(int value) { return pending_[static_cast<std::size_t>(value)]; }

  // Whether a gradient buffer still waits somewhere as (part of) another value's gradient.
  bool awaited(int gradient) const {
    return std::any_of(pending_.begin(), pending_.end(), [gradient](const std::vector<int>& parts) {
      return std::find(parts.begin(), parts.end(), gradient) != parts.end();
    });
  }

  // The first of the parts that may be overwritten, or a new buffer of that size.
  int reusable(std::initializer_list<int> parts, int64_t values) {
    for (const int part : parts) {
      if (part != kNone && !awaited(part)) return part;
    }
    return new_buffer(values);
  }

  int64_t values_of(int buffer) const { return program_.buffers[static_cast<std::size_t>(buffer)].values; }

  // The parts of a value's gradient, summed until at most `most` are left.
  std::vector<int> take(int value, std::size_t most) {
    std::vector<int> parts = std::move(pending(value));
    pending(value).clear();
    while (parts.size() > most) {
      const int first = parts[parts.size() - 2], second = parts.back();
      const int sum = reusable({first, second}, values_of(first));
      program_.backward.push_back(
          {.action = Action::add, .layer = kNone, .gradient = first, .gradient2 = second, .dx = sum});
      parts.resize(parts.size() - 2);
      parts.push_back(sum);
    }
    return parts;
  }

  void emit_backward(std::size_t k) {
    Instruction step = program_.forward[k];
    const Operands values = operands_[k];
    std::vector<int> parts;
    if (step.action == Action::norm || step.action == Action::relu) parts = take(values.y, 2);
    if (step.action == Action::convolution || step.action == Action::add) parts = take(values.y, 1);
    if (!parts.empty()) step.gradient = parts[0];
    if (parts.size() > 1) step.gradient2 = parts[1];
    switch (step.action) {
      case Action::head:
      case Action::convolution:
        if (step.x != 0) step.dx = new_buffer(values_of(step.x));  // nobody needs the pictures' gradient
        break;
      case Action::relu:
        step.dx = reusable({step.gradient, step.gradient2}, values_of(step.y));
        break;
      case Action::norm:
        plan_norm_gradient(step, values);
        break;
      case Action::add:  // the gradient of a sum is that of both summands: nothing to compute
        pending(values.x).push_back(step.gradient);
        pending(values.residual).push_back(step.gradient);
        return;
    }
    if (step.dx != kNone) pending(values.x).push_back(step.dx);
    program_.backward.push_back(step);
  }

  void plan_norm_gradient(Instruction& step, const Operands& values) {
    const bool gated_residual = step.relu && step.residual != kNone;
    if (step.gradient2 != kNone || gated_residual) {
      step.joined = reusable({step.gradient, step.gradient2}, values_of(step.y));
    }
    const int whole = step.joined != kNone ? step.joined : step.gradient;
    if (step.residual != kNone) pending(values.residual).push_back(whole);
    if (!pending(values.x).empty()) {
      step.addend = pending(values.x).back();
      pending(values.x).pop_back();
    }
    if (!awaited(whole)) {
      step.dx = whole;
    } else if (values_[static_cast<std::size_t>(values.x)].maker == Action::convolution &&
               only_reader(layer(step.layer).input) == step.layer) {
      step.dx = step.x;  // this was the last to need the convolution's output
    } else {
      step.dx = new_buffer(values_of(step.x));
    }
  }

  void set_lifetimes() {
    for (Buffer& buffer : program_.buffers) buffer.first = kNone;
    int time = 0;
    for (const auto* list : {&program_.forward, &program_.backward}) {
      for (const Instruction& step : *list) {
        for (const int used : {step.x, step.residual, step.y, step.gradient, step.gradient2, step.joined,
                               step.addend, step.dx}) {
          if (used == kNone) continue;
          Buffer& buffer = program_.buffers[static_cast<std::size_t>(used)];
          if (buffer.first == kNone) buffer.first = time;
          buffer.last = time;
        }
        ++time;
      }
    }
  }

  const Network& network_;
  std::size_t lanes_;
  std::vector<std::vector<int>> readers_;  // by layer
  std::vector<int> output_;                // by layer: its value
  std::vector<int> norm_of_add_;           // by layer: the batch norm that an addition is computed with
  std::vector<Value> values_;
  std::vector<Operands> operands_;         // of program_.forward
  std::vector<std::vector<int>> pending_;  // by value: buffers whose sum is its gradient
  Program program_;
};

}  // namespace

Program make_program(const Network& network) {
  return make_program(network, kLanes);
}

Program make_program(const Network& network, std::size_t lanes) {
  return Planner(network, lanes).run();
}

int64_t place_buffers(std::vector<Buffer>& buffers, int first_buffer, int64_t batch, int64_t value_bytes) {
  const auto bytes = [&](const Buffer& buffer) {
    return static_cast<int64_t>(
        round_up(static_cast<std::size_t>(buffer.values * batch * value_bytes), kAlignment));
  };
  std::vector<Buffer*> order;
  for (std::size_t i = static_cast<std::size_t>(first_buffer); i < buffers.size(); ++i)
    order.push_back(&buffers[i]);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->values > b->values; });
  int64_t total = 0;
  std::vector<Buffer*> placed;  // by offset
  for (Buffer* buffer : order) {
    int64_t offset = 0;
    for (const Buffer* other : placed) {
      if (other->last < buffer->first || buffer->last < other->first) continue;
      if (offset + bytes(*buffer) <= other->offset) break;
      offset = std::max(offset, other->offset + bytes(*other));
    }
    buffer->offset = offset;
    total = std::max(total, offset + bytes(*buffer));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), buffer,
                                   [](auto* a, auto* b) { return a->offset < b->offset; }),
                  buffer);
  }
  return total;
}

}  // namespace alder
