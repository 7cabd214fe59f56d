"""Einstein sums of one or two tensors, as transposes around a matrix product."""

from math import prod
from typing import Any

from netspectra.bindings.pytorch.aten_elementwise import times
from netspectra.bindings.pytorch.aten_linear import matrix_product
from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow

__all__ = ["EINSUM"]

_UNKNOWN = "an einsum of more than two tensors, or one that repeats an index inside a tensor, is not known"


def einsum(call: Call) -> Any:
    """``torch.einsum(equation, *tensors)``."""
    tensors = list(call["tensors"])
    read = _letters(str(call["equation"]), tensors)
    if read is None or len(tensors) > 2:
        return call.opaque(_UNKNOWN)
    indices, made = read
    if any(len(set(one)) != len(one) for one in indices):
        return call.opaque(_UNKNOWN)
    everywhere = [*indices, made]
    for i, (tensor, own) in enumerate(zip(tensors, indices, strict=True)):
        others = set("".join(everywhere[:i] + everywhere[i + 1 :]))
        tensors[i], indices[i] = _summed(call, tensor, own, "".join(x for x in own if x in others))
    if len(tensors) == 1:
        return _ordered(call, tensors[0], indices[0], made)
    if isinstance(tensors[0], Constant):
        tensors, indices = tensors[::-1], indices[::-1]
    return _two(call, tensors[0], tensors[1], indices, made)


def _two(call: Call, one: Flow, other: Any, indices: list[str], made: str) -> Any:
    left, right = indices
    sizes: dict[str, int] = {}
    for tensor, own in ((one, left), (other, right)):
        for letter, size in zip(own, tensor.shape or (), strict=True):
            sizes[letter] = max(int(size or 1), sizes.get(letter, 1))
    inner = [x for x in left if x in right and x not in made]
    shared = [x for x in left if x in right and x in made]
    free = [[x for x in own if x not in inner and x not in shared] for own in (left, right)]
    if not inner:
        wide = "".join(x for x in made if x in left), "".join(x for x in made if x in right)
        factors = [
            _shaped(call, _ordered(call, tensor, own, order), [sizes[x] if x in order else 1 for x in made])
            for tensor, own, order in zip((one, other), indices, wide, strict=True)
        ]
        return times(call, factors[0], factors[1], tuple(sizes[x] for x in made))
    batch, n_inner = [sizes[x] for x in shared], prod(sizes[x] for x in inner)
    flat = isinstance(other, Flow) or bool(shared)
    rows = [prod(sizes[x] for x in free[0])] if flat else [sizes[x] for x in free[0]]
    columns = prod(sizes[x] for x in free[1])
    one = _ordered(call, one, left, "".join([*shared, *free[0], *inner]))
    one = _shaped(call, one, [*batch, *rows, n_inner])
    other = _ordered(call, other, right, "".join([*shared, *inner, *free[1]]))
    other = _shaped(call, other, [*batch, n_inner, columns])
    result = matrix_product(call, one, other, (*batch, *rows, columns))
    order = "".join([*shared, *free[0], *free[1]])
    return _ordered(call, _shaped(call, result, [sizes[x] for x in order]), order, made)


def _letters(equation: str, tensors: list[Any]) -> tuple[list[str], str] | None:
    """Indices of each tensor and of the result, an ellipsis written out in capitals that the equation does not use."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(tensors) or any(tensor.shape is None for tensor in tensors):
        return None
    unused = [chr(i) for i in range(ord("A"), ord("Z") + 1) if chr(i) not in equation]
    widest = 0
    for i, (part, tensor) in enumerate(zip(parts, tensors, strict=True)):
        if "..." in part:
            n_more = len(tensor.shape) - len(part) + 3
            widest = max(widest, n_more)
            parts[i] = part.replace("...", "".join(unused[-n_more:] if n_more else ""))
    if not arrow:
        every = "".join(parts)
        right = "".join(sorted(x for x in set(every) if every.count(x) == 1 and x.islower()))
        right = ("..." if widest else "") + right
    return parts, right.replace("...", "".join(unused[-widest:] if widest else ""))


def _summed(call: Call, tensor: Any, own: str, kept: str) -> tuple[Any, str]:
    axes = tuple(i for i, letter in enumerate(own) if letter not in kept)
    if not axes:
        return tensor, own
    shape = tuple(size for i, size in enumerate(tensor.shape) if i not in axes)
    if isinstance(tensor, Constant):
        return tensor.derive(shape, lambda value: value.sum(axes)), kept
    return call.emit("reduce", tensor, shape=shape, axes=axes), kept


def _ordered(call: Call, tensor: Any, own: str, order: str) -> Any:
    if own == order:
        return tensor
    axes = tuple(own.index(letter) for letter in order)
    shape = tuple(tensor.shape[i] for i in axes)
    if isinstance(tensor, Constant):
        return tensor.derive(shape, lambda value: value.permute(axes))
    return call.emit("transpose", tensor, shape=shape, permutation=axes)


def _shaped(call: Call, tensor: Any, sizes: list[int]) -> Any:
    shape = tuple(sizes)
    if tensor.shape == shape:
        return tensor
    if isinstance(tensor, Constant):
        return tensor.derive(shape, lambda value: value.reshape(shape))
    return call.emit("reshape", tensor, shape=shape)


EINSUM: dict[str, Emitter] = {"einsum": einsum}
"""ATen operation to its emitter."""
