"""Small work on vectors over the nodes of a graph, in one pass.

Kernels, because NumPy makes ten passes of it: next to nothing in an analysis, but a tenth of the penalty in a training
step, which finds the code of every one of them outside the cache.
"""

from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.jit import compiled

__all__ = ["deflated", "degree_scales"]

Array: TypeAlias = np.ndarray[Any, Any]
_TYPES = ("float32", "float64")


def degree_scales(degrees: Array, dtype: Any) -> tuple[Array, Array]:
    """``1 / sqrt(d)`` and ``sqrt(d / sum(d))``; see :class:`netspectra.kernels.backend.Backend`."""
    scale, root = np.empty(degrees.shape, dtype), np.empty(degrees.shape, dtype)
    _degree_scales(np.ascontiguousarray(degrees), scale, root)
    return scale, root


def deflated(X: Array, unit: Array) -> Array:
    """X without rows and direction of `unit`, columns along memory; see :class:`netspectra.kernels.backend.Backend`."""
    columns = np.ascontiguousarray(X.transpose(0, 2, 1))
    out = np.empty_like(columns)
    _deflated(columns, np.ascontiguousarray(unit), out)
    return out.transpose(0, 2, 1)


@compiled(*(f"void(const(float64[:, ::1]), {t}[:, ::1], {t}[:, ::1])" for t in _TYPES))
def _degree_scales(degrees, scale, root):  # type: ignore[no-untyped-def]
    for b in range(degrees.shape[0]):
        volume = 0.0
        for i in range(degrees.shape[1]):
            volume += degrees[b, i]
        for i in range(degrees.shape[1]):
            d = degrees[b, i]
            scale[b, i] = 1.0 / np.sqrt(d) if d > 0 else 0.0
            root[b, i] = np.sqrt(d / volume)


@compiled(*(f"void(const({t}[:, :, ::1]), const({t}[:, ::1]), {t}[:, :, ::1])" for t in _TYPES))
def _deflated(X, unit, out):  # type: ignore[no-untyped-def]
    zero = out.dtype.type(0)
    for b in range(X.shape[0]):
        u = unit[b]
        for k in range(X.shape[1]):
            x, y, part = X[b, k], out[b, k], zero
            for i in range(u.shape[0]):
                part += u[i] * x[i] if u[i] != 0 else zero
            for i in range(u.shape[0]):
                y[i] = x[i] - part * u[i] if u[i] != 0 else zero
