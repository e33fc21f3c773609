#include "gossip/spectra.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <vector>

#include "gossip/phases.hpp"
#include "gossip/sparse_spectra.hpp"
#include "gossip/weights.hpp"

namespace alder::gossip {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

// One period whose product is this near to J averages exactly, up to rounding.
constexpr double kExact = 1e-12;

SparseMatrix laplacian_matrix(const std::vector<Arc>& arcs, int nodes) {
  std::vector<Eigen::Triplet<double>> entries;
  entries.reserve(2 * arcs.size());
  for (const Arc& arc : arcs) {
    entries.emplace_back(arc.to, arc.from, -arc.weight);
    entries.emplace_back(arc.to, arc.to, arc.weight);
  }
  SparseMatrix matrix(nodes, nodes);
  matrix.setFromTriplets(entries.begin(), entries.end());
  return matrix;
}

SparseMatrix averaging_matrix(const std::vector<Arc>& arcs, int nodes) {
  SparseMatrix identity(nodes, nodes);
  identity.setIdentity();
  return identity - laplacian_matrix(arcs, nodes);
}

VectorXd eigenvalues(const MatrixXd& symmetric) {
  return Eigen::SelfAdjointEigenSolver<MatrixXd>(symmetric, Eigen::EigenvaluesOnly).eigenvalues();
}

double largest_magnitude(const MatrixXd& symmetric) {
  return eigenvalues(symmetric).cwiseAbs().maxCoeff();
}

// The matrices of one period, and E[W^T W] - E[W]^T E[W] of each.
struct Period {
  int workers = 0;
  bool random = false;
  std::vector<SparseMatrix> mean;
  std::vector<SparseMatrix> spread;
};

Period matrices_of(const Schedule& schedule) {
  Period period{.workers = schedule.workers(), .random = schedule.random(), .mean = {}, .spread = {}};
  for (int phase = 0; phase < schedule.period(); ++phase) {
    period.mean.push_back(averaging_matrix(schedule.arcs(phase), period.workers));
    period.spread.push_back(laplacian_matrix(schedule.spread(phase), period.workers));
  }
  return period;
}

bool symmetric(const SparseMatrix& matrix) {
  const SparseMatrix difference = matrix - SparseMatrix(matrix.transpose());
  return difference.norm() < 1e-12 * matrix.norm();
}

// One fixed symmetric matrix: a single eigenproblem tells everything.
bool one_symmetric(const Period& period) {
  return period.mean.size() == 1 && !period.random && symmetric(period.mean[0]);
}

void set_static_factor(double factor, MixingReport& report) {
  report.static_factor = report.per_cycle_factor = report.long_run_factor = factor;
  report.mean_square_factor = factor * factor;
}

void dense_factors(const Period& period, MixingReport& report) {
  const int m = period.workers, steps = static_cast<int>(period.mean.size());
  const MatrixXd j = MatrixXd::Constant(m, m, 1.0 / m);
  if (one_symmetric(period)) {
    const double factor = largest_magnitude(MatrixXd(period.mean[0]) - j);
    set_static_factor(factor < kExact * m ? 0 : factor, report);
    return;
  }
  MatrixXd product = MatrixXd::Identity(m, m) - j, square = -j;
  for (int phase = 0; phase < steps; ++phase) {
    const MatrixXd w = period.mean[phase];
    product = w * product;
    square += (w.transpose() * w + MatrixXd(period.spread[phase])) / steps;
  }
  report.mean_square_factor = largest_magnitude(square);
  if (period.random) return;
  const double norm = std::sqrt(std::max(0.0, eigenvalues(product.transpose() * product).maxCoeff()));
  const bool exact = norm < kExact * m;
  const double radius = exact ? 0 : product.eigenvalues().cwiseAbs().maxCoeff();
  report.per_cycle_factor = exact ? 0 : std::pow(norm, 1.0 / steps);
  report.long_run_factor = std::pow(radius, 1.0 / steps);
  if (steps == 1) report.static_factor = report.per_cycle_factor;
}

// norm(W - J) of one symmetric matrix of a connected graph. The lower end of the spectrum matters only if it
// can be farther from 0 than the upper one, which Gershgorin's bound mostly rules out.
std::optional<double> symmetric_factor(const SparseMatrix& laplacian) {
  const auto gap = smallest_positive_eigenvalue(laplacian);
  if (!gap) return std::nullopt;
  const double upper = std::abs(1 - *gap);
  if (largest_eigenvalue_bound(laplacian) - 1 <= upper) return upper;
  return std::max(upper, std::abs(1 - largest_eigenvalue(laplacian)));
}

void sparse_factors(const Period& period, bool is_connected, MixingReport& report) {
  const int m = period.workers, steps = static_cast<int>(period.mean.size());
  if (!is_connected) {  // the indicator of a part stays what it is
    report.mean_square_factor = 1;
    if (!period.random) report.per_cycle_factor = report.long_run_factor = 1;
    if (!period.random && steps == 1) report.static_factor = 1;
    return;
  }
  if (one_symmetric(period)) {
    SparseMatrix identity(m, m);
    identity.setIdentity();
    if (const auto factor = symmetric_factor(identity - period.mean[0])) set_static_factor(*factor, report);
    return;
  }
  report.mean_square_factor = largest_contraction(m, [&](const VectorXd& v) {
    VectorXd sum = VectorXd::Zero(m);
    for (int phase = 0; phase < steps; ++phase) {
      sum += period.mean[phase].transpose() * (period.mean[phase] * v) + period.spread[phase] * v;
    }
    return VectorXd(sum / steps);
  });
  if (period.random) return;
  const auto squared = largest_contraction(m, [&](const VectorXd& v) {
    VectorXd x = v;
    for (int phase = 0; phase < steps; ++phase) x = period.mean[phase] * x;
    for (int phase = steps; phase-- > 0;) x = period.mean[phase].transpose() * x;
    return x;
  });
  if (squared) report.per_cycle_factor = *squared < kExact ? 0 : std::pow(*squared, 0.5 / steps);
  if (steps == 1) report.static_factor = report.per_cycle_factor;
}

// Graphs of the components that have edges, renumbered from 0.
std::vector<Graph> parts_with_edges(const Graph& graph) {
  const std::vector<int> component = components(graph);
  std::vector<int> size, local(graph.nodes);
  for (Rank node = 0; node < graph.nodes; ++node) {
    if (component[node] == static_cast<int>(size.size())) size.push_back(0);
    local[node] = size[component[node]]++;
  }
  std::vector<std::vector<Edge>> edges(size.size());
  for (const Edge& edge : graph.edges) edges[component[edge.a]].push_back({local[edge.a], local[edge.b]});
  std::vector<Graph> parts;
  for (size_t part = 0; part < size.size(); ++part) {
    if (size[part] > 1) parts.push_back(make_graph(graph.name, size[part], std::move(edges[part])));
  }
  return parts;
}

LaplacianExtremes connected_extremes(const Graph& graph) {
  const SparseMatrix laplacian = laplacian_matrix(uniform_arcs(graph, 1), graph.nodes);
  if (graph.nodes <= kDenseNodes) {
    const VectorXd values = eigenvalues(laplacian);
    return {.smallest_positive = values[1], .largest = values[graph.nodes - 1]};
  }
  // An unknown gap counts as none: alpha only gets smaller by it, by less than one part in lambda_max /
  // lambda_2.
  return {.smallest_positive = smallest_positive_eigenvalue(laplacian).value_or(0),
          .largest = largest_eigenvalue(laplacian)};
}

}  // namespace

LaplacianExtremes laplacian_extremes(const Graph& graph) {
  LaplacianExtremes extremes;
  for (const Graph& part : parts_with_edges(graph)) {
    const LaplacianExtremes of_part = connected_extremes(part);
    const bool first = extremes.largest == 0;
    extremes.smallest_positive =
        first ? of_part.smallest_positive : std::min(extremes.smallest_positive, of_part.smallest_positive);
    extremes.largest = std::max(extremes.largest, of_part.largest);
  }
  return extremes;
}

MixingReport analyse(const Schedule& schedule) {
  MixingReport report{.workers = schedule.workers(), .period = schedule.period()};
  report.connected = connected(schedule.union_graph());
  const Period period = matrices_of(schedule);
  report.messages_per_step = schedule.messages_per_step();
  if (report.workers == 1) {
    set_static_factor(0, report);
  } else if (report.workers <= kDenseNodes) {
    dense_factors(period, report);
  } else {
    sparse_factors(period, report.connected, report);
  }
  return report;
}

std::optional<double> step_factor(const MixingReport& report) {
  if (report.static_factor) return report.static_factor;
  if (report.long_run_factor) return report.long_run_factor;
  if (report.per_cycle_factor) return report.per_cycle_factor;
  if (report.mean_square_factor) return std::sqrt(*report.mean_square_factor);
  return std::nullopt;
}

}  // namespace alder::gossip
