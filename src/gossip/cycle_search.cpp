#include "gossip/cycle_search.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/philox.hpp"
#include "gossip/phases.hpp"
#include "gossip/weights.hpp"

namespace alder::gossip {
namespace {

using Eigen::MatrixXd;
using Labels = std::vector<std::vector<Rank>>;

constexpr int kSearchedNodes = 256;
constexpr double kWork = 5e8;  // multiply-adds of one search: about a second
constexpr int kMostTrials = 6'000;

class Search {
 public:
  Search(const Graph& graph, int copies, WeightRule rule, uint64_t seed)
      : nodes_(graph.nodes), copies_(copies), random_(seed, Draw::graph, 0) {
    if (nodes_ > kSearchedNodes) return;
    const auto arcs = averaging_arcs(graph, rule);
    base_ = MatrixXd::Zero(nodes_, nodes_);
    for (const Arc& arc : arcs) base_(arc.to, arc.from) = arc.weight;
    base_.diagonal() = Eigen::VectorXd::Ones(nodes_) - base_.rowwise().sum();
  }

  Labels run() {
    if (nodes_ > kSearchedNodes || copies_ == 1) return random_labels();
    const double cost = (copies_ + 10.0) * std::pow(nodes_, 3);  // products, then eigenvalues
    int trials = static_cast<int>(std::clamp(kWork / cost, 50.0, double{kMostTrials}));
    Labels best;
    double best_value = 2;
    while (trials > 0) {
      Labels labels = random_labels();
      const double value = descend(labels, trials);
      if (value < best_value) {
        best_value = value;
        best = std::move(labels);
      }
    }
    return best;
  }

 private:
  Labels random_labels() {
    Labels labels(copies_, std::vector<Rank>(nodes_));
    for (int copy = 0; copy < copies_; ++copy) {
      std::iota(labels[copy].begin(), labels[copy].end(), 0);
      for (int i = nodes_ - 1; i > 0 && copy > 0; --i)
        std::swap(labels[copy][i], labels[copy][random_.below(i + 1)]);
    }
    return labels;
  }

  // Random swaps, kept when they help, until as many in a row have not as there are swaps.
  double descend(Labels& labels, int& trials) {
    double value = cycle_norm(labels);
    --trials;
    const int swaps = (copies_ - 1) * nodes_ * (nodes_ - 1) / 2;
    for (int vain = 0; vain < swaps && trials > 0; --trials) {
      auto& copy = labels[1 + random_.below(copies_ - 1)];
      const uint32_t i = random_.below(nodes_), j = random_.below(nodes_);
      if (i == j) continue;
      std::swap(copy[i], copy[j]);
      const double changed = cycle_norm(labels);
      if (changed < value - 1e-12) {
        value = changed;
        vain = 0;
      } else {
        std::swap(copy[i], copy[j]);
        ++vain;
      }
    }
    return value;
  }

  double cycle_norm(const Labels& labels) const {
    MatrixXd product = MatrixXd::Identity(nodes_, nodes_).array() - 1.0 / nodes_;
    MatrixXd renamed(nodes_, nodes_);
    for (const auto& label : labels) {
      for (int i = 0; i < nodes_; ++i) {
        for (int j = 0; j < nodes_; ++j) renamed(label[i], label[j]) = base_(i, j);
      }
      product = renamed * product;
    }
    const MatrixXd square = product.transpose() * product;
    return Eigen::SelfAdjointEigenSolver<MatrixXd>(square, Eigen::EigenvaluesOnly).eigenvalues()[nodes_ - 1];
  }

  int nodes_, copies_;
  Random random_;
  MatrixXd base_;
};

}  // namespace

std::vector<std::vector<Rank>> search_cycle(const Graph& graph, int copies, WeightRule rule, uint64_t seed) {
  return Search(graph, copies, rule, seed).run();
}

}  // namespace alder::gossip
