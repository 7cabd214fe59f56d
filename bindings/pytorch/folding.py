"""Constants of a traced graph: what depends on no input is computed when its value is asked for, and only then.

Slices, transposes and reshapes of a parameter stay views of its memory.
"""

from collections.abc import Mapping
from typing import Any

import torch

from netspectra.bindings.pytorch.recorder import Constant

__all__ = ["Folder", "is_random"]


class Folder:
    """Values of the nodes of a graph as far as it has been walked: flows, constants, plain Python values."""

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}

    def resolve(self, argument: Any) -> Any:
        """Arguments of a node, with values in the place of nodes."""
        return torch.fx.node.map_arg(argument, lambda node: self.values[node])

    def constant(self, node: Any, name: str, fake: Any, *, foldable: bool) -> Any:
        """Constant, or nest of constants, that a node makes from constants; a plain value as it is."""
        sources = constants_in([self.resolve(node.args), self.resolve(node.kwargs)])
        keys = tuple(dict.fromkeys(key for source in sources for key in source.keys))
        foldable = foldable and all(source.evaluate is not None for source in sources)
        if isinstance(fake, torch.Tensor):
            evaluate = (lambda: self.compute(node)) if foldable else None
            return Constant(name, _sizes(fake), fake.dtype, evaluate, keys)
        if isinstance(fake, list | tuple):
            return [self._part(node, f"{name}.{i}", i, part, keys, foldable) for i, part in enumerate(fake)]
        return fake

    def _part(self, node: Any, name: str, i: int, fake: Any, keys: tuple[str, ...], foldable: bool) -> Any:
        if not isinstance(fake, torch.Tensor):
            return fake
        return Constant(name, _sizes(fake), fake.dtype, (lambda: self.compute(node)[i]) if foldable else None, keys)

    def compute(self, node: Any) -> Any:
        """Value of a node that depends on no input: it and those before it are run, nothing is kept."""
        needed, stack = set(), [node]
        while stack:
            one = stack.pop()
            if one not in needed:
                needed.add(one)
                stack += one.all_input_nodes
        found: dict[Any, Any] = {}
        with torch.no_grad():
            for one in node.graph.nodes:
                if one in needed:
                    found[one] = self._run(one, found)
                if one is node:
                    break
        return found[node]

    def _run(self, node: Any, found: Mapping[Any, Any]) -> Any:
        if node.op != "call_function":
            value = self.values[node]
            return value.evaluate() if isinstance(value, Constant) and value.evaluate else value
        args, kwargs = (torch.fx.node.map_arg(part, lambda one: found[one]) for part in (node.args, node.kwargs))
        return node.target(*args, **kwargs)


def is_random(target: Any) -> bool:
    """Whether an operation draws random numbers: never run to find a value."""
    return torch.Tag.nondeterministic_seeded in getattr(target, "tags", ())


def constants_in(value: Any) -> list[Constant]:
    """Every constant in a nest of lists, tuples and mappings."""
    if isinstance(value, Constant):
        return [value]
    if isinstance(value, list | tuple):
        return [constant for item in value for constant in constants_in(item)]
    if isinstance(value, Mapping):
        return constants_in(list(value.values()))
    return []


def _sizes(fake: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in fake.shape)
