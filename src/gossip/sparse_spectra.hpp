// Extreme eigenvalues of large sparse averaging matrices, on the space orthogonal to the constant vector.
#pragma once

#include <Eigen/SparseCore>
#include <functional>
#include <optional>

namespace alder::gossip {

using SparseMatrix = Eigen::SparseMatrix<double>;

// Smallest eigenvalue above zero of the weighted Laplacian of a connected graph; none when the matrix is too
// large to factorise and mixes too slowly for Lanczos.
//
// A fast-mixing graph (an expander) has a wide gap, so plain Lanczos finds it, and its factors would be
// dense. A slow one (a torus, a ring) has a tiny gap, but small separators, so its Cholesky factor is sparse
// and Lanczos on the inverse converges in a few steps. A short Lanczos run tells which it is.
std::optional<double> smallest_positive_eigenvalue(const SparseMatrix& laplacian);

// Upper estimate of the largest eigenvalue: Ritz value plus residual, at most Gershgorin's bound.
double largest_eigenvalue(const SparseMatrix& laplacian);

// Gershgorin: twice the largest diagonal entry of a Laplacian.
double largest_eigenvalue_bound(const SparseMatrix& laplacian);

// Largest eigenvalue of a positive semidefinite operator, orthogonal to the constant vector; none unless it
// is settled well below its distance to 1.
using Operator = std::function<Eigen::VectorXd(const Eigen::VectorXd&)>;
std::optional<double> largest_contraction(int size, const Operator& apply);

}  // namespace alder::gossip
