#include "cuda/engine/mixer.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace alder::ALDER_BACKEND {
namespace {

// Recorded passes that are kept: a schedule has a few sets of neighbours, twice because models alternate
// between two buffers. A schedule of ever new ones would record in vain, so recording stops here.
constexpr std::size_t kMostGraphs = 64;

// The last buffer holds half steps, which nobody computes gradients at: no bf16 copy of it is made.
constexpr int kHalfStep = kModelBuffers - 1;

void check(const Combination& combination, std::size_t elements) {
  const auto check_length = [elements](const char* what, std::size_t length) {
    if (length != elements) fail("combine: {} has {} values instead of {}", what, length, elements);
  };
  if (combination.terms.empty()) fail("combine: no terms; a row holds at least the worker itself");
  if (combination.terms.size() > kMaxMixingSources) {
    fail("combine: {} terms; on a GPU one pass takes at most {}: choose a sparser graph",
         combination.terms.size(), kMaxMixingSources);
  }
  for (const Term& term : combination.terms) check_length("a source", term.source.size());
  check_length("the target", combination.target.size());
  check_length("self", combination.self.size());
}

}  // namespace

Mixer::Mixer(const Stream& stream, const Network& network, bool graphs)
    : elements_(network.elements),
      kinds_(stream, segments_of(network)),
      staged_(sizeof(Parameters), "mixing row of " + stream.owner()),
      parameters_(sizeof(Parameters), "mixing row of " + stream.owner()),
      graphs_(graphs) {
  taken_.record(stream);
}

Mixer::Key Mixer::key_of(const Combination& combination) {
  Key key{{combination.self.data(), combination.target.data()}, combination.adapt};
  for (const Term& term : combination.terms) key.addresses.push_back(term.source.data());
  return key;
}

void Mixer::put(const Stream& stream, const Combination& combination, const DeviceArrays& arrays,
                bool copies) const {
  std::vector<MixingSource> sources;
  for (const Term& term : combination.terms) sources.push_back({term.source.data()});
  auto* parameters = parameters_.at<Parameters>();
  copy(stream, parameters, staged_.host(), sizeof(Parameters));
  alder::ALDER_BACKEND::mix(stream, {.sources = sources,
                                     .row = parameters->row,
                                     .settings = &parameters->settings,
                                     .kinds = &kinds_,
                                     .self = combination.self.data(),
                                     .gradients = arrays.gradients().data(),
                                     .momentum = arrays.momentum().data(),
                                     .target = combination.target.data(),
                                     .copy = copies ? arrays.copy() : nullptr,
                                     .adapt = combination.adapt});
}

// The place of a pass among the recorded ones, if there is one; whether it has come up for the first time.
std::pair<Mixer::Recorded::iterator, bool> Mixer::known_or_new(const Key& key) {
  const auto found = recorded_.find(key);
  if (found != recorded_.end() || !graphs_ || recorded_.size() == kMostGraphs) return {found, false};
  return {recorded_.emplace(key, Graph()).first, true};
}

void Mixer::mix(const Stream& stream, const Combination& combination, DeviceArrays& arrays) {
  check(combination, elements_);
  // Two passes of one step follow each other quickly; else this has been done long since.
  taken_.synchronize();
  Parameters& staged = *static_cast<Parameters*>(staged_.host());
  staged.settings = mixing_settings(combination.optimizer, combination.statistics);
  for (std::size_t k = 0; k < combination.terms.size(); ++k) staged.row[k] = combination.terms[k].weight;

  const int target = arrays.buffer_at(combination.target.data());
  const bool copies = target >= 0 && target != kHalfStep;
  const auto body = [&] { put(stream, combination, arrays, copies); };
  // The first time as it is: a kernel may have to be loaded, which a capture does not allow.
  const auto [known, first] = known_or_new(key_of(combination));
  if (first || known == recorded_.end()) {
    body();
  } else {
    if (!known->second) known->second = Graph::capture(stream, body);
    known->second.launch(stream);
  }
  taken_.record(stream);
  if (copies) {
    arrays.set_copied(target);
  } else {
    arrays.forget(combination.target.data());
  }
}

}  // namespace alder::ALDER_BACKEND
