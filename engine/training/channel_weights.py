r"""Edges between the channels of a convolution: a norm of each kernel slice, and the norm's derivative.

With channels as nodes, the edge from input channel *i* to output channel *o* weighs :math:`\|K_{oi}\|`, ``K[o, i]``
being the kernel's spatial slice:

==============  ===========================================  =====================================================
norm            edge                                         derivative by an entry of the slice
==============  ===========================================  =====================================================
``l1``          sum of \|entries\|                           sign of the entry
``l2``          root of the sum of squares                   entry / edge, 0 where the slice is zero
``operator-1``  largest column sum of \|entries\|            sign of the entry in the first largest column, else 0
==============  ===========================================  =====================================================

The sign of 0 is 0, so a pruned entry is never moved. ``operator-1`` is what the published code of arXiv:2103.03386
computes, whose text says L1; columns are taken over the first spatial axis, as NumPy's ``linalg.norm(slice, 1)`` does.
"""

from typing import Any, Literal, get_args

import array_api_compat
import numpy as np

from netspectra.errors import GraphError
from netspectra.training.weight_arrays import as_array, back_in_dtype, beside, require_one_library, widened
from netspectra.validation import require_choice

__all__ = ["Layout", "Norm", "channel_weights", "channel_weights_gradient"]

Norm = Literal["l1", "l2", "operator-1"]
Layout = Literal["oihw", "hwio"]


def channel_weights(kernel: Any, norm: Norm = "l1", layout: Layout = "oihw") -> Any:
    """Edge weights between the input and output channels of a convolution.

    Parameters
    ----------
    kernel : array, shape (n_out, n_in, *spatial) or (*spatial, n_in, n_out)
        Of NumPy, PyTorch, JAX, CuPy or another library of the array-API standard; with at least one spatial axis. Of a
        grouped convolution the slices of one group (its channels are the group's).
    norm : {"l1", "l2", "operator-1"}, default "l1"
        Entrywise L1, entrywise L2, or the largest column sum (exactly two spatial axes). See the module's table.
    layout : {"oihw", "hwio"}, default "oihw"
        ``"oihw"``: output, input, then spatial axes, as PyTorch stores them; ``"hwio"``: spatial axes, input, output,
        as Flax and Keras do. The names stand for any number of spatial axes.

    Returns
    -------
    array, shape (n_in, n_out)
        Non-negative, on the kernel's library and device: a block of a :class:`~netspectra.LayerGraph` whose rows are
        the input channels. float32 for kernels of 16 bits, float64 for integers (float32 where the library has no
        float64). Differentiable by the library's own autograd, with the derivatives of the table.

    Raises
    ------
    GraphError
        If the kernel is not a real array with spatial axes and at least one entry, or an option is unknown.
    """
    array, axes = _checked(kernel, norm, layout)
    work, xp = widened(array), array_api_compat.array_namespace(array)
    if norm == "l1":
        edges = xp.sum(_size(xp, work), axis=axes)
    elif norm == "l2":
        edges = _root(xp, xp.sum(work * work, axis=axes))
    else:
        columns = xp.sum(_size(xp, work), axis=axes[0], keepdims=True)
        largest = _first_largest(xp, columns, axes[1])
        edges = xp.sum(xp.where(largest, columns, xp.zeros_like(columns)), axis=axes)
    return xp.matrix_transpose(edges) if layout == "oihw" else edges


def channel_weights_gradient(kernel: Any, cotangent: Any, norm: Norm = "l1", layout: Layout = "oihw") -> Any:
    """Vector-Jacobian product of :func:`channel_weights`, in closed form.

    Parameters
    ----------
    kernel, norm, layout
        As given to :func:`channel_weights`.
    cotangent : array, shape (n_in, n_out)
        Derivative of something by each edge weight; of the kernel's library.

    Returns
    -------
    array, shape of `kernel`
        Derivative of that something by each entry of the kernel, in the kernel's dtype (that of its channel weights
        for integers).

    Raises
    ------
    GraphError
        If :func:`channel_weights` would, or the cotangent is of another shape or library.
    """
    array, axes = _checked(kernel, norm, layout)
    work, xp = widened(array), array_api_compat.array_namespace(array)
    rate = _per_slice(_checked_cotangent(cotangent, array, layout), work, layout)
    if norm == "l1":
        gradient = xp.sign(work) * rate
    elif norm == "l2":
        length = _root(xp, xp.sum(work * work, axis=axes, keepdims=True))
        zero = length == 0
        gradient = xp.where(zero, xp.zeros_like(work), work / xp.where(zero, xp.ones_like(length), length) * rate)
    else:
        columns = xp.sum(xp.abs(work), axis=axes[0], keepdims=True)
        gradient = xp.where(_first_largest(xp, columns, axes[1]), xp.sign(work) * rate, xp.zeros_like(work))
    return back_in_dtype(gradient, array)


def _checked(kernel: Any, norm: Any, layout: Any) -> tuple[Any, tuple[int, ...]]:
    """Kernel and its spatial axes."""
    norm, layout = require_choice("norm", norm, get_args(Norm)), require_choice("layout", layout, get_args(Layout))
    array = as_array(kernel, "kernel")
    shape, n_spatial = tuple(int(size) for size in array.shape), array.ndim - 2
    expected = "(n_out, n_in, *spatial)" if layout == "oihw" else "(*spatial, n_in, n_out)"
    if n_spatial < 1:
        dense = "; the weights of a dense layer are a block as they are" if n_spatial == 0 else ""
        msg = f"kernel: expected shape {expected} with at least one spatial axis, got shape {shape}{dense}"
        raise GraphError(msg)
    if 0 in shape:
        msg = f"kernel: expected at least one entry along every axis, got shape {shape}; leave an empty layer out"
        raise GraphError(msg)
    if norm == "operator-1" and n_spatial != 2:
        msg = (
            f"kernel: norm 'operator-1' needs exactly two spatial axes, got shape {shape} in layout {layout!r}; take "
            "'l1' or 'l2'"
        )
        raise GraphError(msg)
    first = 2 if layout == "oihw" else 0
    return array, tuple(range(first, first + n_spatial))


def _checked_cotangent(cotangent: Any, kernel: Any, layout: Layout) -> Any:
    """Cotangent in the dtype that the kernel is computed in."""
    array = as_array(cotangent, "cotangent")
    n_out, n_in = kernel.shape[:2] if layout == "oihw" else kernel.shape[:-3:-1]
    if tuple(array.shape) != (n_in, n_out):
        msg = f"cotangent: expected one number per edge, shape {(int(n_in), int(n_out))}, got {tuple(array.shape)}"
        raise GraphError(msg)
    require_one_library(array, kernel, "cotangent", "kernel")
    return array_api_compat.array_namespace(array).astype(array, widened(kernel).dtype, copy=False)


def _per_slice(edges: Any, kernel: Any, layout: Layout) -> Any:
    """(n_in, n_out) -> an array that broadcasts against the kernel, one number per slice."""
    xp, ones = array_api_compat.array_namespace(kernel), (1,) * (kernel.ndim - 2)
    if layout == "oihw":
        return xp.reshape(xp.matrix_transpose(edges), (*kernel.shape[:2], *ones))
    return xp.reshape(edges, (*ones, *edges.shape))


def _size(xp: Any, work: Any) -> Any:
    """Absolute values whose derivative at 0 is 0: that of JAX's own ``abs`` is 1 there."""
    return work * xp.sign(work)


def _root(xp: Any, squares: Any) -> Any:
    """Square root whose derivative at 0 is 0: autograd would multiply the infinite one by 0 and get NaN."""
    zero = squares == 0
    return xp.where(zero, xp.zeros_like(squares), xp.sqrt(xp.where(zero, xp.ones_like(squares), squares)))


def _first_largest(xp: Any, columns: Any, axis: int) -> Any:
    """Where the first largest entry along an axis is: a maximum's autograd would share ties out instead."""
    places = [1] * columns.ndim
    places[axis] = columns.shape[axis]
    index = xp.argmax(columns, axis=axis, keepdims=True)
    return beside(np.arange(columns.shape[axis]).reshape(places), columns) == index
