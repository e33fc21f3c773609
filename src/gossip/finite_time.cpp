#include "gossip/finite_time.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "base/error.hpp"

namespace alder::gossip {
namespace {

// Arcs of every round; shorter sequences that run beside longer ones are silent at the end.
using Rounds = std::vector<std::vector<Arc>>;

void join(std::vector<Arc>& arcs, Rank a, Rank b, double weight) {
  arcs.push_back({a, b, weight});
  arcs.push_back({b, a, weight});
}

void run_beside(Rounds& all, const Rounds& other, size_t first_round = 0) {
  if (all.size() < first_round + other.size()) all.resize(first_round + other.size());
  for (size_t round = 0; round < other.size(); ++round) {
    auto& arcs = all[first_round + round];
    arcs.insert(arcs.end(), other[round].begin(), other[round].end());
  }
}

// The fewest factors of n that are all at most `largest`; none when a prime factor is larger.
std::optional<std::vector<int>> factors(int n, int largest,
                                        std::map<int, std::optional<std::vector<int>>>& known) {
  if (n == 1) return std::vector<int>{};
  if (const auto found = known.find(n); found != known.end()) return found->second;
  std::optional<std::vector<int>> best;
  for (int f = std::min(n, largest); f >= 2; --f) {
    if (n % f != 0) continue;
    auto rest = factors(n / f, largest, known);
    if (!rest || (best && best->size() <= rest->size() + 1)) continue;
    rest->push_back(f);
    best = std::move(rest);
  }
  return known[n] = best;
}

std::optional<std::vector<int>> smooth_factors(int n, int k) {
  std::map<int, std::optional<std::vector<int>>> known;
  return factors(n, k + 1, known);
}

// Algorithm 1, the k-peer hyper-hypercube: number the nodes by digits of mixed radix, and average in round l
// over the nodes that differ in digit l only.
Rounds hyper_hypercube(const std::vector<Rank>& nodes, const std::vector<int>& radices) {
  Rounds rounds;
  const int n = static_cast<int>(nodes.size());
  int stride = 1;
  for (const int radix : radices) {
    auto& arcs = rounds.emplace_back();
    for (int i = 0; i < n; ++i) {
      const int digit = i / stride % radix;
      for (int other = digit + 1; other < radix; ++other) {
        join(arcs, nodes[i], nodes[i + (other - digit) * stride], 1.0 / radix);
      }
    }
    stride *= radix;
  }
  return rounds;
}

Rounds hyper_hypercube(const std::vector<Rank>& nodes, int k) {
  return hyper_hypercube(nodes, *smooth_factors(static_cast<int>(nodes.size()), k));
}

// V_l of algorithm 2: a group of `count` blocks of (k+1)^p nodes each.
struct Group {
  int count = 0, block = 1;
  std::vector<Rank> nodes;
};

// The digits of n in base k + 1, the largest first.
std::vector<Group> split(const std::vector<Rank>& nodes, int k) {
  int64_t power = 1;
  const auto n = static_cast<int64_t>(nodes.size());
  while (power * (k + 1) <= n) power *= k + 1;
  std::vector<Group> groups;
  auto next = nodes.begin();
  for (int64_t rest = n; power > 0; power /= k + 1) {
    const int64_t count = rest / power;
    rest %= power;
    if (count == 0) continue;
    groups.push_back({static_cast<int>(count), static_cast<int>(power), {next, next + count * power}});
    next += count * power;
  }
  return groups;
}

// Algorithm 2, simple Base-(k+1). First every group averages inside. Then group after group is levelled with
// the rest T of all later groups: with N the size of group and rest together and q that of a block, each node
// of T is joined to one node of every block with weight q / N. That moves the mean of T, and of each block,
// exactly to the common mean: the mean of T keeps the share |T| / N, and a block of q equal values u receives
// |T| / N times (mean of T - u). Later groups stay constant inside, so the rest is levelled in the same way,
// while the blocks average inside.
Rounds simple_base(const std::vector<Rank>& nodes, int k) {
  if (const auto radices = smooth_factors(static_cast<int>(nodes.size()), k))
    return hyper_hypercube(nodes, *radices);
  const std::vector<Group> groups = split(nodes, k);
  Rounds rounds;
  for (const Group& group : groups) run_beside(rounds, hyper_hypercube(group.nodes, k));

  const size_t levelling = rounds.size();
  size_t begin = 0;  // of the group among nodes
  for (size_t l = 0; l < groups.size(); ++l) {
    const Group& group = groups[l];
    const size_t together = nodes.size() - begin, rest = begin + group.nodes.size();
    if (rest < nodes.size()) {
      std::vector<Arc> arcs;
      for (size_t v = rest; v < nodes.size(); ++v) {
        for (int block = 0; block < group.count; ++block) {
          join(arcs, nodes[v], group.nodes[block * group.block + (v - rest)],
               group.block / static_cast<double>(together));
        }
      }
      run_beside(rounds, {arcs}, levelling + l);
    }
    // The last group has been levelled to the common mean already and is constant.
    for (int block = 0; block < group.count && l + 1 < groups.size(); ++block) {
      const auto first = group.nodes.begin() + block * group.block;
      run_beside(rounds, hyper_hypercube({first, first + group.block}, k), levelling + l + 1);
    }
    begin = rest;
  }
  return rounds;
}

// Algorithm 3: n = p q, where q has no prime factor up to k + 1. p teams of q run the simple sequence beside
// each other, then the hyper-hypercube averages across teams. Shorter than the plain one for some n.
Rounds by_teams(const std::vector<Rank>& nodes, int k) {
  int q = static_cast<int>(nodes.size());
  for (int f = 2; f <= k + 1; ++f) {
    while (q % f == 0) q /= f;
  }
  const int teams = static_cast<int>(nodes.size()) / q;
  Rounds rounds;
  for (int team = 0; team < teams; ++team) {
    run_beside(rounds, simple_base({nodes.begin() + team * q, nodes.begin() + (team + 1) * q}, k));
  }
  const size_t across = rounds.size();
  for (int seat = 0; seat < q; ++seat) {
    std::vector<Rank> column(teams);
    for (int team = 0; team < teams; ++team) column[team] = nodes[team * q + seat];
    run_beside(rounds, hyper_hypercube(column, k), across);
  }
  return rounds;
}

}  // namespace

std::vector<Phase> base_graph(int workers, int k) {
  if (k < 1) usage_error("schedule 'base:{}': the number of neighbours is at least 1", k);
  std::vector<Rank> nodes(workers);
  std::iota(nodes.begin(), nodes.end(), 0);
  k = std::min(k, std::max(workers - 1, 1));
  Rounds rounds = simple_base(nodes, k);
  if (Rounds teams = by_teams(nodes, k); teams.size() < rounds.size()) rounds = std::move(teams);
  if (rounds.empty()) rounds.emplace_back();  // one worker: one silent round
  std::vector<Phase> phases;
  for (auto& arcs : rounds) {
    std::sort(arcs.begin(), arcs.end());
    phases.push_back({fmt::format("base-{} round {}", k + 1, phases.size() + 1), std::move(arcs)});
  }
  return phases;
}

std::vector<Phase> one_peer_exponential(int workers) {
  std::vector<Phase> phases;
  for (int64_t distance = 1; distance < workers || phases.empty(); distance *= 2) {
    Phase phase{.name = fmt::format("distance {}", distance), .arcs = {}};
    for (Rank i = 0; i < workers && workers > 1; ++i) {
      phase.arcs.push_back({i, static_cast<Rank>((i - distance + workers) % workers), 0.5});
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

}  // namespace alder::gossip
