// MATCHA's two optimisation problems: probabilities of matchings and the mixing weight.
#include "gossip/matcha.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "gossip/spectra.hpp"

namespace alder::gossip {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

MatrixXd expected_laplacian(int nodes, const std::vector<Matching>& matchings, const VectorXd& weights) {
  MatrixXd laplacian = MatrixXd::Zero(nodes, nodes);
  for (size_t j = 0; j < matchings.size(); ++j) {
    for (const auto& [a, b] : matchings[j]) {
      laplacian(a, a) += weights[j];
      laplacian(b, b) += weights[j];
      laplacian(a, b) -= weights[j];
      laplacian(b, a) -= weights[j];
    }
  }
  return laplacian;
}

VectorXd eigenvalues(const MatrixXd& symmetric) {
  return Eigen::SelfAdjointEigenSolver<MatrixXd>(symmetric, Eigen::EigenvaluesOnly).eigenvalues();
}

// The concave problem as a semidefinite programme, maximise s subject to sum_j p_j L_j - s (I - J) >= 0,
// solved by the log-det barrier. With only M + 1 variables every Newton step costs one inverse, and the end
// of the central path is known to (number of constraints) / sharpness, where a supergradient would crawl
// along the kinks of lambda_2 (Boyd and Vandenberghe, Convex Optimization, section 11.3).
class ProbabilityBarrier {
 public:
  ProbabilityBarrier(const Graph& graph, const std::vector<Matching>& matchings, double budget)
      : nodes_(graph.nodes),
        matchings_(matchings),
        count_(static_cast<int>(matchings.size())),
        total_(budget * count_) {}

  VectorXd solve() {
    constexpr double kGap = 1e-9;
    VectorXd at = VectorXd::Constant(count_ + 1, 0.5 * total_ / count_);
    at[count_] = -1;  // s below every eigenvalue is feasible
    const double constraints = nodes_ + 2 * count_;
    for (double sharpness = 1; sharpness < constraints / kGap; sharpness *= 8) centre(at, sharpness);
    centre(at, constraints / kGap);
    return at.head(count_);
  }

 private:
  // Value of the barrier function to be minimised; none outside its domain.
  std::optional<double> value(const VectorXd& at, double sharpness) const {
    const VectorXd p = at.head(count_);
    const double left = total_ - p.sum();
    if (p.minCoeff() <= 0 || p.maxCoeff() >= 1 || left <= 0) return std::nullopt;
    const Eigen::LLT<MatrixXd> factor(slack(at));
    if (factor.info() != Eigen::Success) return std::nullopt;
    const double log_det = 2 * MatrixXd(factor.matrixL()).diagonal().array().log().sum();
    return -sharpness * at[count_] - log_det - p.array().log().sum() - (1 - p.array()).log().sum() -
           std::log(left);
  }

  // sum_j p_j L_j - s (I - J) + J: the last term gives the constant vector eigenvalue 1, out of the way.
  MatrixXd slack(const VectorXd& at) const {
    const double s = at[count_];
    MatrixXd matrix = expected_laplacian(nodes_, matchings_, at.head(count_));
    matrix.diagonal().array() -= s;
    matrix.array() += (s + 1) / nodes_;
    return matrix;
  }

  // Gradient and Hessian. With X = slack^-1 and an edge e as the vector e_a - e_b:
  //   d log det / dp_j = sum over e in j of e^T X e,  d2 / dp_i dp_j = - sum over e in i, f in j of (e^T X
  //   f)^2.
  void derivatives(const VectorXd& at, double sharpness, VectorXd& gradient, MatrixXd& hessian) const {
    const MatrixXd x = slack(at).llt().solve(MatrixXd::Identity(nodes_, nodes_));
    const int s = count_;
    gradient = VectorXd::Zero(count_ + 1);
    hessian = MatrixXd::Zero(count_ + 1, count_ + 1);
    gradient[s] = -sharpness + x.trace() - 1;  // the constant vector, of eigenvalue 1, is left out
    hessian(s, s) = x.squaredNorm() - 1;
    const double left = total_ - at.head(count_).sum();
    for (int i = 0; i < count_; ++i) {
      const double p = at[i];
      gradient[i] = -1 / p + 1 / (1 - p) + 1 / left;
      hessian(i, i) = 1 / (p * p) + 1 / ((1 - p) * (1 - p));
      for (const auto& [a, b] : matchings_[i]) {
        const VectorXd column = x.col(a) - x.col(b);
        gradient[i] -= column[a] - column[b];
        hessian(i, s) -= column.squaredNorm();
        for (int j = 0; j <= i; ++j) {
          for (const auto& [c, d] : matchings_[j]) hessian(i, j) += std::pow(column[c] - column[d], 2);
        }
      }
      hessian(s, i) = hessian(i, s);
    }
    for (int i = 0; i < count_; ++i) {
      for (int j = 0; j < i; ++j) hessian(j, i) = hessian(i, j);
    }
    hessian.topLeftCorner(count_, count_).array() += 1 / (left * left);
  }

  // Newton's method with backtracking to the minimum for one sharpness.
  void centre(VectorXd& at, double sharpness) const {
    VectorXd gradient;
    MatrixXd hessian;
    double here = value(at, sharpness).value();
    for (int iteration = 0; iteration < 60; ++iteration) {
      derivatives(at, sharpness, gradient, hessian);
      const VectorXd step = -hessian.ldlt().solve(gradient);
      const double slope = gradient.dot(step);
      if (!(slope < -1e-9)) return;
      double length = 1;
      std::optional<double> there = value(at + step, sharpness);
      while ((!there || *there > here + 0.1 * length * slope) && length > 1e-9) {
        length /= 2;
        there = value(at + length * step, sharpness);
      }
      if (!there || *there >= here) return;  // rounding: no further descent to be had
      at += length * step;
      here = *there;
    }
  }

  int nodes_;
  const std::vector<Matching>& matchings_;
  int count_;
  double total_;  // the budget in matchings
};

// rho(alpha) = largest eigenvalue of I - 2 alpha Lbar + alpha^2 (Lbar^2 + 2 Ltil) - J is convex, being a
// maximum of parabolas; no larger alpha than 1 can be best, because each matching alone is past its minimum
// at 1/2.
void choose_alpha(int nodes, MatchaPlan& plan) {
  const VectorXd p = Eigen::Map<const VectorXd>(plan.probabilities.data(), plan.probabilities.size());
  const MatrixXd mean = expected_laplacian(nodes, plan.matchings, p);
  const MatrixXd square =
      mean * mean + 2 * expected_laplacian(nodes, plan.matchings, (p.array() * (1 - p.array())).matrix());
  const MatrixXd base = MatrixXd::Identity(nodes, nodes) - MatrixXd::Constant(nodes, nodes, 1.0 / nodes);
  const auto rho = [&](double alpha) {
    return eigenvalues(base - 2 * alpha * mean + alpha * alpha * square)[nodes - 1];
  };
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double low = 0, high = 1;
  double left = high - golden * (high - low), right = low + golden * (high - low);
  double at_left = rho(left), at_right = rho(right);
  while (high - low > 1e-7) {
    if (at_left < at_right) {
      high = right;
      right = left;
      at_right = at_left;
      left = high - golden * (high - low);
      at_left = rho(left);
    } else {
      low = left;
      left = right;
      at_left = at_right;
      right = low + golden * (high - low);
      at_right = rho(right);
    }
  }
  plan.alpha = (low + high) / 2;
  plan.rho = rho(plan.alpha);
}

}  // namespace

MatchaPlan plan_matcha(const Graph& graph, double budget) {
  if (!(budget > 0 && budget <= 1))
    usage_error("matcha budget {} is outside (0, 1]; it is a share of matchings", budget);
  if (graph.nodes > kDenseNodes) {
    usage_error("matcha on {} workers: its probabilities are computed for at most {}; take another schedule",
                graph.nodes, kDenseNodes);
  }
  if (!connected(graph)) {
    usage_error("matcha needs a connected graph; '{}' falls into {}", graph.name, describe_components(graph));
  }
  MatchaPlan plan{.matchings = matchings(graph), .probabilities = {}};
  if (plan.matchings.empty()) return plan;  // one worker
  VectorXd p = VectorXd::Ones(plan.matchings.size());
  if (budget < 1) p = ProbabilityBarrier(graph, plan.matchings, budget).solve();
  // The barrier keeps strictly inside; what is at a bound up to its accuracy is meant to be there.
  constexpr double kBound = 1e-5;
  for (double& x : p) x = x < kBound ? 0 : x > 1 - kBound ? 1 : x;
  plan.probabilities.assign(p.begin(), p.end());
  plan.lambda_2 = eigenvalues(expected_laplacian(graph.nodes, plan.matchings, p))[1];
  choose_alpha(graph.nodes, plan);
  return plan;
}

MatchaPlan relabel(const MatchaPlan& plan, std::span<const Rank> labels) {
  MatchaPlan renamed = plan;
  for (Matching& matching : renamed.matchings) {
    for (Edge& edge : matching) {
      edge = {std::min(labels[edge.a], labels[edge.b]), std::max(labels[edge.a], labels[edge.b])};
    }
  }
  return renamed;
}

}  // namespace alder::gossip
