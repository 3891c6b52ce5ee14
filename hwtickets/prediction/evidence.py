"""How the kernel of a Gaussian process is chosen: by the evidence (marginal likelihood) of what was measured.

Networks and operators are corrected by processes of their own, in `hwtickets.prediction.residual` and
`hwtickets.tables.residual`; distances, evidence and its maximum are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwtickets.prediction.features import Matrix, Vector


def squared_distances(one: Matrix, other: Matrix) -> Matrix:
    """Between the rows of two matrices, (n, d) and (m, d): (n, m), never negative."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None]
    squares -= 2 * one @ other.T
    return np.maximum(squares, 0.0, out=squares)


def weighted_sum(factors: Sequence[float] | Vector, parts: Sequence[Matrix], size: int) -> Matrix:
    """The sum of square matrices, each times its factor, (size, size); added up in order."""
    # Temporary matrices of this size cost as much as the arithmetic.
    total, part_of_it = np.zeros((size, size)), np.empty((size, size))
    for factor, part in zip(factors, parts, strict=True):
        total += np.multiply(part, factor, out=part_of_it)
    return total


def surprise(covariance: Matrix, targets: Vector) -> tuple[float, Matrix]:
    """How unexpected targets are: the negative logarithm of the evidence, without its constant.

    Args:
        covariance: Of the targets, (n, n), noise and jitter included.
        targets: (n,), of mean 0.

    Returns:
        The surprise, and twice its slope along every element of the covariance, (n, n).
    """
    from scipy.linalg import cho_solve, cholesky

    root = cholesky(covariance, lower=True, check_finite=False)
    inverse = cho_solve((root, True), np.eye(len(targets)), overwrite_b=True, check_finite=False)
    weights = inverse @ targets
    value = 0.5 * targets @ weights + np.log(np.diag(root)).sum()
    # In the order in which other matrices lie: products with them would copy this one, each time.
    excess = np.outer(weights, weights)
    return float(value), np.subtract(inverse, excess, out=excess)


def least_surprising(
    of: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    bounds: Sequence[tuple[float, float]],
    steps: int,
) -> Vector:
    """The parameters of a kernel with the least surprise.

    Args:
        of: Surprise of parameters, and its gradient.
        start: Parameters to begin with.
        bounds: The lowest and the highest value of each.
        steps: At most.
    """
    from scipy.optimize import minimize

    found: Vector = minimize(
        of, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps}
    ).x
    return found
