#include "models/network.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/error.hpp"
#include "models/families.hpp"

namespace alder {
namespace {

// The whole of `text` as a number of at most three digits: larger ones would only overflow further on.
std::optional<int> small_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0 || text.size() > 3) return {};
  return value;
}

// "wrn-D-K" or "wrn-D-K-release".
struct WideName {
  int depth = 0, factor = 0;
  bool release = false;
};

std::optional<WideName> wide_name(std::string_view name) {
  constexpr std::string_view kPrefix = "wrn-", kSuffix = "-release";
  if (!name.starts_with(kPrefix)) return {};
  name.remove_prefix(kPrefix.size());
  const bool release = name.ends_with(kSuffix);
  if (release) name.remove_suffix(kSuffix.size());
  const std::size_t dash = name.find('-');
  if (dash == name.npos) return {};
  const std::optional<int> depth = small_number(name.substr(0, dash));
  const std::optional<int> factor = small_number(name.substr(dash + 1));
  if (!depth || !factor) return {};
  return WideName{*depth, *factor, release};
}

Network make_wide(Network shape, const WideName& wide) {
  if (wide.depth < 10 || wide.depth % 6 != 4) {
    usage_error("model '{}': the depth of a WideResNet is 6n+4 (10, 16, 22, 28, 40), not {}", shape.name,
                wide.depth);
  }
  if (wide.factor < 1 || wide.factor > 64) {
    usage_error("model '{}': the widening factor is 1 to 64, not {}", shape.name, wide.factor);
  }
  return wide.release ? release_wide_resnet(std::move(shape), wide.depth, wide.factor)
                      : wide_resnet(std::move(shape), wide.depth, wide.factor);
}

template <std::size_t kCount>
bool among(int depth, const std::array<int, kCount>& depths) {
  return std::find(depths.begin(), depths.end(), depth) != depths.end();
}

// "resnet-DEPTH", or nothing when there is no such network.
std::optional<Network> make_resnet(const Network& shape) {
  constexpr std::string_view kPrefix = "resnet-";
  const std::string_view name = shape.name;
  if (!name.starts_with(kPrefix)) return {};
  const std::optional<int> depth = small_number(name.substr(kPrefix.size()));
  if (!depth) return {};
  if (among(*depth, std::array{20, 32, 44, 56, 110})) return cifar_resnet(shape, *depth);
  if (among(*depth, std::array{18, 34, 50})) return imagenet_resnet(shape, *depth);
  return {};
}

}  // namespace

Network make_network(std::string_view name, int classes, int height, int width) {
  if (classes < 2) usage_error("model '{}': at least 2 classes are needed, not {}", name, classes);
  if (height < 1 || width < 1) usage_error("model '{}': pictures of {}x{} pixels", name, height, width);
  Network shape{.name = std::string(name), .height = height, .width = width, .classes = classes};
  if (name == "tiny") return tiny_network(std::move(shape));
  if (name == "resnet-release") return release_resnet(std::move(shape));
  if (std::optional<Network> network = make_resnet(shape)) return *std::move(network);
  if (const auto wide = wide_name(name)) return make_wide(std::move(shape), *wide);
  throw UsageError(unknown_name("model", name, known_networks()));
}

std::vector<std::string> known_networks() {
  return {"resnet-20", "resnet-32", "resnet-44",      "resnet-56", "resnet-110",      "resnet-18",
          "resnet-34", "resnet-50", "resnet-release", "wrn-D-K",   "wrn-D-K-release", "tiny"};
}

}  // namespace alder
