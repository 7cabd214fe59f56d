r"""Derivative of a sum of Laplacian eigenvalues by every weight of a graph, in closed form.

For a unit eigenvector *v* of L with eigenvalue :math:`\lambda`, :math:`u = D^{-1/2} v`, and an edge of weight
:math:`a = |w|` between nodes *m* and *n*:

.. math:: \partial\lambda / \partial w = \mathrm{sign}(w) \left[ (1 - \lambda)(u_m^2 + u_n^2) - 2 u_m u_n \right]

For a block and q eigenvectors that is a product of rank q and two terms of rank one: no n x n matrix is formed. The
sign of 0 is 0. The published code of arXiv:2103.03386 computes half of this.

The derivative of a *sum* of eigenvalues exists where the sum does not end inside a cluster of equal eigenvalues; inside
the sum they may coincide. At such an end what is returned depends on the basis that the solver happened to find.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array

__all__ = ["SpectralFactors", "block_gradients", "eigenvalue_gradient", "spectral_factors"]


class SpectralFactors(NamedTuple):
    """All that the derivative needs beside the signs of the weights.

    Attributes
    ----------
    scaled : array, shape (B, n, q)
        ``u = D^-1/2 v``; zero for isolated nodes.
    squares : array, shape (B, n)
        ``sum_i (1 - lambda_i) u_i^2``.
    """

    scaled: Array
    squares: Array


def spectral_factors(batch: GraphBatch, eigenvalues: Array, vectors: Array) -> SpectralFactors:
    """Return the factors for eigenvalues (B, q) and unit eigenvectors (B, n, q) of L."""
    scaled = vectors * batch.inverse_sqrt_degrees(vectors.dtype)[:, :, None]
    squares = batch.backend.xp.matmul(scaled * scaled, (1.0 - eigenvalues)[:, :, None])
    return SpectralFactors(scaled, squares[:, :, 0])


def block_gradients(batch: GraphBatch, factors: SpectralFactors, scale: Any, chosen: Sequence[int]) -> list[Array]:
    """`scale` (a number, or an array without axes) times the derivative of the sum, for the blocks `chosen`."""
    left, squares, structure = factors.scaled * (2.0 * scale), factors.squares * scale, batch.structure
    gradients = []
    for number in chosen:
        source, target = (structure.layer_slice(end) for end in structure.ends[number])
        rows, cols = squares[:, source], squares[:, target]
        U, V = left[:, source, :], factors.scaled[:, target, :]
        gradients.append(batch.backend.edge_gradient(batch.weights[number], rows, cols, U, V))
    return gradients


def eigenvalue_gradient(batch: GraphBatch, eigenvalues: Array, vectors: Array, scale: float = 1.0) -> list[Array]:
    """Return the derivative of ``scale * sum(eigenvalues)`` by every stored weight, block by block.

    Parameters
    ----------
    batch : GraphBatch
    eigenvalues : array, shape (B, q)
    vectors : array, shape (B, n, q)
        Unit eigenvectors of the Laplacian, in node order; rows of isolated nodes are zero.
    scale : float

    Returns
    -------
    list of array
        Each in the shape of its block's stored values, (B, m, n) or (B, nnz), and the dtype of `vectors`.
    """
    factors = spectral_factors(batch, eigenvalues, vectors)
    return block_gradients(batch, factors, scale, range(len(batch.weights)))
