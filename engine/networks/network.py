"""The one description of a network between every reader and the graph: weighted operators, and how tensors flow.

A :class:`Network` is a list of operations in an order in which they can run. Tensors have names; an operation reads
some and makes some. There are few kinds, listed in :data:`KINDS`; a reader says everything it finds in them, or as
``opaque``, with a reason. Nothing here knows a framework, a file or a value: weights are read when a block is made.

===============  ========================================  ============================================================
kind             weights                                   options, and what it means
===============  ========================================  ============================================================
``dense``        ``weight`` (2-D)                          ``orientation`` "in-out" or "out-in"; ``axis`` (-1) it reads
``convolution``  ``weight``                                ``layout``; ``groups`` (1); ``axis`` (1) of the channels
``embedding``    ``weight`` (n_tokens, n)                  rows chosen by the numbers it reads; adds an axis at the end
``recurrent``    ``input_weight``, ``hidden_weight``       ``orientation``; ``gates`` (1) stacked along the output side;
                                                           reads the last axis; unrolled once
``scale``        ``scale`` (n,); or ``variance`` (n,) too  ``axis``; ``epsilon`` (0): times scale / sqrt(variance + eps)
``add``                                                    sum of all that it reads, broadcast
``multiply``                                               product of all that it reads, broadcast
``product``                                                matrix product of two tensors of the data's own
``attention``                                              reads query, key, value: (..., heads, positions, dimensions)
``pass``                                                   channel i of the first input becomes channel i: activations,
                                                           dropout, pooling, upsampling, softmax, casts
``reshape``                                                to ``shape``
``flatten``                                                axes ``start`` (1) to ``stop`` (-1, inclusive) become one;
                                                           the way to say it where sizes are not known
``transpose``                                              ``permutation``, as NumPy's
``concatenate``                                            ``axis``
``slice``                                                  ``axis``, ``start``, ``stop``, ``step`` (1), as Python's
``split``                                                  ``axis``, ``sizes``: one output each
``take``                                                   ``axis``, ``indices`` (1-D): rows in another order
``pad``                                                    ``axis``, ``before``, ``after``: with a constant
``reduce``                                                 ``axes``, ``keepdims`` (False): mean, sum, maximum
``expand``                                                 broadcast to ``shape``
``repeat``                                                 ``axis``, ``times``: each element so often, one after another
``opaque``                                                 ``reason``: not represented; what it makes has no nodes
===============  ========================================  ============================================================

Layouts of kernels, for any number of spatial axes: ``"oihw"`` (PyTorch, ONNX; i counts the channels of one group),
``"hwio"`` (Keras, Flax), and of transposed convolutions ``"iohw"`` (PyTorch, ONNX; o of one group) and ``"hwoi"``
(Keras). A depthwise kernel is a grouped one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netspectra.errors import GraphError

__all__ = ["KINDS", "LAYOUTS", "Network", "Operation", "Shape", "Skipped", "Weight"]

Shape = tuple[int | None, ...]
"""Sizes of a tensor's axes, the batch's included (1 where it is free); None for a size that is not known."""

LAYOUTS = ("oihw", "hwio", "iohw", "hwoi")

KINDS: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {
    kind: (frozenset(weights.split()), frozenset(needed.split()), frozenset(free.split()))
    for kind, weights, needed, free in (
        ("dense", "weight", "orientation", "axis"),
        ("convolution", "weight", "layout", "groups axis"),
        ("embedding", "weight", "", ""),
        ("recurrent", "input_weight hidden_weight", "orientation", "gates"),
        ("scale", "scale variance", "axis", "epsilon"),
        ("add", "", "", ""),
        ("multiply", "", "", ""),
        ("product", "", "", ""),
        ("attention", "", "", ""),
        ("pass", "", "", ""),
        ("reshape", "", "", ""),
        ("flatten", "", "", "start stop"),
        ("transpose", "", "permutation", ""),
        ("concatenate", "", "axis", ""),
        ("slice", "", "axis start stop", "step"),
        ("split", "", "axis sizes", ""),
        ("take", "", "axis indices", ""),
        ("pad", "", "axis before after", ""),
        ("reduce", "", "axes", "keepdims"),
        ("expand", "", "", ""),
        ("repeat", "", "axis times", ""),
        ("opaque", "", "reason", ""),
    )
}
"""Kind of an operation to the weights it may have, the options it must and those it may have."""

_LEAST_INPUTS = {"product": 2, "attention": 3, "opaque": 0}


@dataclass(frozen=True, eq=False)
class Weight:
    """A parameter that has not been read yet.

    Attributes
    ----------
    shape : tuple of int
        As stored.
    dtype : numpy.dtype
        Of what :attr:`read` returns.
    read : callable
        Returns the array, on the host; a view of the caller's or the file's memory where that can be.
    key : str
        What the file or framework calls it; how messages name it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Any] = field(repr=False)
    key: str = ""

    @classmethod
    def of(cls, array: Any, key: str = "") -> "Weight":
        """Weight of an array that is in memory."""
        host = np.asarray(array)
        return cls(tuple(host.shape), host.dtype, lambda: host, key)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something of a network that its graph does not show, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation; see the module's table.

    Attributes
    ----------
    kind : str
    name : str
        What its nodes are called, and how messages name it: the path of a module, the name of a layer.
    inputs, outputs : tuple of str
        Tensors that it reads and makes.
    weights : mapping of str to Weight
    options : mapping of str to object
    shape : tuple of int or None, optional
        Of its (first) output. ``reshape`` and ``expand`` need it; where a convolution or pooling changes the sizes of
        positions it says so, for a later ``reshape``. By default what follows from the inputs.

    Raises
    ------
    GraphError
        If the kind is unknown, or weights or options are not those of the kind.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: Mapping[str, Weight] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    shape: Shape | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"operation {self.name!r}: unknown kind {self.kind!r}; the kinds are {', '.join(KINDS)}"
            raise GraphError(msg)
        weights, needed, free = KINDS[self.kind]
        named, given = set(self.weights), set(self.options)
        if named - weights or not needed <= given or given - needed - free or (weights and not named):
            msg = (
                f"operation {self.name!r}: {self.kind} takes the weights {sorted(weights)} and the options "
                f"{sorted(needed)} ({sorted(free)} may be left out), got {sorted(named)} and {sorted(given)}"
            )
            raise GraphError(msg)
        least = _LEAST_INPUTS.get(self.kind, 1)
        if len(self.inputs) < least or (not self.outputs and self.kind != "opaque"):
            msg = (
                f"operation {self.name!r}: {self.kind} reads at least {least} tensor(s) and makes one, got "
                f"{len(self.inputs)} and {len(self.outputs)}"
            )
            raise GraphError(msg)


@dataclass(frozen=True, eq=False)
class Network:
    """A network: operations in an order in which they can run.

    Attributes
    ----------
    operations : tuple of Operation
    inputs : mapping of str to Shape or None
        Tensors that come from outside, None where nothing is known of the shape. The axis of their nodes is that which
        the first weighted operator reads.
    constants : mapping of str to Shape
        Tensors that do not depend on the inputs (position embeddings, masks, class tokens): they have no nodes.
    outputs : tuple of str
    skipped : tuple of Skipped
        What the reader could not represent.
    format : str
        Where it comes from: ``"onnx"``, ``"keras"``, ``"pytorch"`` …

    Raises
    ------
    GraphError
        If an operation reads a tensor that nothing before it makes, or a tensor is made twice.
    """

    operations: tuple[Operation, ...]
    inputs: Mapping[str, Shape | None]
    constants: Mapping[str, Shape] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    format: str = ""

    def __post_init__(self) -> None:
        known = {*self.inputs, *self.constants}
        for operation in self.operations:
            missing = [name for name in operation.inputs if name not in known]
            if missing:
                msg = f"operation {operation.name!r} reads {missing[0]!r}, which no operation before it makes"
                raise GraphError(msg)
            twice = [name for name in operation.outputs if name in known]
            if twice:
                msg = f"operation {operation.name!r} makes {twice[0]!r}, which is there already"
                raise GraphError(msg)
            known.update(operation.outputs)
        _require_known(self.outputs, known)


def _require_known(outputs: Sequence[str], known: set[str]) -> None:
    missing = [name for name in outputs if name not in known]
    if missing:
        msg = f"the network's output {missing[0]!r} is made by no operation"
        raise GraphError(msg)
