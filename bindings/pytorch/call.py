"""One operation of a traced module on its way into the record: its arguments by name, and how it is written down."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netspectra.bindings.pytorch.recorder import Constant, Flow, Recorder, Shape, flows_in
from netspectra.errors import GraphError
from netspectra.networks import Weight

__all__ = ["Call", "Emitter", "layer_name", "normalised_axis"]

_WEIGHT = re.compile(r"[._]?weight(_orig|_v|_g)?$")
_PARAMETRIZED = re.compile(r"(^|\.)parametrizations\.([^.]+)\.original\d*$")


@dataclass
class Call:
    """An operation as the framework calls it.

    Attributes
    ----------
    recorder : Recorder
    op : str
        Name of the operation without namespace and overload: ``"conv2d"``.
    arguments : mapping of str to object
        By the names of its schema: flows, constants, plain values, lists of them.
    path : str
        Of the innermost module that calls it.
    output : str
        Name for what it makes.
    shapes : tuple of (tuple of int or None)
        Of its outputs; None where nothing is known.
    """

    recorder: Recorder
    op: str
    arguments: Mapping[str, Any]
    path: str
    output: str
    shapes: tuple[Shape, ...]
    is_list: bool = False
    made: int = field(default=0)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Argument of a name, or a default."""
        return self.arguments.get(name, default)

    @property
    def shape(self) -> Shape:
        """Shape of the first output."""
        return self.shapes[0]

    @property
    def flows(self) -> list[Flow]:
        """Every flow among the arguments."""
        return flows_in(self.arguments)

    def axis(self, flow: Flow, axis: int) -> int:
        """Axis counted from the front where the number of axes is known."""
        return normalised_axis(axis, flow.shape)

    def emit(
        self,
        kind: str,
        *inputs: Flow | Constant,
        shape: Shape = None,
        weights: Mapping[str, Constant | Weight] | None = None,
        name: str = "",
        **options: Any,
    ) -> Flow:
        """Write one operation with one output down."""
        return self.emit_many(kind, inputs, (shape,), weights=weights, name=name, **options)[0]

    def emit_many(
        self,
        kind: str,
        inputs: Sequence[Flow | Constant],
        shapes: Sequence[Shape],
        *,
        weights: Mapping[str, Constant | Weight] | None = None,
        name: str = "",
        **options: Any,
    ) -> list[Flow]:
        """Write one operation with several outputs down."""
        names = [self._fresh() for _ in shapes]
        label = name or self.label(weights)
        self.recorder.add(kind, label, inputs, names, weights, shapes[0], options)
        return [Flow(made, shape) for made, shape in zip(names, shapes, strict=True)]

    def opaque(self, reason: str) -> Any:
        """Write down, for each output, that what it holds is not represented, and why."""
        made = []
        for shape in self.shapes:
            flow = self.emit("opaque", *self.flows, shape=shape, reason=reason)
            self.skip(flow, reason)
            made.append(flow)
        return made if self.is_list else made[0]

    def skip(self, flow: Flow, reason: str, name: str = "") -> None:
        """Note something that the operation behind a flow does not show."""
        self.recorder.skip(flow.name, name or self.label(), reason)

    def label(self, weights: Mapping[str, Constant | Weight] | None = None) -> str:
        """Name of a layer: the path of its module, with the parameter's own name where the module has several."""
        keys = [key for one in (weights or {}).values() if isinstance(one, Constant) for key in one.keys]
        if keys:
            return layer_name(self.path, keys[0])
        return self.path or self.output

    def _fresh(self) -> str:
        self.made += 1
        return self.output if self.made == 1 else f"{self.output}.{self.made - 1}"


Emitter = Callable[[Call], Any]


def layer_name(path: str, key: str) -> str:
    """Name of the layer whose module is at `path` and whose weight is the parameter `key`."""
    inside = f"{path}." if path else ""
    if not key.startswith(inside):
        return path  # a weight that is another module's: tied embeddings
    rest = _WEIGHT.sub("", _PARAMETRIZED.sub(r"\1\2", key[len(inside) :]))
    return f"{inside}{rest}" if rest else path or key


def normalised_axis(axis: int, shape: Shape) -> int:
    """Axis counted from the front where the number of axes is known, as it is otherwise."""
    if shape is None:
        return axis
    if not -len(shape) <= axis < max(len(shape), 1):
        msg = f"expected an axis of a tensor of {len(shape)} axes, got {axis}"
        raise GraphError(msg)
    return axis % len(shape) if shape else 0
