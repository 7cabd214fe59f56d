"""Attention: projections to heads, the attention itself, the projection back."""

import math

from netspectra.bindings.keras.dense_layers import contract
from netspectra.bindings.keras.shaping import transposed
from netspectra.bindings.keras.tape import Shape, Step, TensorName
from netspectra.networks import Weight

__all__ = ["ATTENTIONS"]

_TO_HEADS = ("bpi", "ihd", "bphd")
_FROM_HEADS = ("bphd", "hdo", "bpo")


def _multi_head(step: Step) -> str | list[str]:
    read = _read(step)
    if read is None:
        return step.opaque("attention over some of several axes, or over tensors of unknown shapes")
    query, key, value = read
    heads = {part: _heads(step, tensor, part) for part, tensor in zip(_PARTS, (query, key, value), strict=True)}
    n_heads = step.weight("query.kernel", 3).shape[1]
    for part in ("key", "value"):
        heads[part] = _repeated(step, heads[part], n_heads)
    shape, wide = (step.tape.shapes[heads[part]] or () for part in ("query", "value"))
    mixed = step.emit("attention", tuple(heads.values()), (*shape[:-1], *wide[-1:]), part="attention")
    mixed = transposed(step, mixed, (0, 2, 1, 3))
    if "gate.kernel" in step.weights:
        gate = contract(step, query, _TO_HEADS, step.weight("gate.kernel", 3), "gate")
        mixed = step.emit("multiply", (mixed, str(gate)), step.tape.shapes[mixed], part="gate")
    kernel = _flat(step.weight("output.kernel"), 2)
    made = str(contract(step, mixed, _FROM_HEADS, kernel, "attention_output"))
    shape = step.tape.shapes[step.inputs[0]] or ()
    given = step.config.get("output_shape")
    last = tuple(given) if isinstance(given, list | tuple) else (kernel.shape[-1],)
    if len(shape) != 3 or len(last) != 1:
        made = step.emit("reshape", made, (*shape[:-1], *last))
    if step.keywords.get("return_attention_scores") is True:
        return [made, step.emit("opaque", (query, key), None, part="scores", reason="attention scores are no nodes")]
    return made


_PARTS = ("query", "key", "value")


def _read(step: Step) -> tuple[str, str, str] | None:
    """Query, key and value as (batch, positions, features)."""
    given = dict(zip(("query", "value", "key"), step.arguments, strict=False)) | dict(step.keywords)
    query, value = given.get("query"), given.get("value")
    key = given.get("key")
    key = value if key is None else key
    if not all(isinstance(tensor, TensorName) for tensor in (query, key, value)):
        return None
    shapes = [step.tape.shapes[str(tensor)] for tensor in (query, key, value)]
    if any(shape is None or len(shape) < 3 for shape in shapes):
        return None
    axes = step.config.get("attention_axes")
    if axes is not None and sorted(axes) != list(range(1, len(shapes[0] or ()) - 1)):
        return None
    flat = [_one_axis(step, str(t), s or ()) for t, s in zip((query, key, value), shapes, strict=True)]
    return flat[0], flat[1], flat[2]


def _one_axis(step: Step, tensor: str, shape: Shape) -> str:
    if len(shape) == 3:
        return tensor
    return step.emit("reshape", tensor, (shape[0], math.prod(side or 1 for side in shape[1:-1]), shape[-1]))


def _heads(step: Step, tensor: str, part: str) -> str:
    """(batch, heads, positions, dimensions)."""
    projected = contract(step, tensor, _TO_HEADS, step.weight(f"{part}.kernel", 3), part)
    return transposed(step, str(projected), (0, 2, 1, 3))


def _repeated(step: Step, tensor: str, n_heads: int) -> str:
    shape = step.tape.shapes[tensor] or ()
    own = shape[1] or 1
    if own == n_heads or n_heads % own:
        return tensor
    return step.emit("repeat", tensor, (shape[0], n_heads, *shape[2:]), axis=1, times=n_heads // own)


def _flat(kernel: Weight, n_kept: int) -> Weight:
    """The kernel with the axes after the first `n_kept` as one."""
    shape = (*kernel.shape[:n_kept], math.prod(kernel.shape[n_kept:]))
    return Weight(shape, kernel.dtype, lambda: kernel.read().reshape(shape), kernel.key)


def _single_head(step: Step) -> str:
    if len(step.inputs) not in (2, 3):
        return step.opaque("attention needs a query and a value")
    query, value = step.inputs[:2]
    key = step.inputs[2] if len(step.inputs) == 3 else value
    shapes = [step.tape.shapes[tensor] for tensor in (query, key, value)]
    if any(shape is None or len(shape) != 3 for shape in shapes):
        return step.opaque("attention over tensors that are not (batch, positions, features)")
    if step.weights:
        step.skip("factors inside the attention's scores", *step.weights)
    raised = []
    for tensor, shape in zip((query, key, value), shapes, strict=True):
        batch, n, size = shape or ()
        raised.append(step.emit("reshape", tensor, (batch, 1, n, size)))
    made = (*(step.tape.shapes[raised[0]] or ())[:-1], (shapes[2] or ())[-1])
    return step.emit("reshape", step.emit("attention", raised, made), (made[0], *made[2:]))


ATTENTIONS = {
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"), _multi_head),
    **dict.fromkeys(("Attention", "AdditiveAttention"), _single_head),
}
