"""What all backends share whose operations happen as they are called, on one device: control flow is Python's."""

from collections.abc import Callable
from typing import Any, TypeVar

from netspectra.kernels.backend import Array

__all__ = ["Immediate"]

S = TypeVar("S")
T = TypeVar("T")


class Immediate:
    """Verbs of the protocol that need no compiler and no other device."""

    has_64_bit = True

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """``function(*arguments)``."""
        return function(*arguments)

    def cond(self, predicate: Any, if_true: Callable[[S], T], if_false: Callable[[S], T], state: S) -> T:
        """``if_true(state) if predicate else if_false(state)``."""
        return if_true(state) if predicate else if_false(state)

    def all_reduce(self, partial: Array) -> Array:
        """`partial`, for it is all there is."""
        return partial

    def rowwise(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """``function(*arrays)``, all rows at once."""
        return function(*arrays)

    def row_sums(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """``function(*arrays)``, all rows at once."""
        return function(*arrays)
