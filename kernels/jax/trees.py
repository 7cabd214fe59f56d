"""What the engine hands to a compiled function, taken apart: arrays, which JAX traces, and all the rest, which it keys.

JAX knows tuples and dictionaries of arrays. The engine passes frozen dataclasses that hold arrays beside sizes, dtypes
and a backend; here any such value becomes its arrays and a hashable skeleton, and is put together again.
"""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import jax
import numpy as np

__all__ = ["Held", "hold"]

_ARRAY = "array"


@dataclass(frozen=True)
class Held:
    """A value taken apart: a pytree of `leaves` whose structure JAX compares by `skeleton`."""

    leaves: tuple[Any, ...]
    skeleton: Any

    def value(self) -> Any:
        """The value, put together again."""
        return _join(self.skeleton, iter(self.leaves))


jax.tree_util.register_pytree_node(
    Held, lambda held: (held.leaves, held.skeleton), lambda skeleton, leaves: Held(tuple(leaves), skeleton)
)


def hold(value: Any) -> Held:
    """Take apart dataclasses, named tuples, tuples, lists, dictionaries, arrays; anything else is kept as it is."""
    leaves: list[Any] = []
    skeleton = _split(value, leaves)
    return Held(tuple(leaves), skeleton)


def _split(value: Any, leaves: list[Any]) -> Any:
    if isinstance(value, jax.Array | np.ndarray):
        leaves.append(value)
        return _ARRAY
    if is_dataclass(value) and not isinstance(value, type):
        parts = tuple((f.name, _split(getattr(value, f.name), leaves)) for f in fields(value))
        return ("dataclass", type(value), parts)
    if isinstance(value, tuple | list):
        return ("sequence", type(value), tuple(_split(item, leaves) for item in value))
    if isinstance(value, dict):
        return ("dict", None, tuple((name, _split(item, leaves)) for name, item in value.items()))
    return ("constant", None, value)


def _join(skeleton: Any, leaves: Any) -> Any:
    if skeleton == _ARRAY:
        return next(leaves)
    kind, made_of, parts = skeleton
    if kind == "dataclass":
        return made_of(**{name: _join(part, leaves) for name, part in parts})
    if kind == "sequence":
        items = [_join(part, leaves) for part in parts]
        return made_of(*items) if hasattr(made_of, "_fields") else made_of(items)
    if kind == "dict":
        return {name: _join(part, leaves) for name, part in parts}
    return parts
