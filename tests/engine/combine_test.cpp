#include "engine/combine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "engine/aligned.hpp"

namespace alder {
namespace {

using testing::HasSubstr;

// Two kinds of parameters and two statistics' rates, cut at odd multiples of the vector length.
const std::vector<Segment> kSegments{{0, 48, true, false, 0},
                                     {48, 1072, false, false, 0},
                                     {1072, 1216, true, false, 0},
                                     {1216, 1264, false, true, 0.1F},
                                     {1264, 1280, false, true, 0.9F}};
constexpr std::size_t kElements = 1280;

struct Arrays {
  std::vector<AlignedBuffer> sources;
  AlignedBuffer gradients{kElements * sizeof(float)}, momentum{kElements * sizeof(float)},
      target{kElements * sizeof(float)};
  std::vector<Term> terms;

  explicit Arrays(int count) {
    Random random(11, Draw::graph, static_cast<uint64_t>(count));
    const auto fill = [&](const AlignedBuffer& buffer) {
      for (float& value : buffer.as<float>()) value = 2 * random.uniform() - 1;
    };
    for (int k = 0; k < count; ++k) {
      sources.emplace_back(kElements * sizeof(float));
      fill(sources.back());
      terms.push_back({random.uniform(), sources.back().as<float>()});
    }
    fill(gradients);
    fill(momentum);
  }
};

struct Expected {
  std::vector<double> target, momentum;
};

// The header's formulas, an element at a time, in double.
Expected scalar_combine(const Combination& c, std::span<const float> gradients,
                        std::span<const float> momentum) {
  Expected result{std::vector<double>(kElements), {momentum.begin(), momentum.end()}};
  for (const Segment& segment : kSegments) {
    for (std::size_t i = segment.begin; i < segment.end; ++i) {
      double& target = result.target[i];
      if (segment.statistics && c.statistics == StatisticsMode::local) {
        target = c.self[i];
      } else {
        for (const Term& term : c.terms) target += double{term.weight} * term.source[i];
      }
      if (!c.adapt) continue;
      if (segment.statistics) {
        target -= double{segment.statistics_rate} * gradients[i];
        continue;
      }
      const bool decays = segment.decay || c.optimizer.decay_all;
      const double gradient = gradients[i] + (decays ? double{c.optimizer.weight_decay} * c.self[i] : 0);
      double& velocity = result.momentum[i];
      velocity = c.optimizer.momentum * velocity + gradient;
      target -= c.optimizer.learning_rate *
                (c.optimizer.nesterov ? gradient + c.optimizer.momentum * velocity : velocity);
    }
  }
  return result;
}

void expect_near(std::span<const float> got, const std::vector<double>& expected, const char* what) {
  for (std::size_t i = 0; i < kElements; ++i) ASSERT_NEAR(got[i], expected[i], 4e-6) << what << " at " << i;
}

// Number of terms, adapt, nesterov, decay of everything, statistics, threads.
using Parameters = std::tuple<int, bool, bool, bool, StatisticsMode, int>;
class Combine : public testing::TestWithParam<Parameters> {};

TEST_P(Combine, AgreesWithTheFormulas) {
  const auto [terms, adapt, nesterov, decay_all, statistics, threads] = GetParam();
  Arrays arrays(terms);
  const Combination combination{.terms = arrays.terms,
                                .self = arrays.terms.back().source,
                                .target = arrays.target.as<float>(),
                                .adapt = adapt,
                                .optimizer = {.learning_rate = 0.3F,
                                              .momentum = 0.9F,
                                              .nesterov = nesterov,
                                              .weight_decay = 0.05F,
                                              .decay_all = decay_all},
                                .statistics = statistics};
  const Expected expected =
      scalar_combine(combination, arrays.gradients.as<float>(), arrays.momentum.as<float>());
  combine(kSegments, combination, arrays.gradients.as<float>(), arrays.momentum.as<float>(), threads);
  expect_near(arrays.target.as<float>(), expected.target, "target");
  expect_near(arrays.momentum.as<float>(), expected.momentum, "momentum");
}

INSTANTIATE_TEST_SUITE_P(Terms, Combine,
                         testing::Combine(testing::Range(1, 12), testing::Bool(), testing::Bool(),
                                          testing::Bool(),
                                          testing::Values(StatisticsMode::local, StatisticsMode::average),
                                          testing::Values(1, 2)));

TEST(CombineInPlace, MayOverwriteSelf) {
  Arrays apart(3), in_place(3);
  const auto run = [](Arrays& arrays, std::span<float> target) {
    combine(kSegments,
            {.terms = arrays.terms,
             .self = arrays.terms[0].source,
             .target = target,
             .optimizer = {.momentum = 0.5F}},
            arrays.gradients.as<float>(), arrays.momentum.as<float>(), 1);
  };
  run(apart, apart.target.as<float>());
  run(in_place, in_place.sources[0].as<float>());
  EXPECT_THAT(in_place.sources[0].as<float>(), testing::ElementsAreArray(apart.target.as<float>()));
}

// An array so long that it is written past the cache, with a source and a target at odd addresses.
TEST(CombineBigArrays, AgreeWithSmallOnes) {
  constexpr std::size_t kBig = std::size_t{1} << 21;
  const std::vector<Segment> segments{{0, kBig, true, false, 0}};
  std::vector<float> self(kBig + 1), gradients(kBig), unaligned(kBig + 1);
  for (std::size_t i = 0; i < self.size(); ++i) self[i] = static_cast<float>(i % 1000) * 0.01F;
  for (std::size_t i = 0; i < kBig; ++i) gradients[i] = static_cast<float>(i % 77) * 0.1F;
  AlignedBuffer aligned(kBig * sizeof(float)), momentum(kBig * sizeof(float)),
      momentum2(kBig * sizeof(float));
  const Term term{1.0F, std::span(self).subspan(1)};
  const auto run = [&](std::span<float> target, std::span<float> velocity) {
    combine(segments,
            {.terms = {&term, 1}, .self = term.source, .target = target, .optimizer = {.weight_decay = 0.1F}},
            gradients, velocity, 2);
  };
  run(aligned.as<float>(), momentum.as<float>());
  run(std::span(unaligned).subspan(1), momentum2.as<float>());
  for (std::size_t i = 0; i < kBig; ++i) {
    const float expected = self[i + 1] - 0.1F * (gradients[i] + 0.1F * self[i + 1]);
    ASSERT_NEAR(aligned.as<float>()[i], expected, 2e-6) << i;
    ASSERT_EQ(aligned.as<float>()[i], unaligned[i + 1]) << i;
  }
}

TEST(CombineErrors, NameTheArrayOfWrongLength) {
  Arrays arrays(2);
  Combination combination{
      .terms = arrays.terms, .self = arrays.terms[0].source, .target = arrays.target.as<float>().first(16)};
  const auto run = [&] {
    combine(kSegments, combination, arrays.gradients.as<float>(), arrays.momentum.as<float>(), 1);
  };
  EXPECT_THAT(run, testing::ThrowsMessage<Error>(HasSubstr("the target has 16 values instead of 1280")));
  combination.target = arrays.target.as<float>();
  combination.terms = {};
  EXPECT_THAT(run, testing::ThrowsMessage<Error>(HasSubstr("no terms")));
}

TEST(Segments, CoverTheModelArrayWithoutGaps) {
  for (const char* name : {"tiny", "resnet-20", "wrn-16-2-release"}) {
    const Network network = make_network(name, 10);
    std::size_t end = 0;
    for (const Segment& segment : segments_of(network)) {
      EXPECT_EQ(segment.begin, end) << name;
      EXPECT_EQ(segment.begin % 16, 0u) << name;
      EXPECT_EQ(segment.statistics, segment.begin >= network.parameter_elements) << name;
      end = segment.end;
    }
    EXPECT_EQ(end, network.elements) << name;
  }
}

TEST(Segments, GiveEveryTensorItsOwnKind) {
  const Network network = make_network("wrn-16-2-release", 10);
  const std::vector<Segment> segments = segments_of(network);
  const auto segment_at = [&](std::size_t offset) {
    return *std::find_if(segments.begin(), segments.end(),
                         [offset](const Segment& s) { return offset < s.end; });
  };
  for (const Tensor& tensor : network.parameters) {
    EXPECT_EQ(segment_at(tensor.offset).decay, tensor.decay) << tensor.name;
  }
  for (const Layer& layer : network.layers) {
    if (layer.op != Op::batch_norm) continue;
    const Tensor& mean = network.statistics[static_cast<std::size_t>(layer.running_mean)];
    EXPECT_EQ(segment_at(mean.offset).statistics_rate, static_cast<float>(layer.statistics_momentum))
        << mean.name;
  }
}

}  // namespace
}  // namespace alder
