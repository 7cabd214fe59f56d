"""The values of a planned block: a view of a weight, or edges computed from it a panel at a time."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from netspectra.errors import GraphError
from netspectra.graph import Block
from netspectra.graph.panels import require_finite, row_panels
from netspectra.networks.blocks import BlockPlan, group_width
from netspectra.training.channel_weights import Norm, channel_weights

__all__ = ["make_block"]


def make_block(plan: BlockPlan, norm: Norm) -> Block:
    """Read the weight of a planned block and make it.

    Raises
    ------
    GraphError
        If the weight is not what it was said to be, or holds values that are not finite.
    """
    if plan.weight is None:
        values = np.ones(len(plan.sources), np.float32) if plan.col_scale is None else plan.col_scale.astype(np.float32)
        ties = sp.csr_array((values, (plan.sources, plan.targets)), shape=plan.shape)
        return Block(plan.source, plan.target, ties, plan.learned, fixed_support=True)
    if plan.weight.dtype.kind not in "fbiuV":
        msg = f"{plan.weight.key or plan.name}: weights must be real numbers, got {plan.weight.dtype}"
        raise GraphError(msg)
    array = np.asarray(plan.weight.read())
    if tuple(array.shape) != tuple(plan.weight.shape):
        msg = f"{plan.weight.key or plan.name}: expected shape {tuple(plan.weight.shape)}, got {tuple(array.shape)}"
        raise GraphError(msg)
    if array.dtype.kind in "biu":
        array = array.astype(np.float64)
    require_finite(array.reshape(array.shape[0], -1), plan.weight.key or plan.name)
    matrix = _kernel_edges(plan, array, norm) if plan.is_kernel else array
    E = matrix.T if plan.layout == "out-in" else matrix
    if plan.is_sparse:
        return Block(plan.source, plan.target, _sparse(plan, E, norm), plan.learned, fixed_support=True)
    return Block.of_checked(plan.source, plan.target, _dense(plan, E, norm), learned=plan.learned)


def _dense(plan: BlockPlan, E: Any, norm: Norm) -> Any:
    """Edges (n_source, n_target) of the inputs and outputs that the block has."""
    E = _part(E, plan.cols, plan.rows)
    if plan.in_place:
        E = E.view()
    elif plan.is_plain:
        E = _scaled(plan, E)[np.ix_(np.argsort(plan.sources), np.argsort(plan.targets))]
        if not plan.is_kernel:
            E = np.ascontiguousarray(E, dtype=plan.dtype)
    else:
        E = _combined(plan, E, norm)
    E.flags.writeable = False
    return E


def _part(E: Any, cols: Any, rows: Any) -> Any:
    for axis, numbers in enumerate((cols, rows)):
        if len(numbers) != E.shape[axis] or numbers[0] != 0:
            run = numbers[-1] - numbers[0] == len(numbers) - 1
            chosen = slice(int(numbers[0]), int(numbers[-1]) + 1) if run else numbers
            E = E[chosen] if axis == 0 else E[:, chosen]
    return E


def _scaled(plan: BlockPlan, E: Any) -> Any:
    """Edges times the factors of both ends, in a dtype wide enough to compute in."""
    if plan.col_scale is None and plan.row_scale is None:
        return E
    work = np.float64 if E.dtype == np.float64 else np.float32
    out = np.empty(E.shape, plan.dtype)
    for part in row_panels(E):
        panel = E[part].astype(work)
        if plan.col_scale is not None:
            panel *= plan.col_scale[part, None].astype(work)
        if plan.row_scale is not None:
            panel *= plan.row_scale.astype(work)
        out[part] = panel
    return out


def _combined(plan: BlockPlan, E: Any, norm: Norm) -> Any:
    """The norm of all numbers between the same two nodes."""
    work = np.dtype(np.float64 if E.dtype == np.float64 else np.float32)
    square = norm == "l2"
    out = np.zeros(plan.shape, work)
    n_cols = E.shape[1]
    onto = sp.csr_array((np.ones(n_cols, work), (np.arange(n_cols), plan.targets)), shape=(n_cols, plan.shape[1]))
    same = bool(np.array_equal(plan.targets, np.arange(plan.shape[1])))
    for part in row_panels(E):
        panel = np.abs(np.asarray(E[part]).astype(work))
        if plan.col_scale is not None:
            panel *= plan.col_scale[part, None].astype(work)
        if plan.row_scale is not None:
            panel *= plan.row_scale.astype(work)
        if square:
            panel *= panel
        panel = panel if same else np.asarray(panel @ onto)
        places = (plan.sources[part], np.arange(panel.shape[0]))
        out += sp.csr_array((np.ones(panel.shape[0], work), places), shape=(plan.shape[0], panel.shape[0])) @ panel
    return np.sqrt(out) if square else out


def _kernel_edges(plan: BlockPlan, kernel: Any, norm: Norm) -> Any:
    """Edges (n_in of one group, n_out), or of a transposed kernel (n_in, n_out of one group), by the norm of slices."""
    if norm == "operator-1" and kernel.ndim != 4:
        norm = "l1"  # the entries of a slice with one spatial axis are one column
    swapped = {"iohw": (1, 0, *range(2, kernel.ndim)), "hwoi": (*range(kernel.ndim - 2), -1, -2)}
    layout: Any = {"iohw": "oihw", "hwoi": "hwio"}.get(plan.layout, plan.layout)
    order = swapped.get(plan.layout)
    if order is not None:
        kernel = np.transpose(kernel, [axis % kernel.ndim for axis in order])
    return np.asarray(channel_weights(kernel, norm, layout))


def _sparse(plan: BlockPlan, E: Any, norm: Norm) -> sp.csr_array:
    """Edges where the operator has some, zeros included."""
    cols, rows, values = _entries(plan, E)
    values = np.abs(values) if plan.is_kernel or not plan.is_plain else values
    square = norm == "l2" and not plan.is_plain
    col_at, row_at = _positions(plan.cols), _positions(plan.rows)
    here = np.isin(cols, plan.cols) & np.isin(rows, plan.rows)
    cols, rows, values = col_at[cols[here]], row_at[rows[here]], values[here]
    for scale, at in ((plan.col_scale, cols), (plan.row_scale, rows)):
        if scale is not None:
            values = values * scale[at].astype(values.dtype)
    values = values * values if square else values
    edges = sp.csr_array((values, (plan.sources[cols], plan.targets[rows])), shape=plan.shape)
    edges.sum_duplicates()
    if square:
        edges.data = np.sqrt(edges.data)
    return edges


def _entries(plan: BlockPlan, E: Any) -> tuple[Any, Any, Any]:
    """Input, output and value of every edge that the operator's groups allow."""
    work = E if E.dtype in (np.float32, np.float64) else np.asarray(E, np.float32)
    if plan.groups == 1:
        cols, rows = (a.ravel() for a in np.indices(work.shape))
        return cols, rows, work.ravel()
    width = group_width(plan)
    local, other = (a.ravel() for a in np.indices(work.shape))
    if plan.layout == "iohw":  # inputs are all there, outputs those of one group
        return local, local // width * work.shape[1] + other, work.ravel()
    per_group = work.shape[1] // plan.groups
    return local + other // per_group * width, other, work.ravel()


def _positions(numbers: Any) -> Any:
    at = np.zeros(int(numbers.max()) + 1, np.int64)
    at[numbers] = np.arange(len(numbers))
    return at
