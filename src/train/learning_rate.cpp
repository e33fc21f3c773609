#include "train/learning_rate.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <string>

#include "base/error.hpp"

namespace alder::train {
namespace {

double number(std::string_view text, std::string_view whole) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    usage_error("learning-rate schedule '{}': '{}' is not a number; write step:0.5,0.75:0.1", whole, text);
  }
  return value;
}

void parse_step(std::string_view rest, std::string_view whole, LearningRateOptions& options) {
  const auto colon = rest.find(':');
  if (colon != std::string_view::npos) {
    options.factor = number(rest.substr(colon + 1), whole);
    rest = rest.substr(0, colon);
  }
  options.milestones.clear();
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    options.milestones.push_back(number(rest.substr(0, comma), whole));
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  const bool inside =
      std::ranges::all_of(options.milestones, [](double value) { return value > 0 && value < 1; });
  if (!inside || !std::ranges::is_sorted(options.milestones)) {
    usage_error("learning-rate schedule '{}': milestones are ascending fractions of training between 0 and 1",
                whole);
  }
  if (!(options.factor > 0 && options.factor < 1)) {
    usage_error("learning-rate schedule '{}': factor {} is not between 0 and 1", whole, options.factor);
  }
}

}  // namespace

void parse_learning_rate_shape(std::string_view word, LearningRateOptions& options) {
  if (word == "constant") {
    options.shape = LearningRateShape::constant;
  } else if (word == "cosine") {
    options.shape = LearningRateShape::cosine;
  } else if (word == "step") {
    options.shape = LearningRateShape::step;
  } else if (word.starts_with("step:")) {
    options.shape = LearningRateShape::step;
    parse_step(word.substr(5), word, options);
  } else {
    const std::vector<std::string> known{"constant", "cosine", "step"};
    throw UsageError(unknown_name("learning-rate schedule", word, known));
  }
}

double learning_rate_at(const LearningRateOptions& options, long step, long total, double steps_per_epoch) {
  const double progress = total > 0 ? static_cast<double>(step) / static_cast<double>(total) : 0;
  double rate = options.base;
  if (options.shape == LearningRateShape::cosine) {
    rate *= 0.5 * (1 + std::cos(std::numbers::pi * progress));
  } else if (options.shape == LearningRateShape::step) {
    for (const double milestone : options.milestones) {
      if (progress >= milestone) rate *= options.factor;
    }
  }
  const double warmup_steps = options.warmup_epochs * steps_per_epoch;
  if (static_cast<double>(step) < warmup_steps)
    rate *= std::min(1.0, static_cast<double>(step + 1) / warmup_steps);
  return rate;
}

}  // namespace alder::train
