"""Layers that read several tensors."""

from netspectra.bindings.keras.tape import Shape, Step
from netspectra.errors import FileFormatError

__all__ = ["MERGES", "broadcast", "concatenated", "joined"]


def broadcast(step: Step, inputs: tuple[str, ...]) -> Shape | None:
    """Return the common shape of tensors; free sizes give way.

    Raises
    ------
    FileFormatError
        If there is none.
    """
    shapes = [shape for tensor in inputs if (shape := step.tape.shapes[tensor]) is not None]
    if len(shapes) < len(inputs):
        return step.result
    rank = max(len(shape) for shape in shapes)
    sides: list[int | None] = []
    for axis in range(-rank, 0):
        found = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        fixed = found - {None}
        if len(fixed) > 1:
            msg = f"layer {step.name!r}: expected tensors that broadcast, got shapes {', '.join(map(str, shapes))}"
            raise FileFormatError(msg)
        sides.append(next(iter(fixed)) if fixed else None if found else 1)
    return tuple(sides)


def joined(step: Step, kind: str) -> str:
    """``add`` or ``multiply`` of all inputs."""
    return step.emit(kind, step.inputs, broadcast(step, step.inputs))


def concatenated(step: Step, axis: int) -> str:
    """All inputs one after the other along an axis."""
    shapes = [step.tape.shapes[tensor] for tensor in step.inputs]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return step.emit("concatenate", step.inputs, step.result, axis=axis)
    first = known[0]
    if any(len(shape) != len(first) for shape in known) or not -len(first) <= axis < len(first):
        msg = f"layer {step.name!r}: expected shapes that join along axis {axis}, got {', '.join(map(str, known))}"
        raise FileFormatError(msg)
    sides = [shape[axis] for shape in known]
    total = None if None in sides else sum(side or 0 for side in sides)
    shape = list(first)
    shape[axis] = total
    return step.emit("concatenate", step.inputs, tuple(shape), axis=axis)


def _add(step: Step) -> str:
    return joined(step, "add")


def _multiply(step: Step) -> str:
    return joined(step, "multiply")


def _concatenate(step: Step) -> str:
    return concatenated(step, step.integer("axis", -1))


def _dot(step: Step) -> str:
    shapes = [step.tape.shapes[tensor] for tensor in step.inputs]
    if len(shapes) != 2 or shapes[0] is None or shapes[1] is None or not all(len(s or ()) in (2, 3) for s in shapes):
        return step.opaque("a product of tensors whose shapes are not 2-D or 3-D")
    axes = step.config.get("axes")
    first, second = axes if isinstance(axes, list | tuple) else (axes, axes)
    left = _with_axis_last(step, step.inputs[0], int(first))
    right = _with_axis_last(step, step.inputs[1], int(second))
    a, b = step.tape.shapes[left] or (), step.tape.shapes[right] or ()
    right = step.emit("transpose", right, (b[0], b[2], b[1]), permutation=(0, 2, 1))
    made = step.emit("product", (left, right), (a[0], a[1], b[1]))
    kept = tuple(side for side, shape in ((a[1], shapes[0]), (b[1], shapes[1])) if len(shape) == 3)
    if len(kept) == 2:
        return made
    return step.emit("reshape", made, (a[0], *(kept or (1,))))


def _with_axis_last(step: Step, tensor: str, axis: int) -> str:
    """(batch, other, axis), with one other where there is none."""
    shape = step.tape.shapes[tensor] or ()
    if len(shape) == 2:
        return step.emit("reshape", tensor, (shape[0], 1, shape[1]))
    if axis % 3 == 2:
        return tensor
    return step.emit("transpose", tensor, (shape[0], shape[2], shape[1]), permutation=(0, 2, 1))


MERGES = {
    **dict.fromkeys(("Add", "Subtract", "Average", "Maximum", "Minimum"), _add),
    "Multiply": _multiply,
    "Concatenate": _concatenate,
    "Dot": _dot,
}
