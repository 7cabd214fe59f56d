"""Means, sums, maxima and their kin over axes."""

from typing import Any

from netspectra.bindings.pytorch.call import Call, Emitter

__all__ = ["REDUCTION"]


def reduce(call: Call) -> Any:
    """Any reduction: over the axes it names, or all of them; indices that it finds besides have no nodes."""
    flow = call.flows[0]
    axes = call.get("dim")
    if flow.shape is None and (axes is None or axes == []):
        return call.opaque("a reduction over all axes of a tensor of unknown shape")
    if axes is None or (isinstance(axes, list | tuple) and not axes):
        axes = range(len(flow.shape or ()))
    named = [axes] if isinstance(axes, int) else list(axes)
    over = tuple(call.axis(flow, axis) for axis in named)
    keep = bool(call.get("keepdim", False))
    made = call.emit("reduce", flow, shape=call.shape, axes=over, keepdims=keep)
    if not call.is_list:
        return made
    both = call.op in ("var_mean", "std_mean", "aminmax")
    return [made, call.emit("reduce", flow, shape=call.shape, axes=over, keepdims=keep)] if both else [made]


def extremum(call: Call) -> Any:
    """``max`` and ``min``: of two tensors, or over an axis."""
    other = call.get("other")
    if other is None:
        return reduce(call)
    flows = call.flows
    if len(flows) == 2:
        return call.emit("add", *flows, shape=call.shape)
    return call.emit("pass" if flows[0].shape == call.shape else "expand", flows[0], shape=call.shape)


def ordered(call: Call) -> Any:
    """Elements of an axis in the order of their values, or their running sums: no edge shows which go where."""
    return call.opaque(f"{call.op} joins the elements of an axis by their order")


_REDUCTIONS = (
    "mean sum nansum nanmean amax amin prod var std var_mean std_mean aminmax norm linalg_vector_norm logsumexp "
    "special_logsumexp median nanmedian mode"
)

REDUCTION: dict[str, Emitter] = {
    **dict.fromkeys(_REDUCTIONS.split(), reduce),
    **dict.fromkeys(("max", "min"), extremum),
    **dict.fromkeys(("cummax", "cumprod", "cumsum", "logcumsumexp", "sort"), ordered),
}
"""ATen operation to its emitter."""
