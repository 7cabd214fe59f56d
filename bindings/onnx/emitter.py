"""What turns one kind of node into operations."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from netspectra.bindings.onnx.nodes import Node, Value
from netspectra.bindings.onnx.recorder import Recorder

__all__ = ["Emitter"]

Emitter: TypeAlias = Callable[[Recorder, Node], Value | Sequence[Value | None]]
"""Records what a node does, at least one of whose inputs flows, and returns its outputs, as many as are represented."""
