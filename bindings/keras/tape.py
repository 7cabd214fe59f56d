"""Writing down a network operation by operation: names of tensors, their shapes, the weights that were used."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netspectra.bindings.keras.binding import Weights
from netspectra.bindings.keras.configuration import Layer
from netspectra.errors import FileFormatError, LimitError
from netspectra.networks import Operation, Skipped, Weight

__all__ = ["Shape", "Step", "Tape", "TensorName"]

Shape = tuple[int | None, ...]
"""Sizes of axes, the batch's included; None for one that is free."""


class TensorName(str):
    """A tensor of the network among the arguments of a call."""

    __slots__ = ()


_MOST_ELEMENTS = 1 << 32
"""Elements of one tensor of the network, for one example."""


@dataclass
class Tape:
    """What was written so far.

    Attributes
    ----------
    weights : Weights
    most_operations : int
    operations, skipped : list
    shapes : dict of str to Shape or None
        Of every tensor.
    used : set of str
        Keys of weights that operations have, or that are accounted for in `skipped`.
    """

    weights: Weights
    most_operations: int
    operations: list[Operation] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    shapes: dict[str, Shape | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def new(self, name: str, shape: Shape | None) -> str:
        """Name a tensor that is called like what makes it, and note its shape."""
        return self.note(f"{name}:{len(self.shapes)}", shape)

    def note(self, tensor: str, shape: Shape | None) -> str:
        """Note a tensor's shape, and return its name.

        Raises
        ------
        LimitError
            If it has more elements than any network's.
        """
        if shape is not None and math.prod(side or 1 for side in shape) > _MOST_ELEMENTS:
            msg = f"expected tensors of at most {_MOST_ELEMENTS:,} elements, got {tensor!r} of shape {shape}"
            raise LimitError(msg)
        self.shapes[tensor] = shape
        return tensor

    def emit(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        shape: Shape | None,
        weights: Mapping[str, Weight] | None = None,
        **options: Any,
    ) -> str:
        """Write an operation down and return the tensor that it makes."""
        if len(self.operations) >= self.most_operations:
            msg = f"expected at most max_tensors={self.most_operations:,} operations, layer {name!r} makes more"
            raise LimitError(msg)
        output = self.new(name, shape)
        self.used.update(weight.key for weight in (weights or {}).values())
        self.operations.append(
            Operation(kind, name, tuple(inputs), (output,), weights or {}, options, self.known(shape))
        )
        return output

    @staticmethod
    def known(shape: Shape | None) -> Shape | None:
        """Return the shape with 1 for every free size, as networks have it."""
        return None if shape is None else tuple(1 if side is None else side for side in shape)

    def skip(self, name: str, reason: str) -> None:
        """Note what the network does not show."""
        self.skipped.append(Skipped(name, reason))


@dataclass(frozen=True)
class Step:
    """One call of one layer, as its rule sees it.

    Attributes
    ----------
    tape : Tape
    layer : Layer
    name : str
        Path of the layer's name.
    inputs : tuple of str
        Every tensor that the call reads as a positional argument, in order.
    arguments : tuple
        The positional arguments, with a :class:`TensorName` in place of each reference.
    keywords : mapping
    result : Shape or None
        Of what it makes, where the configuration says so.
    """

    tape: Tape
    layer: Layer
    name: str
    inputs: tuple[str, ...]
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    result: Shape | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """Configuration of the layer."""
        return self.layer.config

    @property
    def shape(self) -> Shape | None:
        """Shape of the first input."""
        return self.tape.shapes[self.inputs[0]]

    @property
    def weights(self) -> Mapping[str, Weight]:
        """What the file has for the layer, by role."""
        return self.tape.weights.of(self.layer)

    def weight(self, role: str, *ranks: int) -> Weight:
        """Return a weight that the layer must have.

        Raises
        ------
        FileFormatError
            If the file has none, or one of another rank.
        """
        found = self.weights.get(role)
        if found is None:
            msg = f"layer {self.name!r} ({self.layer.kind}): expected its {role}, the file has none; save it again"
            raise FileFormatError(msg)
        if ranks and len(found.shape) not in ranks:
            listed = " or ".join(str(rank) for rank in ranks)
            msg = (
                f"layer {self.name!r} ({self.layer.kind}): expected a {role} of {listed} axes, got shape {found.shape}"
            )
            raise FileFormatError(msg)
        return found

    def emit(
        self,
        kind: str,
        inputs: str | Sequence[str],
        shape: Shape | None,
        weights: Mapping[str, Weight] | None = None,
        part: str = "",
        **options: Any,
    ) -> str:
        """Write an operation of this layer down; `part` names one of several."""
        inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        name = f"{self.name}/{part}" if part else self.name
        return self.tape.emit(kind, name, inputs, shape, weights, **options)

    def skip(self, reason: str, *roles: str) -> None:
        """Note what the network does not show of this layer, and the weights that this explains."""
        self.tape.skip(self.name, reason)
        self.tape.used.update(self.weights[role].key for role in roles if role in self.weights)

    def opaque(self, reason: str, shape: Shape | None = None) -> str:
        """Write down that the layer is not represented."""
        self.skip(reason, *self.weights)
        return self.emit("opaque", self.inputs, shape or self.result, reason=reason)

    def integer(self, key: str, default: int | None = None) -> int:
        """Return an integer of the configuration.

        Raises
        ------
        FileFormatError
            If there is none.
        """
        value = self.config.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            msg = f"layer {self.name!r} ({self.layer.kind}): expected an integer {key}, got {value!r}"
            raise FileFormatError(msg)
        return value

    def integers(self, key: str, n: int, default: Any = 1) -> tuple[int, ...]:
        """Return `n` positive integers of the configuration, which may say them as one.

        Raises
        ------
        FileFormatError
            If it says something else.
        """
        value = self.config.get(key)
        value = default if value is None else value
        values = tuple(value) if isinstance(value, list | tuple) else (value,) * n
        if len(values) != n or not all(isinstance(v, int) and v > 0 for v in values):
            msg = f"layer {self.name!r} ({self.layer.kind}): expected {n} positive integers {key}, got {value!r}"
            raise FileFormatError(msg)
        return values

    @property
    def channels_first(self) -> bool:
        """Whether the channels come right after the batch."""
        return self.config.get("data_format") == "channels_first"
