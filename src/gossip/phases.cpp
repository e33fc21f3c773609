#include "gossip/phases.hpp"

#include <algorithm>
#include <bit>

#include "base/error.hpp"

namespace alder::gossip {

Graph graph_of(const std::vector<Arc>& arcs, int workers, std::string name) {
  std::vector<Edge> edges;
  edges.reserve(arcs.size());
  for (const Arc& arc : arcs) edges.push_back({arc.to, arc.from});
  return make_graph(std::move(name), workers, std::move(edges));
}

std::vector<double> self_weights(const std::vector<Arc>& arcs, int workers) {
  std::vector<double> self(workers, 1.0);
  for (const Arc& arc : arcs) self[arc.to] -= arc.weight;
  return self;
}

std::vector<std::string> negative_self_weights(const std::vector<double>& self, std::string_view where) {
  constexpr double kRounding = -1e-12;
  const auto worst = std::min_element(self.begin(), self.end());
  if (worst == self.end() || *worst >= kRounding) return {};
  const auto count = std::count_if(self.begin(), self.end(), [](double w) { return w < kRounding; });
  std::string more = count > 1 ? fmt::format(" ({} more nodes have one too)", count - 1) : "";
  return {fmt::format(
      "self weight of node {} is {:.2f} in {}{}: its model is extrapolated, not averaged; static and "
      "cycle schedules never do that with --weights metropolis or lazy",
      worst - self.begin(), *worst, where, more)};
}

Hash& Hash::add(uint64_t word) {
  for (int byte = 0; byte < 8; ++byte) {
    value_ ^= (word >> (8 * byte)) & 0xFF;
    value_ *= 0x100000001B3;
  }
  return *this;
}

Hash& Hash::add(double value) {
  return add(std::bit_cast<uint64_t>(value));
}

Hash& Hash::add(const std::vector<Arc>& arcs) {
  add(static_cast<uint64_t>(arcs.size()));
  for (const Arc& arc : arcs) {
    add(static_cast<uint64_t>(arc.to) << 32 | static_cast<uint32_t>(arc.from));
    // Rows are float: eigenvalues that differ in their last bits between two machines must not split a run.
    add(static_cast<uint64_t>(std::bit_cast<uint32_t>(static_cast<float>(arc.weight))));
  }
  return *this;
}

PhaseSchedule::PhaseSchedule(std::string name, int workers, std::vector<Phase> phases)
    : name_(std::move(name)), workers_(workers) {
  for (Phase& phase : phases) phases_.push_back(index(std::move(phase), workers));
}

PhaseSchedule::Indexed PhaseSchedule::index(Phase phase, int workers) {
  Indexed indexed{.source = std::move(phase),
                  .first = std::vector<int>(workers + 1, 0),
                  .first_listener = std::vector<int>(workers + 1, 0),
                  .listeners = {}};
  const std::vector<Arc>& arcs = indexed.source.arcs;
  for (const Arc& arc : arcs) {
    ++indexed.first[arc.to + 1];
    ++indexed.first_listener[arc.from + 1];
  }
  for (int i = 0; i < workers; ++i) {
    indexed.first[i + 1] += indexed.first[i];
    indexed.first_listener[i + 1] += indexed.first_listener[i];
  }
  indexed.listeners.resize(arcs.size());
  std::vector<int> next(indexed.first_listener.begin(), indexed.first_listener.end() - 1);
  for (const Arc& arc : arcs) indexed.listeners[next[arc.from]++] = arc.to;
  return indexed;
}

GossipRow PhaseSchedule::row(Step step, Rank rank) const {
  const Indexed& phase = at(step);
  GossipRow row;
  double self = 1;
  for (int k = phase.first[rank]; k < phase.first[rank + 1]; ++k) {
    const Arc& arc = phase.source.arcs[k];
    const float weight = static_cast<float>(arc.weight);
    row.incoming.push_back({arc.from, weight});
    self -= weight;  // of the rounded weights, so that the float row sums to 1
  }
  row.self = static_cast<float>(self);
  row.degree = static_cast<int>(row.incoming.size());
  return row;
}

std::vector<Rank> PhaseSchedule::send_to(Step step, Rank rank) const {
  const Indexed& phase = at(step);
  return {phase.listeners.begin() + phase.first_listener[rank],
          phase.listeners.begin() + phase.first_listener[rank + 1]};
}

Graph PhaseSchedule::union_graph() const {
  std::vector<Arc> all;
  for (const Indexed& phase : phases_)
    all.insert(all.end(), phase.source.arcs.begin(), phase.source.arcs.end());
  return graph_of(all, workers_, name_);
}

std::vector<Graph> PhaseSchedule::phases() const {
  std::vector<Graph> graphs;
  for (const Indexed& phase : phases_)
    graphs.push_back(graph_of(phase.source.arcs, workers_, phase.source.name));
  return graphs;
}

double PhaseSchedule::messages_per_step() const {
  double messages = 0;
  for (const Indexed& phase : phases_) messages += static_cast<double>(phase.source.arcs.size());
  return messages / period();
}

std::vector<std::string> PhaseSchedule::warnings() const {
  std::vector<std::string> texts;
  for (const Indexed& phase : phases_) {
    const auto found = negative_self_weights(self_weights(phase.source.arcs, workers_), phase.source.name);
    texts.insert(texts.end(), found.begin(), found.end());
  }
  return texts;
}

uint64_t PhaseSchedule::hash() const {
  Hash hash;
  hash.add(static_cast<uint64_t>(workers_)).add(static_cast<uint64_t>(phases_.size()));
  for (const Indexed& phase : phases_) hash.add(phase.source.arcs);
  return hash.value();
}

}  // namespace alder::gossip
