#include "plan/jitter.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>

#include "base/error.hpp"

namespace alder::plan {
namespace {

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = std::min(text.find(at), text.size());
    parts.push_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

template <typename Number>
std::optional<Number> parse_number(std::string_view word) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

[[noreturn]] void refuse(std::string_view text) {
  usage_error(
      "--jitter '{}': write lognormal:SIGMA (0 to 1), uniform:HALF_WIDTH (0 to 1), "
      "stall:PROBABILITY:STEPS, several joined by '+', or none",
      text);
}

double number_within(std::string_view text, std::string_view word, double most) {
  const auto value = parse_number<double>(word);
  if (!value || !(*value >= 0 && *value <= most)) refuse(text);
  return *value;
}

// Distribution of the jitter without stalls.
class Smooth {
 public:
  explicit Smooth(const Jitter& jitter) : sigma_(jitter.lognormal), width_(jitter.uniform) {}

  double lowest() const { return (1 - width_) * quantile_bound(-1); }
  double highest() const { return (1 + width_) * quantile_bound(1); }

  double below(double value) const {
    if (value <= 0) return 0;
    if (sigma_ == 0) {
      if (width_ == 0) return value >= 1 ? 1 : 0;
      return std::clamp((value - (1 - width_)) / (2 * width_), 0.0, 1.0);
    }
    if (width_ == 0) return lognormal_below(value);
    constexpr int kPoints = 64;  // the product's distribution: mean over the uniform factor
    double sum = 0;
    for (int i = 0; i < kPoints; ++i) {
      sum += lognormal_below(value / (1 - width_ + 2 * width_ * (i + 0.5) / kPoints));
    }
    return sum / kPoints;
  }

 private:
  static constexpr double kFar = 9;  // standard deviations; beyond, less than 1e-18
  double quantile_bound(double sign) const { return std::exp(sigma_ * (sign * kFar - sigma_ / 2)); }
  double lognormal_below(double value) const {
    if (value <= 0) return 0;
    return 0.5 * std::erfc(-(std::log(value) / sigma_ + sigma_ / 2) / std::numbers::sqrt2);
  }

  double sigma_, width_;
};

// The integral of f over [a, b] by midpoints.
template <typename Function>
double integral(double a, double b, Function f) {
  constexpr int kPoints = 20'000;
  const double width = (b - a) / kPoints;
  double sum = 0;
  for (int i = 0; i < kPoints; ++i) sum += f(a + (i + 0.5) * width);
  return sum * width;
}

}  // namespace

Jitter parse_jitter(std::string_view text) {
  Jitter jitter;
  if (text == "none") return jitter;
  if (parse_number<double>(text)) {
    jitter.lognormal = number_within(text, text, 1);
    return jitter;
  }
  for (const std::string_view part : split(text, '+')) {
    const auto words = split(part, ':');
    if (words.size() == 2 && words[0] == "lognormal") {
      jitter.lognormal = number_within(text, words[1], 1);
    } else if (words.size() == 2 && words[0] == "uniform") {
      jitter.uniform = number_within(text, words[1], 1);
    } else if (words.size() == 3 && words[0] == "stall") {
      jitter.stall_probability = number_within(text, words[1], 1);
      jitter.stall_steps = number_within(text, words[2], 1e6);
    } else {
      refuse(text);
    }
  }
  return jitter;
}

std::string to_string(const Jitter& jitter) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "+") + part; };
  if (jitter.lognormal > 0) add(fmt::format("lognormal:{}", jitter.lognormal));
  if (jitter.uniform > 0) add(fmt::format("uniform:{}", jitter.uniform));
  if (jitter.stall_probability > 0)
    add(fmt::format("stall:{}:{}", jitter.stall_probability, jitter.stall_steps));
  return text.empty() ? "none" : text;
}

double mean(const Jitter& jitter) {
  return 1 + jitter.stall_probability * jitter.stall_steps;
}

double draw(const Jitter& jitter, Random& random) {
  double factor = 1;
  if (jitter.lognormal > 0) {
    factor = std::exp(jitter.lognormal * random.normal() - jitter.lognormal * jitter.lognormal / 2);
  }
  if (jitter.uniform > 0) factor *= 1 + jitter.uniform * (2 * double{random.uniform()} - 1);
  // 32 bits, since stalls may be rarer than the 24 bits of uniform() tell.
  if (jitter.stall_probability > 0 &&
      static_cast<double>(random.bits()) * 0x1p-32 < jitter.stall_probability) {
    factor += jitter.stall_steps;
  }
  return factor;
}

double expected_maximum(const Jitter& jitter, int n) {
  const Smooth smooth(jitter);
  const double p = jitter.stall_probability, stall = p > 0 ? jitter.stall_steps : 0;
  const bool spread = jitter.lognormal > 0 || jitter.uniform > 0;
  // 1 - F^n, where a draw is below c when it does not stall and the rest is, or stalls and the rest is.
  const auto above = [&](double c) {
    return 1 - std::pow((1 - p) * smooth.below(c) + p * smooth.below(c - stall), n);
  };
  const double some_stall = 1 - std::pow(1 - p, n);
  if (!spread) return 1 + stall * some_stall;
  const double low = smooth.lowest(), high = smooth.highest();
  if (low + stall <= high) return low + integral(low, high + stall, above);
  return low + integral(low, high, above) + (low + stall - high) * some_stall +
         integral(low + stall, high + stall, above);
}

Straggler parse_straggler(std::string_view text) {
  const auto words = split(text, ':');
  const auto rank = parse_number<Rank>(words[0]);
  const auto factor = words.size() == 2 ? parse_number<double>(words[1]) : std::nullopt;
  if (!rank || !factor)
    usage_error("--straggler '{}': write RANK:FACTOR, such as 3:1.5 for 1.5 times as long", text);
  return {.rank = *rank, .factor = *factor};
}

ComputeTimes::ComputeTimes(double step_ms, const Jitter& jitter, const std::vector<Straggler>& stragglers,
                           int workers, int draws, uint64_t seed)
    : step_ms_(step_ms),
      jitter_(jitter),
      factors_(static_cast<std::size_t>(workers), 1.0),
      draws_(draws),
      seed_(seed) {
  for (const Straggler& one : stragglers) {
    if (one.rank < 0 || one.rank >= workers) {
      usage_error("--straggler {}:{}: ranks are 0..{}; name one of them", one.rank, one.factor, workers - 1);
    }
    if (!std::isfinite(one.factor) || one.factor <= 0) {
      usage_error("--straggler {}:{}: the factor must be above 0", one.rank, one.factor);
    }
    factors_[static_cast<std::size_t>(one.rank)] = one.factor;
  }
}

double ComputeTimes::at(Step step, Rank rank) const {
  const auto index = static_cast<std::size_t>(rank);
  if (!jitter_.any()) return step_ms_ * factors_[index];
  Random random(seed_, Draw::compute_time, static_cast<uint64_t>(step) * factors_.size() + index);
  double longest = 0;
  for (int i = 0; i < draws_; ++i) longest = std::max(longest, draw(jitter_, random));
  return step_ms_ * factors_[index] * longest;
}

}  // namespace alder::plan
