"""One node of an ONNX graph as the emitters see it: values in, attributes as Python's own, errors with its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.bindings.onnx.constants import Array, Constant, UnrepresentableError
from netspectra.errors import FileFormatError, GraphError
from netspectra.networks.network import Shape

__all__ = ["Node", "Value", "malformed", "mismatch"]


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the network.

    Attributes
    ----------
    name : str
        In the network.
    shape : tuple of int or None, optional
        Where it is known.
    constant : Constant, optional
        Where it does not depend on the inputs.
    parts : tuple of Value, optional
        Of a sequence of tensors, which has no tensor of its own in the network.
    dtype : numpy.dtype, optional
        Of its elements, as far as it was followed: what constants are cast to may depend on it.
    """

    name: str
    shape: Shape | None
    constant: Constant | None = None
    parts: "tuple[Value, ...] | None" = None
    dtype: np.dtype[Any] | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """One node.

    Attributes
    ----------
    op : str
        Its type; with the domain before it, but for the standard one.
    name : str
        Path of the module that it comes from, or what the file calls it.
    inputs : tuple of Value or None
        None where an optional input is left out.
    outputs : tuple of str
        Names in the file, empty where left out.
    attributes : mapping of str to object
        int, float, str, tuples of those, :class:`Constant`, or a graph of the file.
    opset : int
        Version of the standard operators.
    is_path : bool
        Whether `name` is the path of a module.
    """

    op: str
    name: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    is_path: bool = False

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op})"

    def input(self, number: int) -> Value:
        """Return an input that must be there."""
        value = self.optional(number)
        if value is None:
            raise malformed(self, f"an input number {number}", f"{len(self.inputs)} inputs")
        return value

    def optional(self, number: int) -> Value | None:
        """Return an input, None where it is left out."""
        return self.inputs[number] if number < len(self.inputs) else None

    def constant(self, number: int) -> Constant:
        """Return an input that must be known without the network's inputs."""
        value = self.input(number)
        if value.constant is None:
            msg = f"input {number} of {self.op} depends on the data"
            raise UnrepresentableError(msg)
        return value.constant

    def values(self, number: int) -> Array | None:
        """Return the values of a small constant input, None where it is left out."""
        if self.optional(number) is None:
            return None
        values = self.constant(number).small
        if values is None:
            msg = f"the values of input {number} of {self.op} are not known"
            raise UnrepresentableError(msg)
        return values

    def integers(self, number: int, attribute: str) -> tuple[int, ...] | None:
        """Return integers that newer operators read from an input and older ones from an attribute; None without."""
        values = self.values(number)
        if values is None:
            return self.ints(attribute)
        if values.dtype.kind not in "iu" or values.ndim > 1:
            raise malformed(self, f"a list of integers as input {number}", f"{values.dtype} of shape {values.shape}")
        return tuple(int(value) for value in values.reshape(-1))

    def ints(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute that is a list of integers, None without."""
        value = self.attributes.get(name)
        if value is not None and not (isinstance(value, tuple) and all(type(item) is int for item in value)):
            raise malformed(self, f"a list of integers as attribute {name!r}", value)
        return value

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that is an integer."""
        value = self.attributes.get(name, default)
        if type(value) is not int:
            raise malformed(self, f"an integer as attribute {name!r}", value)
        return value

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, float | int):
            raise malformed(self, f"a number as attribute {name!r}", value)
        return float(value)

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a string."""
        value = self.attributes.get(name, default)
        if not isinstance(value, str):
            raise malformed(self, f"a string as attribute {name!r}", value)
        return value

    @property
    def flows(self) -> list[Value]:
        """Its inputs that depend on the network's."""
        return [value for value in self.inputs if value is not None and value.constant is None]

    def known_shape(self, number: int = 0) -> tuple[int, ...]:
        """Return the shape of an input, every size known.

        Raises
        ------
        UnrepresentableError
            If it is not.
        """
        shape = self.input(number).shape
        if shape is None or None in shape:
            msg = f"the shape of input {number} of {self.op} is not known"
            raise UnrepresentableError(msg)
        return tuple(side for side in shape if side is not None)

    def ranked(self, number: int = 0) -> Shape:
        """Return the shape of an input whose number of axes is known."""
        shape = self.input(number).shape
        if shape is None:
            msg = f"the number of axes of input {number} of {self.op} is not known"
            raise UnrepresentableError(msg)
        return shape

    def axis(self, axis: int, n_axes: int) -> int:
        """Return an axis counted from the front."""
        if not -n_axes <= axis < n_axes:
            raise malformed(self, f"an axis of a tensor of {n_axes} axes", axis)
        return axis % n_axes


def malformed(node: Node, expected: str, came: object) -> FileFormatError:
    """Error to raise where a node is not what ONNX says of its operator."""
    return FileFormatError(f"{node}: expected {expected}, got {_short(came)}; export the model again")


def mismatch(node: Node, expected: str, came: object) -> GraphError:
    """Error to raise where shapes do not chain."""
    hint = "a free size is taken as 1, pass sizes={'its name': its size} if that cannot be"
    return GraphError(f"{node}: expected {expected}, got {_short(came)}; {hint}")


def _short(value: object) -> str:
    text = str(value) if isinstance(value, str | tuple | int) else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
