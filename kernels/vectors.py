"""Small work on vectors over the nodes of a graph, in the array-API standard."""

from typing import Any

from netspectra.kernels.backend import Array

__all__ = ["deflated", "degree_scales"]


def degree_scales(xp: Any, degrees: Array, dtype: Any) -> tuple[Array, Array]:
    """``1 / sqrt(d)``, ``sqrt(d / sum(d))``; see :meth:`netspectra.kernels.backend.Backend.degree_scales`."""
    live = degrees > 0
    scale = xp.where(live, 1.0 / xp.sqrt(xp.where(live, degrees, xp.ones_like(degrees))), xp.zeros_like(degrees))
    root = xp.sqrt(degrees / xp.sum(degrees, axis=1, keepdims=True))
    return xp.astype(scale, dtype), xp.astype(root, dtype)


def deflated(xp: Any, X: Array, unit: Array) -> Array:
    """X without rows and direction of `unit`; see :meth:`netspectra.kernels.backend.Backend.deflated`."""
    column = unit[:, :, None]
    X = xp.where(column != 0, X, xp.zeros_like(X))
    return X - xp.matmul(column, xp.matmul(unit[:, None, :], X))
