"""The symmetric block product with ``|W|``, dense blocks panel by panel.

Neither ``|W|`` nor a normalised W is ever held whole: a dense block is read in panels of about a million elements,
whose absolute values go to a buffer that BLAS multiplies. Work is cut in groups by shape alone and reduced in a fixed
order, so the result does not depend on the number of threads.
"""

from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.jit import compiled
from netspectra.kernels.cpu.panels import PANEL_ELEMENTS
from netspectra.kernels.cpu.skinny import add_skinny, is_skinny
from netspectra.kernels.cpu.workers import run_tasks
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["block_product"]

Array: TypeAlias = np.ndarray[Any, Any]

GROUP_ELEMENTS = 1 << 22
MAX_GROUPS = 16
_TYPES = ("float32", "float64")


def block_product(
    weights: BlockWeights, x_source: Array | None, x_target: Array | None, n_threads: int
) -> tuple[Array | None, Array | None]:
    """``(|W| x_target, |W|^T x_source)`` per member; see :class:`netspectra.kernels.backend.Backend`."""
    x = x_target if x_target is not None else x_source
    if x is None:
        return None, None
    (m, n), members = weights.shape, x.shape[0]
    y_source = None if x_target is None else np.zeros((members, m, x.shape[2]), x.dtype)
    y_target = None if x_source is None else np.zeros((members, n, x.shape[2]), x.dtype)
    product = _csr_product if isinstance(weights, CsrWeights) else _dense_product
    for b in range(members):
        product(
            weights,  # type: ignore[arg-type]
            b,
            None if x_source is None else np.ascontiguousarray(x_source[b]),
            None if x_target is None else np.ascontiguousarray(x_target[b]),
            None if y_source is None else y_source[b],
            None if y_target is None else y_target[b],
            n_threads,
        )
    return y_source, y_target


def _dense_product(
    weights: DenseWeights,
    member: int,
    x_source: Array | None,
    x_target: Array | None,
    y_source: Array | None,
    y_target: Array | None,
    n_threads: int,
) -> None:
    W = weights.member(member)
    if W.flags.f_contiguous and not W.flags.c_contiguous:  # read along memory: the transpose, ends exchanged
        W, x_source, x_target, y_source, y_target = W.T, x_target, x_source, y_target, y_source
    x = x_target if x_target is not None else x_source
    assert x is not None
    if is_skinny(W, x):
        add_skinny(W, x_source, x_target, y_source, y_target)
        return
    m, n = W.shape
    n_groups = int(np.clip(m * n // GROUP_ELEMENTS, 1, MAX_GROUPS))
    bounds = [m * g // n_groups for g in range(n_groups + 1)]

    def run(group: int) -> Array | None:
        total = None if x_source is None else np.zeros((n, x.shape[1]), x.dtype)
        height = max(1, min(PANEL_ELEMENTS // max(n, 1), bounds[group + 1] - bounds[group]))
        buffer = np.empty((height, n), x.dtype)  # one for all panels: fresh pages cost as much as the read
        for start in range(bounds[group], bounds[group + 1], height):
            rows = slice(start, min(start + height, bounds[group + 1]))
            panel = buffer[: rows.stop - rows.start]
            _absolute(W[rows], panel)
            if y_source is not None:
                np.matmul(panel, x_target, out=y_source[rows])  # type: ignore[arg-type]
            if total is not None:
                total += panel.T @ x_source[rows]  # type: ignore[index]
        return total

    for part in run_tasks(run, range(n_groups), n_threads):
        if y_target is not None:
            y_target += part


def _absolute(panel: Array, out: Array) -> None:
    """``out = |panel|``, in the dtype of `out`."""
    if panel.dtype == out.dtype:
        np.abs(panel, out=out)
    else:
        np.copyto(out, panel)
        np.abs(out, out=out)


@compiled(
    *(
        f"void(const({t}[::1]), const({i}[::1]), const(int64[::1]), {x}[:, ::1], {x}[:, ::1])"
        for t in _TYPES
        for i in ("int32", "int64")
        for x in _TYPES
    )
)
def _csr_times(values, indices, indptr, x, y):  # type: ignore[no-untyped-def]
    """``y += |CSR| x``."""
    for i in range(y.shape[0]):
        row = y[i]
        for p in range(indptr[i], indptr[i + 1]):
            w, other = x.dtype.type(abs(values[p])), x[indices[p]]
            for c in range(row.shape[0]):
                row[c] += w * other[c]


@compiled(
    *(
        f"void(const({t}[::1]), const({i}[::1]), const(int64[::1]), {x}[:, ::1], {x}[:, ::1])"
        for t in _TYPES
        for i in ("int32", "int64")
        for x in _TYPES
    )
)
def _csr_transpose_times(values, indices, indptr, x, y):  # type: ignore[no-untyped-def]
    """``y += |CSR|^T x``."""
    for i in range(x.shape[0]):
        row = x[i]
        for p in range(indptr[i], indptr[i + 1]):
            w, other = x.dtype.type(abs(values[p])), y[indices[p]]
            for c in range(row.shape[0]):
                other[c] += w * row[c]


def _csr_product(
    weights: CsrWeights,
    member: int,
    x_source: Array | None,
    x_target: Array | None,
    y_source: Array | None,
    y_target: Array | None,
    n_threads: int,
) -> None:
    csr = weights.member(member)
    halves = [(_csr_times, x_target, y_source), (_csr_transpose_times, x_source, y_target)]
    run_tasks(lambda half: half[0](*csr, half[1], half[2]), [h for h in halves if h[1] is not None], n_threads)
