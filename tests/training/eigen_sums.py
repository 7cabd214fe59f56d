"""Sums of bottom eigenvalues by dense LAPACK in float64, and derivatives by differences: the oracle of the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["along", "central_difference", "dense_spectrum", "planted_chain", "relative_error"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


def dense_spectrum(blocks: Sequence[tuple[int, int, Any]]) -> Floats:
    """Ascending eigenvalues of L among the live nodes, for blocks (source, target, weights (n_source, n_target))."""
    sizes: dict[int, int] = {}
    for source, target, W in blocks:
        sizes[source], sizes[target] = W.shape
    offsets = np.concatenate([[0], np.cumsum([sizes[i] for i in range(len(sizes))])])
    A = np.zeros((offsets[-1], offsets[-1]))
    for source, target, W in blocks:
        i, j = (slice(offsets[end], offsets[end + 1]) for end in (source, target))
        A[i, j] += np.abs(W)
        A[j, i] += np.abs(W).T
    A = A[A.any(axis=1)][:, A.any(axis=1)]
    scale = 1 / np.sqrt(A.sum(axis=1))
    return np.linalg.eigvalsh(np.eye(len(A)) - scale[:, None] * A * scale)


def planted_chain(sizes: Sequence[int], k: int, seed: int = 0, noise: float = 0.2) -> list[Floats]:
    """Signed weights (n_in, n_out) of a chain whose layers share k modules, so that a gap opens after eigenvalue k."""
    rng = np.random.default_rng(seed)
    weights = []
    for m, n in pairwise(sizes):
        inside = (np.arange(m) * k // m)[:, None] == (np.arange(n) * k // n)[None, :]
        strength = np.where(inside, 1.0, noise) * (1 + 0.3 * np.arange(k))[np.arange(n) * k // n]
        weights.append(rng.uniform(0.5, 1.5, (m, n)) * strength * rng.choice([-1.0, 1.0], (m, n)))
    return weights


def central_difference(function: Callable[[list[Floats]], float], weights: list[Floats], step: float) -> list[Floats]:
    """Derivative of a function of several arrays, entry by entry."""
    found = []
    for number, W in enumerate(weights):
        out = np.empty_like(W)
        for place in np.ndindex(W.shape):
            values = []
            for sign in (1, -1):
                moved = W.copy()
                moved[place] += sign * step
                values.append(function([*weights[:number], moved, *weights[number + 1 :]]))
            out[place] = (values[0] - values[1]) / (2 * step)
        found.append(out)
    return found


def along(
    function: Callable[[list[Floats]], float], weights: list[Floats], direction: list[Floats], step: float
) -> float:
    """Directional derivative by a central difference."""
    ends = [[W + sign * step * d for W, d in zip(weights, direction, strict=True)] for sign in (1, -1)]
    return (function(ends[0]) - function(ends[1])) / (2 * step)


def relative_error(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Norm-wise, over all arrays together."""
    difference = sum(float(np.sum((a - b) ** 2)) for a, b in zip(found, expected, strict=True))
    return float(np.sqrt(difference / sum(float(np.sum(b**2)) for b in expected)))
