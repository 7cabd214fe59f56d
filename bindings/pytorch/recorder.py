"""What flows through a network while it is read, and the record of operations that becomes a `Network`.

A value is a :class:`Flow` (it depends on the inputs), a :class:`Constant` (it depends on parameters and numbers alone,
or carries no nodes), or a plain Python value.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from netspectra.bindings.pytorch.host import host_weight
from netspectra.errors import GraphError
from netspectra.networks import Network, Operation, Skipped, Weight

__all__ = ["Constant", "Flow", "Recorder", "flows_in"]

Shape = tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Flow:
    """A tensor that depends on the network's inputs; `pairs`: of complex numbers, its last axis real and imaginary."""

    name: str
    shape: Shape
    pairs: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor without nodes.

    Attributes
    ----------
    name : str
    shape : tuple of int
    dtype : torch.dtype
    evaluate : callable or None
        Returns its value, a view of a parameter where that can be; None if it depends on the inputs after all (masks
        found by comparison).
    keys : tuple of str
        Parameters that it is made of, the first one naming it.
    label : str
        What messages call it where it is made of none: a buffer's name.
    is_stored : bool
        Whether it is a parameter or buffer as it is, and not computed from some.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    evaluate: Callable[[], Any] | None
    keys: tuple[str, ...] = ()
    label: str = ""
    is_stored: bool = False

    @property
    def key(self) -> str:
        """Name of the parameter or buffer that it is; where it is computed, the first it is made of, and so said."""
        key = self.keys[0] if self.keys else self.label or self.name
        return key if self.is_stored else f"{key} (computed)"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def derive(self, shape: Sequence[int], change: Callable[[Any], Any]) -> "Constant":
        """Constant of another shape, by a function of its value that is called when it is read."""
        evaluate = self.evaluate
        made = None if evaluate is None else lambda: change(evaluate())
        label = f"{self.name}.{'x'.join(map(str, shape))}"
        return replace(self, name=label, shape=tuple(shape), evaluate=made, is_stored=False)

    def weight(self) -> Weight:
        """Weight that is read on demand.

        Raises
        ------
        GraphError
            If it depends on the inputs.
        """
        if self.evaluate is None:
            msg = f"{self.name}: a weight was expected, got a tensor that depends on the inputs"
            raise GraphError(msg)
        return host_weight(self.evaluate, self.shape, self.dtype, self.key)


def flows_in(value: Any) -> list[Flow]:
    """Every flow in a nest of lists, tuples and mappings."""
    if isinstance(value, Flow):
        return [value]
    if isinstance(value, list | tuple):
        return [flow for item in value for flow in flows_in(item)]
    if isinstance(value, Mapping):
        return flows_in(list(value.values()))
    return []


@dataclass
class Recorder:
    """Operations in the order in which they run, with the parameters that each takes."""

    operations: list[Operation] = field(default_factory=list)
    constants: dict[str, tuple[int, ...]] = field(default_factory=dict)
    claims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: dict[str, list[Skipped]] = field(default_factory=dict)

    def add(
        self,
        kind: str,
        name: str,
        inputs: Iterable[Flow | Constant],
        outputs: Sequence[str],
        weights: Mapping[str, Constant | Weight] | None = None,
        shape: Shape = None,
        options: Mapping[str, Any] | None = None,
    ) -> Flow:
        """Append an operation; its (first) output."""
        read = []
        for value in inputs:
            if isinstance(value, Constant):
                self.constants.setdefault(value.name, value.shape)
            read.append(value.name)
        taken = {role: one.weight() if isinstance(one, Constant) else one for role, one in (weights or {}).items()}
        self.operations.append(Operation(kind, name, tuple(read), tuple(outputs), taken, dict(options or {}), shape))
        return Flow(outputs[0], shape)

    def claim(self, start: int, keys: Iterable[str]) -> None:
        """Say which parameters the operations from number `start` on stand for."""
        taken = tuple(dict.fromkeys(keys))
        for operation in self.operations[start:]:
            self.claims[operation.outputs[0]] = self.claims.get(operation.outputs[0], ()) + taken

    def skip(self, output: str, name: str, reason: str) -> None:
        """Note what the operation that makes `output` does not show."""
        self.reasons.setdefault(output, []).append(Skipped(name, reason))

    def network(self, inputs: Mapping[str, Shape], outputs: Sequence[str], module: Any) -> Network:
        """Network of the operations that an output depends on, with the module's parameters that none of them takes.

        Raises
        ------
        GraphError
            If no operation has a weight.
        """
        needed, live = set(outputs), []
        for operation in reversed(self.operations):
            if needed.intersection(operation.outputs):
                needed.update(operation.inputs)
                live.append(operation)
        live.reverse()
        if not any(operation.weights for operation in live):
            msg = (
                "expected a module whose outputs depend on its inputs through weights, got one in which no operation "
                "between them has any; check that forward returns a tensor made from its inputs"
            )
            raise GraphError(msg)
        skipped = [note for operation in live for made in operation.outputs for note in self.reasons.get(made, ())]
        claimed = {key for operation in live for key in self.claims.get(operation.outputs[0], ())}
        skipped += [Skipped(key, "no output depends on it") for key in _others(module, claimed)]
        return Network(
            operations=tuple(live),
            inputs=dict(inputs),
            constants={name: shape for name, shape in self.constants.items() if name in needed},
            outputs=tuple(outputs),
            skipped=tuple(dict.fromkeys(skipped)),
            format="pytorch",
        )


def _others(module: Any, claimed: set[str]) -> list[str]:
    """Parameters of a module, each under its first name, of which no name is among those claimed."""
    everywhere = list(module.named_parameters(remove_duplicate=False))
    taken = {id(parameter) for name, parameter in everywhere if name in claimed}
    return [name for name, parameter in module.named_parameters() if id(parameter) not in taken]
