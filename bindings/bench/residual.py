"""Residuals of eigenpairs in float64, from the weights and without netspectra's operators, where the weights are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspectra.bindings.bench.workloads import Shape

__all__ = ["float64_degrees", "float64_residual", "largest_residual"]

PANEL_ELEMENTS = 1 << 25
"""Elements of a block that are in float64 at a time: 256 MB."""


def largest_residual(
    weights: Sequence[NDArray[np.floating[Any]]],
    eigenvalues: NDArray[np.floating[Any]],
    vectors: NDArray[np.floating[Any]],
) -> float:
    """Largest ``|L x - lambda x|`` over unit eigenvectors of a chain of layers on the host.

    Parameters
    ----------
    weights : sequence of (n_in, n_out) arrays
        A chain of layers.
    eigenvalues : float array, shape (k,)
    vectors : float array, shape (n, k)
        Rows of isolated nodes are zero.
    """
    sizes = (weights[0].shape[0], *(weight.shape[1] for weight in weights))
    return float64_residual(np, _Chain(sizes), list(weights), eigenvalues, vectors)


def float64_degrees(lib: Any, shape: Shape, weights: list[Any]) -> Any:
    """Sums of ``|W|`` per node, (n,) float64."""
    starts, total = _starts(shape)
    degrees = lib.zeros((total,), dtype=lib.float64)
    for (source, target), W in zip(shape.blocks, weights, strict=True):
        for rows in _panels(W):
            panel = _absolute(lib, W[rows])
            first = starts[source] + rows.start
            degrees[first : first + panel.shape[0]] += panel.sum(axis=1)
            degrees[starts[target] : starts[target] + panel.shape[1]] += panel.sum(axis=0)
    return degrees


def float64_residual(lib: Any, shape: Shape, weights: list[Any], eigenvalues: Any, vectors: Any) -> float:
    """Largest ``|L x - lambda x|`` over unit eigenvectors.

    Parameters
    ----------
    lib : module
        CuPy, or NumPy.
    shape : Shape
    weights : list of arrays
        One per block, signed, in any storage dtype.
    eigenvalues : array, shape (k,)
    vectors : array, shape (n, k)
        On the host or on the device.
    """
    degrees = float64_degrees(lib, shape, weights)
    live = degrees > 0
    scale = lib.where(live, 1 / lib.sqrt(lib.where(live, degrees, 1.0)), 0.0)[:, None]
    X = lib.asarray(vectors).astype(lib.float64)
    X = X / lib.linalg.norm(X, axis=0)
    Y = X * scale
    product = lib.zeros_like(Y)
    starts, _ = _starts(shape)
    for (source, target), W in zip(shape.blocks, weights, strict=True):
        for rows in _panels(W):
            panel = _absolute(lib, W[rows])
            here = slice(starts[source] + rows.start, starts[source] + rows.start + panel.shape[0])
            there = slice(starts[target], starts[target] + panel.shape[1])
            product[here] += panel @ Y[there]
            product[there] += panel.T @ Y[here]
    R = X - scale * product - X * lib.asarray(eigenvalues).astype(lib.float64)
    return float(lib.linalg.norm(R, axis=0).max())


@dataclass(frozen=True)
class _Chain:
    sizes: tuple[int, ...]

    @property
    def layers(self) -> list[tuple[str, int]]:
        return [(f"layer {i}", size) for i, size in enumerate(self.sizes)]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        return list(pairwise(range(len(self.sizes))))


def _absolute(lib: Any, panel: Any) -> Any:
    return lib.abs(panel.astype(lib.float64))


def _panels(W: Any) -> list[slice]:
    rows, cols = W.shape
    height = max(1, PANEL_ELEMENTS // max(1, cols))
    return [slice(start, min(start + height, rows)) for start in range(0, rows, height)]


def _starts(shape: Shape) -> tuple[list[int], int]:
    """First node of each layer, and the number of nodes."""
    starts, total = [], 0
    for _, size in shape.layers:
        starts.append(total)
        total += size
    return starts, total
