"""What a tensor is to a graph: at every place, the node that its number belongs to.

Numbers that differ only in the batch or the position (of an image, of a sequence) belong to one node. So a tensor is an
array of node numbers with its axes, of size 1 along axes of positions: a network's reshapes, transposes, slices and
concatenations are then NumPy's own, done on these arrays. -1 is a number that belongs to no node.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from netspectra.errors import GraphError, LimitError
from netspectra.networks.network import Shape

__all__ = ["MOST_PLACES", "Nodes", "Value", "aligned", "along", "constant", "flattened", "reshaped"]

Nodes: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Scale: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

MOST_PLACES = 1 << 27
"""Places of one tensor that are told apart; real networks need a few hundred thousand."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor while a network's operations are followed.

    Attributes
    ----------
    shape : tuple of int or None, or None
        None where not even the number of axes is known.
    nodes : array of int64, or None
        One axis per axis of `shape`, of its size or of size 1. None for an input that nothing has read yet: which of
        its axes are nodes is decided by what reads it.
    scale : array of float64, or None
        What a node's number was multiplied with since it was made; broadcasts against `nodes`.
    origin : str
        Input that an unread value comes from.
    fresh : int or None
        Group of nodes whose operator made this, while nothing else has touched it.
    pattern : int or None
        Number of the attention whose weights these are.
    open_end : str or None
        ``"repeat"`` or ``"tile"`` where positions of unknown number were flattened into the last axis.
    """

    shape: Shape | None
    nodes: Nodes | None
    scale: Scale | None = None
    origin: str = ""
    fresh: int | None = None
    pattern: int | None = None
    open_end: str | None = None

    @property
    def has_nodes(self) -> bool:
        """Whether any place may belong to a node."""
        return self.nodes is None or bool(np.any(self.nodes >= 0))

    def axis(self, axis: int) -> int:
        """Position of an axis that may be counted from the end.

        Raises
        ------
        GraphError
            If there is no such axis.
        """
        rank = self.rank
        if rank is None:
            return axis
        if not -rank <= axis < rank:
            msg = f"axis {axis} of a tensor with {rank} axes"
            raise GraphError(msg)
        return axis % rank

    @property
    def rank(self) -> int | None:
        """Number of axes."""
        if self.shape is not None:
            return len(self.shape)
        return None if self.nodes is None or self.nodes.ndim == 0 else self.nodes.ndim

    def touched(self, **changes: Any) -> "Value":
        """The same after an operation: not fresh."""
        return replace(self, **{"fresh": None, **changes})

    def mapped(self, change: Any, shape: Shape | None) -> "Value":
        """The value after `change`, which takes and returns an array with its axes."""
        nodes = None if self.nodes is None else change(self.nodes)
        scale = None if self.scale is None else change(self._spread_scale())
        return self.touched(shape=shape, nodes=nodes, scale=scale)

    def _spread_scale(self) -> Scale:
        assert self.scale is not None
        if self.nodes is None:
            return self.scale
        return np.broadcast_to(self.scale, np.broadcast_shapes(self.scale.shape, self.nodes.shape))


def constant(shape: Shape | None, pattern: int | None = None) -> Value:
    """A tensor without nodes."""
    return Value(shape, np.full((1,) * len(shape or ()), -1, np.int64), pattern=pattern)


def along(shape: Shape | None, rank: int, axis: int, numbers: Any) -> Nodes:
    """Array with `rank` axes (those of `shape`, where that is known) whose numbers vary along one of them."""
    sides = [1] * (rank if shape is None else len(shape))
    if not -len(sides) <= axis < len(sides):
        msg = f"makes {len(np.asarray(numbers))} features along axis {axis} of a tensor with {len(sides)} axes"
        raise GraphError(msg)
    if shape is not None and shape[axis] not in (None, len(np.asarray(numbers))):
        msg = f"makes {len(np.asarray(numbers))} features along axis {axis} of a tensor of shape {shape}"
        raise GraphError(msg)
    sides[axis] = -1
    return np.reshape(np.asarray(numbers), sides)


def aligned(arrays: Sequence[Any]) -> list[Any]:
    """Arrays broadcast against one another.

    Raises
    ------
    GraphError
        If their shapes do not fit.
    """
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError as error:
        msg = f"tensors of shapes {', '.join(str(a.shape) for a in arrays)} (1: positions) do not fit together"
        raise GraphError(msg) from error
    require_room(shape)
    return [np.broadcast_to(a, shape) for a in arrays]


def require_room(shape: Sequence[int]) -> None:
    """Refuse arrays of node numbers beyond all measure.

    Raises
    ------
    LimitError
    """
    places = 1
    for size in shape:
        places *= max(int(size), 1)
    if places > MOST_PLACES:
        msg = f"a tensor of shape {tuple(shape)} has {places:,} places to tell apart, more than {MOST_PLACES:,}"
        raise LimitError(msg)


def flattened(value: Value, start: int, stop: int) -> Value:
    """Axes `start` to `stop`, inclusive, made one; sizes of positions may be unknown."""
    if value.shape is None and value.nodes is None:
        return value.touched()
    shape = value.shape if value.shape is not None else (None,) * (value.rank or 0)
    first, last = value.axis(start), value.axis(stop)
    sides = shape[first : last + 1]
    if None not in sides:
        merged = int(np.prod([int(side or 0) for side in sides]))
        return reshaped(value, (*shape[:first], merged, *shape[last + 1 :]))
    new = (*shape[:first], None, *shape[last + 1 :])
    if value.nodes is None:
        return value.touched(shape=new)
    own = value.nodes.shape[first : last + 1]
    labelled = [i for i, side in enumerate(own) if side > 1]
    if len(labelled) > 1:
        msg = "flatten: the sizes of the positions between two axes of nodes must be known"
        raise GraphError(msg)

    def change(array: Any) -> Any:
        return np.reshape(array, (*array.shape[:first], -1, *array.shape[last + 1 :]))

    is_last = bool(labelled) and labelled[0] == len(own) - 1
    return replace(value.mapped(change, new), open_end="tile" if is_last else "repeat")


def reshaped(value: Value, shape: Shape) -> Value:
    """The value in another shape, of as many places.

    Raises
    ------
    GraphError
        If the numbers of places differ, or a size that is needed is not known.
    """
    if value.nodes is None:
        return value.touched(shape=shape)
    if value.shape is None or not value.has_nodes:
        return constant(shape, value.pattern)
    if value.shape == shape:
        return value.touched()
    if None in value.shape or None in shape:
        msg = f"reshape of {value.shape} to {shape}: all sizes must be known; use flatten where they are not"
        raise GraphError(msg)
    old, new = [int(s or 0) for s in value.shape], [int(s or 0) for s in shape]
    groups = _matching_axes(old, new)
    return value.mapped(lambda array: _regrouped(array, old, new, groups), shape)


def _matching_axes(old: list[int], new: list[int]) -> list[tuple[range, range]]:
    """Runs of old and of new axes that hold equally many places, from the first axis on."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        first, second = i, j
        a, b = (old[i] if i < len(old) else 1), (new[j] if j < len(new) else 1)
        i, j = min(i + 1, len(old)), min(j + 1, len(new))
        while a != b:
            if (a < b or j >= len(new)) and i < len(old):
                a, i = a * old[i], i + 1
            elif j < len(new):
                b, j = b * new[j], j + 1
            else:
                msg = f"a tensor of shape {tuple(old)} cannot be reshaped to {tuple(new)}"
                raise GraphError(msg)
        groups.append((range(first, i), range(second, j)))
    return groups


def _regrouped(array: Any, old: list[int], new: list[int], groups: list[tuple[range, range]]) -> Any:
    """Reshape run by run; a run of positions alone stays of size 1."""
    wide, sides = [], []
    for before, after in groups:
        spread = any(array.shape[axis] > 1 for axis in before)
        wide += [old[axis] if spread else 1 for axis in before]
        sides += [new[axis] if spread else 1 for axis in after]
    require_room(wide)
    return _narrowed(np.reshape(np.broadcast_to(array, wide), sides))


def _narrowed(array: Any) -> Any:
    """Axes along which nothing varies cut to size 1."""
    for axis, size in enumerate(array.shape):
        if size > 1:
            first = np.take(array, [0], axis=axis)
            if np.array_equal(np.broadcast_to(first, array.shape), array):
                array = first
    return array
