#include "gossip/sparse_spectra.hpp"

#include <Spectra/SymEigsSolver.h>

#include <Eigen/Eigenvalues>
#include <Eigen/OrderingMethods>
#include <Eigen/SparseCholesky>
#include <algorithm>
#include <vector>

#include "base/philox.hpp"

namespace alder::gossip {
namespace {

using Eigen::VectorXd;

void remove_mean(VectorXd& v) {
  v.array() -= v.mean();
}

// What Spectra wants of an operator; the constant vector is projected out on both sides.
class Deflated {
 public:
  using Scalar = double;
  Deflated(int size, const Operator& apply) : size_(size), apply_(apply) {}
  Eigen::Index rows() const { return size_; }
  Eigen::Index cols() const { return size_; }
  void perform_op(const double* in, double* out) const {
    VectorXd v = Eigen::Map<const VectorXd>(in, size_);
    remove_mean(v);
    v = apply_(v);
    remove_mean(v);
    Eigen::Map<VectorXd>(out, size_) = v;
  }

 private:
  int size_;
  const Operator& apply_;
};

VectorXd start_vector(int size) {
  Random random(1, Draw::graph, 0);
  VectorXd v(size);
  for (double& x : v) x = random.uniform() - 0.5;
  remove_mean(v);
  return v;
}

struct Ritz {
  double value = 0;
  double residual = 0;  // norm(A v - value v), v of norm 1: some eigenvalue is this near
};

// Largest Ritz value of a plain Lanczos run: a bound of the largest eigenvalue from below after a few
// products and with three vectors of memory. Lost orthogonality only repeats values, which does no harm to
// the largest.
Ritz short_lanczos(int size, const Operator& apply, int steps) {
  steps = std::min(steps, size - 1);
  VectorXd v = start_vector(size).normalized(), before = VectorXd::Zero(size);
  VectorXd diagonal(steps), side = VectorXd::Zero(steps);
  for (int k = 0; k < steps; ++k) {
    VectorXd next = apply(v);
    remove_mean(next);
    if (k > 0) next -= side[k - 1] * before;
    diagonal[k] = v.dot(next);
    next -= diagonal[k] * v;
    side[k] = next.norm();
    if (side[k] < 1e-14) {  // an invariant subspace: the values are exact
      steps = k + 1;
      break;
    }
    before = std::move(v);
    v = next / side[k];
  }
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> small;
  small.computeFromTridiagonal(diagonal.head(steps), side.head(steps - 1));
  return {.value = small.eigenvalues()[steps - 1],
          .residual = side[steps - 1] * std::abs(small.eigenvectors()(steps - 1, steps - 1))};
}

// Largest eigenvalue on the deflated space by restarted Lanczos; none when `restarts` do not reach
// `tolerance`, which is relative to the value.
std::optional<Ritz> restarted_lanczos(int size, const Operator& apply, int vectors, int restarts,
                                      double tolerance) {
  Deflated op(size, apply);
  Spectra::SymEigsSolver<Deflated> solver(op, 1, std::min(vectors, size));
  const VectorXd start = start_vector(size);
  solver.init(start.data());
  solver.compute(Spectra::SortRule::LargestAlge, restarts, tolerance);
  if (solver.info() != Spectra::CompInfo::Successful) return std::nullopt;
  const double value = solver.eigenvalues()[0];
  const VectorXd v = solver.eigenvectors(1).col(0);
  VectorXd image = apply(v);
  remove_mean(image);
  return Ritz{.value = value, .residual = (image - value * v).norm()};
}

// Nonzeros of the Cholesky factor in the given order, or `limit` when there are more (Liu's row subtrees: row
// k of the factor is what is reached from row k of the matrix by climbing the elimination tree).
int64_t factor_nonzeros(const SparseMatrix& matrix, int64_t limit) {
  const int n = static_cast<int>(matrix.cols());
  std::vector<int> parent(n, -1), seen(n, -1);
  int64_t count = n;
  for (int k = 0; k < n && count < limit; ++k) {
    seen[k] = k;
    for (SparseMatrix::InnerIterator it(matrix, k); it; ++it) {
      for (int i = static_cast<int>(it.row()); i < k && seen[i] != k; i = parent[i]) {
        if (parent[i] < 0) parent[i] = k;
        seen[i] = k;
        ++count;
      }
    }
  }
  return std::min(count, limit);
}

// The Laplacian without its last node is positive definite; solving with it and then removing the mean is the
// pseudo-inverse on vectors of mean zero. none: the factor would be too large.
std::optional<double> by_inverse(const SparseMatrix& laplacian) {
  constexpr int64_t kFactorLimit = 60'000'000;  // about 1 GB
  const int n = static_cast<int>(laplacian.cols());
  const SparseMatrix grounded = laplacian.topLeftCorner(n - 1, n - 1);
  Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, int> inverse_order;
  Eigen::AMDOrdering<int>()(grounded.selfadjointView<Eigen::Upper>(), inverse_order);
  const Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, int> order = inverse_order.inverse();
  SparseMatrix ordered(n - 1, n - 1);
  ordered = grounded.twistedBy(order);
  if (factor_nonzeros(ordered, kFactorLimit) >= kFactorLimit) return std::nullopt;

  Eigen::SimplicialLDLT<SparseMatrix, Eigen::Upper, Eigen::NaturalOrdering<int>> factor(ordered);
  if (factor.info() != Eigen::Success) return std::nullopt;
  const Operator apply = [&](const VectorXd& v) {
    VectorXd x = VectorXd::Zero(n);
    const VectorXd right = order * v.head(n - 1);
    x.head(n - 1) = inverse_order * VectorXd(factor.solve(right));
    remove_mean(x);
    return x;
  };
  const auto ritz = restarted_lanczos(n, apply, 20, 100, 1e-9);
  if (!ritz || ritz->value <= 0) return std::nullopt;
  return 1 / ritz->value;
}

}  // namespace

double largest_eigenvalue_bound(const SparseMatrix& laplacian) {
  double largest = 0;
  for (int i = 0; i < laplacian.cols(); ++i) largest = std::max(largest, laplacian.coeff(i, i));
  return 2 * largest;
}

std::optional<double> smallest_positive_eigenvalue(const SparseMatrix& laplacian) {
  constexpr double kSlow = 0.01;  // share of the spectrum: below it Lanczos would need hundreds of vectors
  const int n = static_cast<int>(laplacian.cols());
  const double top = largest_eigenvalue_bound(laplacian);
  const Operator flipped = [&](const VectorXd& v) { return VectorXd(top * v - laplacian * v); };
  // Any Ritz value bounds the gap from above: a small bound proves that the graph mixes slowly.
  if (top - short_lanczos(n, flipped, 60).value > kSlow * top) {
    if (const auto ritz = restarted_lanczos(n, flipped, 40, 60, 1e-7)) return top - ritz->value;
  }
  return by_inverse(laplacian);
}

double largest_eigenvalue(const SparseMatrix& laplacian) {
  const Operator apply = [&](const VectorXd& v) { return VectorXd(laplacian * v); };
  const Ritz ritz = short_lanczos(static_cast<int>(laplacian.cols()), apply, 150);
  return std::min(ritz.value + ritz.residual, largest_eigenvalue_bound(laplacian));
}

std::optional<double> largest_contraction(int size, const Operator& apply) {
  constexpr double kZero = 1e-12;
  VectorXd probe = start_vector(size).normalized();
  probe = apply(probe);
  remove_mean(probe);
  if (probe.norm() < kZero) return 0.0;
  const auto ritz = restarted_lanczos(size, apply, 40, 60, 1e-8);
  if (!ritz || ritz->residual > 1e-2 * (1 - ritz->value)) return std::nullopt;
  return std::max(ritz->value, 0.0);
}

}  // namespace alder::gossip
