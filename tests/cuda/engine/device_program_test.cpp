// How a network is prepared for the device: what rides along with what, and where activations lie. No device.
#include "cuda/engine/device_program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/engine/examples.hpp"

namespace alder {
namespace {

std::vector<ExampleNetwork> networks() {
  std::vector<ExampleNetwork> all = example_networks();
  for (const char* name :
       {"resnet-20", "resnet-18", "resnet-50", "resnet-release", "wrn-16-2", "wrn-16-2-release"}) {
    all.push_back({name, make_network(name, 10)});
  }
  return all;
}

std::vector<bool> none_left_out(const DeviceProgram& program) {
  return std::vector<bool>(program.forward.size());
}
std::vector<bool> all_left_out(const DeviceProgram& program) {
  std::vector<bool> left_out;
  for (const ForwardLinks& links : program.forward) left_out.push_back(!links.readers.empty());
  return left_out;
}

int count(const DeviceProgram& program, int ForwardLinks::*link) {
  int found = 0;
  for (const ForwardLinks& links : program.forward) found += links.*link != kNone;
  return found;
}

// When buffers are needed, found out from what each instruction does on the device, not from the lifetimes
// that the planner has noted: a sum may be written in the pass of the convolution in front of it, and
// convolutions read the input of a norm that is left to them.
class Uses {
 public:
  Uses(const DeviceProgram& program, const std::vector<bool>& left_out)
      : program_(program), left_out_(left_out), spans_(program.program.buffers.size()) {
    const auto& forward = program.program.forward;
    const auto& backward = program.program.backward;
    use(program.staged, -1);
    use(0, -1);
    for (std::size_t k = 0; k < forward.size(); ++k) {
      const int addition = program.forward[k].addition, time = static_cast<int>(k);
      use(forward[k], static_cast<int>(k), time);
      if (addition != kNone) use(forward[static_cast<std::size_t>(addition)], addition, time);
    }
    for (std::size_t b = 0; b < backward.size(); ++b) {
      const int time = static_cast<int>(forward.size() + b);
      use(backward[b], forward_of(backward[b]), time);
      if (program.sum_behind[b]) use(backward[b + 1], kNone, time);
    }
  }

  struct Span {
    int first = kNone, last = kNone - 1;
    bool empty() const { return last < first; }
  };
  const std::vector<Span>& spans() const { return spans_; }

 private:
  int forward_of(const Instruction& step) const {
    const auto& forward = program_.program.forward;
    for (std::size_t k = 0; k < forward.size(); ++k) {
      if (step.layer != kNone && forward[k].layer == step.layer) return static_cast<int>(k);
    }
    return kNone;
  }

  void use(const Instruction& step, int k, int time) {
    int x = step.x, y = step.y;
    if (k != kNone) {
      const int norm = program_.forward[static_cast<std::size_t>(k)].input_norm;
      if (norm != kNone && left_out_[static_cast<std::size_t>(norm)]) {
        x = program_.program.forward[static_cast<std::size_t>(norm)].x;
      }
      if (left_out_[static_cast<std::size_t>(k)]) y = kNone;
    }
    for (const int buffer :
         {x, y, step.residual, step.gradient, step.gradient2, step.joined, step.addend, step.dx}) {
      if (buffer != kNone) use(buffer, time);
    }
  }
  void use(int buffer, int time) {
    Span& span = spans_[static_cast<std::size_t>(buffer)];
    if (span.empty()) span = {time, time};
    span.first = std::min(span.first, time);
    span.last = std::max(span.last, time);
  }

  const DeviceProgram& program_;
  const std::vector<bool>& left_out_;
  std::vector<Span> spans_;
};

TEST(Arena, KeepsWhatIsNeededTogetherApart) {
  constexpr int kBatch = 3;
  constexpr int64_t kBytes = 2;
  for (const ExampleNetwork& example : networks()) {
    const DeviceProgram program = make_device_program(example.network);
    const std::vector<Buffer>& buffers = program.program.buffers;
    for (const auto& left_out : {none_left_out(program), all_left_out(program)}) {
      const ArenaPlan plan = plan_arena(program, kBatch, left_out);
      const Uses uses(program, left_out);
      const auto end = [&](std::size_t i) { return plan.offsets[i] + buffers[i].values * kBatch * kBytes; };
      int64_t sum = 0;
      for (std::size_t a = 0; a < buffers.size(); ++a) {
        sum += (buffers[a].values * kBatch * kBytes + 127) / 128 * 128;
        EXPECT_EQ(plan.offsets[a] % 128, 0) << example.name;
        const Uses::Span one = uses.spans()[a];
        if (one.empty()) continue;
        EXPECT_LE(end(a), plan.bytes) << example.name;
        for (std::size_t b = a + 1; b < buffers.size(); ++b) {
          const Uses::Span other = uses.spans()[b];
          if (other.empty() || one.first > other.last || other.first > one.last) continue;
          EXPECT_TRUE(end(a) <= plan.offsets[b] || end(b) <= plan.offsets[a])
              << example.name << ": buffers " << a << " and " << b;
        }
      }
      EXPECT_LE(plan.bytes, sum) << example.name;
    }
  }
}

TEST(Arena, IsPlannedTheSameEveryTime) {
  for (const ExampleNetwork& example : networks()) {
    const DeviceProgram one = make_device_program(example.network),
                        two = make_device_program(example.network);
    const ArenaPlan first = plan_arena(one, 5, none_left_out(one)),
                    second = plan_arena(two, 5, none_left_out(two));
    EXPECT_EQ(first.offsets, second.offsets) << example.name;
    EXPECT_EQ(first.bytes, second.bytes) << example.name;
  }
}

TEST(Arena, IsSmallerWithReuseAndSmallerStillWithoutTheNormsThatConvolutionsApply) {
  for (const char* name : {"resnet-18", "resnet-50", "wrn-16-2"}) {
    const DeviceProgram program = make_device_program(make_network(name, 10));
    const int64_t apart = plan_arena(program, 4, none_left_out(program), false).bytes;
    const int64_t shared = plan_arena(program, 4, none_left_out(program)).bytes;
    const int64_t folded = plan_arena(program, 4, all_left_out(program)).bytes;
    EXPECT_LT(shared, apart) << name;
    EXPECT_LT(folded, shared * 9 / 10) << name;
  }
}

// A sum that is done in a convolution's pass is written an instruction early: by then nobody may need what
// lies there, the convolution's own input least of all.
TEST(Links, WriteNoSumOverWhatIsStillRead) {
  for (const ExampleNetwork& example : networks()) {
    const DeviceProgram program = make_device_program(example.network);
    const std::vector<Buffer>& buffers = program.program.buffers;
    for (std::size_t k = 0; k < program.forward.size(); ++k) {
      const int addition = program.forward[k].addition;
      if (addition == kNone) continue;
      const int y = program.program.forward[static_cast<std::size_t>(addition)].y;
      EXPECT_LE(buffers[static_cast<std::size_t>(y)].first, static_cast<int>(k)) << example.name;
      EXPECT_NE(y, program.program.forward[k].x) << example.name;
    }
  }
}

TEST(Links, GiveEveryConvolutionOfAResidualNetItsStatistics) {
  const DeviceProgram program = make_device_program(make_network("resnet-20", 10));
  EXPECT_EQ(count(program, &ForwardLinks::norm), 21);
  EXPECT_EQ(count(program, &ForwardLinks::addition), 0);  // residuals go with the batch norms
  EXPECT_EQ(count(program, &ForwardLinks::bias), 0);
  // Left to the convolutions: the first batch norm of each of nine blocks. Stems and ends of blocks are read
  // by additions too.
  EXPECT_EQ(std::ranges::count_if(program.forward,
                                  [](const ForwardLinks& links) { return !links.readers.empty(); }),
            9);
}

TEST(Links, LetPreActivationNetsAddInTheirConvolutions) {
  const DeviceProgram plain = make_device_program(make_network("wrn-16-2", 10));
  EXPECT_EQ(count(plain, &ForwardLinks::addition), 6);
  // All but the last sum, which the head's batch norm reads, feed a batch norm, and so do the first
  // convolutions.
  EXPECT_EQ(count(plain, &ForwardLinks::norm), 1 + 6 + 6);
  // With biases in the way additions are passes of their own.
  const DeviceProgram release = make_device_program(make_network("wrn-16-2-release", 10));
  EXPECT_EQ(count(release, &ForwardLinks::addition), 0);
  // The stem's, and two of each of three blocks that change the shape, one of the others.
  EXPECT_EQ(count(release, &ForwardLinks::bias), 1 + 3 * 2 + 3);
}

TEST(Links, LeaveOutBiasesThatABatchNormCancels) {
  const Network network = make_network("resnet-release", 10);
  EXPECT_EQ(count(make_device_program(network), &ForwardLinks::bias), 0);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    if (network.layers[i].op == Op::convolution) {
      EXPECT_TRUE(bias_cancels(network, static_cast<int>(i)));
    }
  }
}

}  // namespace
}  // namespace alder
