"""Layers that move numbers about."""

import math
from collections.abc import Sequence

from netspectra.bindings.keras.sizes import places, with_places
from netspectra.bindings.keras.tape import Shape, Step
from netspectra.errors import FileFormatError

__all__ = ["SHAPING", "reshaped", "transposed"]


def reshaped(step: Step, tensor: str, target: Sequence[int | None]) -> str:
    """Reshape to `target`, the batch's axis included; one side may be -1.

    Raises
    ------
    FileFormatError
        If the sizes do not go with each other.
    """
    shape = step.tape.shapes[tensor]
    if shape is None:
        return step.opaque("reshapes a tensor of unknown shape", None)
    total = math.prod(side or 1 for side in shape)
    fixed = math.prod(side or 1 for side in target if side != -1)
    rest = list(target).count(-1)
    if rest > 1 or fixed < 1 or total % fixed or (not rest and total != fixed):
        msg = f"layer {step.name!r}: expected a shape of {total:,} elements, got {tuple(target)} from {shape}"
        raise FileFormatError(msg)
    return step.emit("reshape", tensor, tuple(total // fixed if side == -1 else side for side in target))


def transposed(step: Step, tensor: str, order: Sequence[int]) -> str:
    """Axes in another order.

    Raises
    ------
    FileFormatError
        If it is no order of the axes.
    """
    shape = step.tape.shapes[tensor]
    if sorted(order) != list(range(len(order))) or (shape is not None and len(shape) != len(order)):
        msg = f"layer {step.name!r}: expected an order of the axes of {shape}, got {tuple(order)}"
        raise FileFormatError(msg)
    moved = None if shape is None else tuple(shape[i] for i in order)
    return step.emit("transpose", tensor, moved, permutation=tuple(order))


def _flatten(step: Step) -> str:
    tensor, shape = step.inputs[0], step.shape
    if step.channels_first and shape is not None and len(shape) > 2 and "kernel_layout" not in step.config:
        # Keras flattens position by position whatever the order of the data (Keras 1 did not).
        tensor = transposed(step, tensor, (0, *range(2, len(shape)), 1))
    if shape is None:
        return step.emit("flatten", tensor, None, start=1, stop=-1)
    if len(shape) == 1:
        return step.emit("reshape", tensor, (shape[0], 1))
    flat = math.prod(side or 1 for side in shape[1:])
    return step.emit("flatten", tensor, (shape[0], flat), start=1, stop=-1)


def _reshape(step: Step) -> str:
    target = _sides(step, "target_shape")
    batch = 1 if step.shape is None or step.shape[0] is None else step.shape[0]
    return reshaped(step, step.inputs[0], (batch, *target))


def _permute(step: Step) -> str:
    return transposed(step, step.inputs[0], (0, *_sides(step, "dims")))


def _sides(step: Step, key: str) -> tuple[int, ...]:
    sides = step.config.get(key)
    if not isinstance(sides, list | tuple) or not all(isinstance(side, int) and side >= -1 for side in sides):
        msg = f"layer {step.name!r} ({step.layer.kind}): expected integers {key}, got {sides!r}"
        raise FileFormatError(msg)
    return tuple(sides)


def _repeat_vector(step: Step) -> str:
    n, shape = step.integer("n"), step.shape
    if shape is None or len(shape) != 2 or n < 1:
        return step.opaque("repeats a tensor that is no vector")
    return step.emit("expand", step.emit("reshape", step.inputs[0], (shape[0], 1, shape[1])), (shape[0], n, shape[1]))


def _cropping(step: Step) -> str:
    tensor = step.inputs[0]
    for axis, before, after in _margins(step, "cropping"):
        shape = step.tape.shapes[tensor]
        size = None if shape is None else shape[axis]
        if size is not None and before + after >= size:
            msg = f"layer {step.name!r}: cuts {before} and {after} of {size} places off"
            raise FileFormatError(msg)
        if size is None or before + after == 0:
            continue  # a free size stays free
        made = _with_side(shape, axis, size - before - after)
        tensor = step.emit("slice", tensor, made, axis=axis, start=before, stop=size - after)
    return tensor


def _zero_padding(step: Step) -> str:
    tensor = step.inputs[0]
    for axis, before, after in _margins(step, "padding"):
        shape = step.tape.shapes[tensor]
        size = None if shape is None else shape[axis]
        if before + after == 0 or (shape is not None and size is None):
            continue
        made = None if size is None else _with_side(shape, axis, size + before + after)
        tensor = step.emit("pad", tensor, made, axis=axis, before=before, after=after)
    return tensor


def _with_side(shape: Shape | None, axis: int, side: int) -> Shape:
    return tuple(side if i == axis else other for i, other in enumerate(shape or ()))


def _margins(step: Step, key: str) -> list[tuple[int, int, int]]:
    """(axis, before, after) of each axis of positions."""
    n = int(step.layer.kind[-2])
    given, first = step.config.get(key, 1), 2 if step.channels_first else 1
    each = given if isinstance(given, list | tuple) else (given,) * n
    if n == 1 and len(each) == 2 and all(isinstance(side, int) for side in each):
        each = (each,)
    pairs = [(side, side) if isinstance(side, int) else side for side in each]
    if len(pairs) != n or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(s, int) and s >= 0 for s in pair)
        for pair in pairs
    ):
        msg = f"layer {step.name!r} ({step.layer.kind}): expected {n} pairs of margins {key}, got {given!r}"
        raise FileFormatError(msg)
    return [(first + i, before, after) for i, (before, after) in enumerate(pairs)]


def _upsampling(step: Step) -> str:
    n, shape = int(step.layer.kind[-2]), step.shape
    times = step.integers("size", n, 2)
    if shape is not None:
        old = places(shape, channels_first=step.channels_first)
        sizes = tuple(None if size is None else size * t for size, t in zip(old, times, strict=True))
        shape = with_places(shape, sizes, channels_first=step.channels_first)
    return step.emit("pass", step.inputs[0], shape)


def _resized(step: Step) -> str:
    shape = step.shape
    if shape is not None and len(shape) == 4:
        sizes = (step.integer("height"), step.integer("width"))
        shape = with_places(shape, sizes, channels_first=step.channels_first)
    return step.emit("pass", step.inputs[0], shape)


_EACH = (1, 2, 3)

SHAPING = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat_vector,
    **{f"Cropping{n}D": _cropping for n in _EACH},
    **{f"ZeroPadding{n}D": _zero_padding for n in _EACH},
    **{f"UpSampling{n}D": _upsampling for n in _EACH},
    **dict.fromkeys(("Resizing", "CenterCrop", "RandomCrop"), _resized),
}
