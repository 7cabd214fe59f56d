"""Tensors that do not depend on the network's inputs: parameters, and what is computed of them, not read yet."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from netspectra.errors import FileFormatError, LimitError
from netspectra.networks import Weight

__all__ = ["SMALL", "Array", "Constant", "UnrepresentableError"]

Array: TypeAlias = np.ndarray[Any, Any]

SMALL = 1 << 14
"""Elements up to which a constant is computed while the network is read, for shapes and axes depend on its values."""

_MOST_STEPS = 64
"""Computations after which a large constant is given up: each is repeated for everything that is computed of it."""

_MOST_WORK = 1 << 20
"""Elements that may be touched for the values of a small constant."""


class UnrepresentableError(Exception):
    """An operation that the kinds of a network cannot say; its message is the reason. Never leaves this package."""


@dataclass(frozen=True, eq=False)
class Constant:
    """One such tensor.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype or None
        Of what :attr:`read` returns; None where its elements are nothing to compute with.
    read : callable or None
        Returns the array; None where its values are not known.
    key : str
        Name of the parameter that it is, or is made of first.
    learned : bool
        Whether it is a parameter as a whole, in another order or another scale; not rows chosen from one, not a table
        of sines.
    n_steps : int
        Computations that reading it takes.
    work : int
        Elements that they touch.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    read: Callable[[], Array] | None = field(repr=False)
    key: str = ""
    learned: bool = False
    n_steps: int = 0
    work: int = 0

    @classmethod
    def of(cls, array: Any, key: str = "", *, learned: bool = False) -> "Constant":
        """Constant of an array in memory."""
        host = np.asarray(array)
        return cls(tuple(host.shape), host.dtype, lambda: host, key, learned)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Bytes of its elements, 0 where its dtype is unknown."""
        return 0 if self.dtype is None else self.size * self.dtype.itemsize

    @cached_property
    def small(self) -> Array | None:
        """Its values where they are few, known and cheap, else None."""
        if self.size > SMALL or self.work > _MOST_WORK or self.read is None or self.dtype is None:
            return None
        return self.read()

    def mapped(
        self, shape: Sequence[int], function: Callable[[Array], Array], *, learned: bool | None = None
    ) -> "Constant":
        """Return a function of it, computed when it is read."""
        return derived(shape, self.dtype, function, [self], learned=learned)

    def cast(self, dtype: np.dtype[Any]) -> "Constant":
        """Return it in another dtype."""
        return derived(self.shape, dtype, lambda array: array.astype(dtype, copy=False), [self])

    def weight(self) -> Weight:
        """Return it as a weight of an operation.

        Raises
        ------
        UnrepresentableError
            If its values are not known, or no numbers that weights are made of.
        """
        if self.read is None or self.dtype is None:
            what = "computed in a way that is not followed" if self.dtype is not None else "of an unsupported type"
            msg = f"its weights {self.key!r} of shape {self.shape} are {what}"
            raise UnrepresentableError(msg)
        return Weight(self.shape, self.dtype, self.read, self.key)


def derived(
    shape: Sequence[int],
    dtype: np.dtype[Any] | None,
    function: Callable[..., Array],
    sources: Sequence[Constant],
    *,
    learned: bool | None = None,
) -> Constant:
    """Return a function of several constants, computed when it is read.

    Raises
    ------
    LimitError
        From its `read`, if there is not the memory.
    """
    readers = [source.read for source in sources]
    key = next((source.key for source in sources if source.key), "")
    whole = any(source.learned for source in sources) if learned is None else learned

    def read() -> Array:
        try:
            with np.errstate(all="ignore"):
                array = np.asarray(function(*(reader() for reader in readers if reader is not None)))
            return array.astype(dtype, copy=False).reshape(shape)
        except MemoryError as error:
            msg = f"{key!r} of shape {tuple(shape)} needs more memory than there is; use a machine with more"
            raise LimitError(msg) from error
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            msg = f"{key!r}: what the model computes of it cannot be computed ({error}); export the model again"
            raise FileFormatError(msg) from error

    work = math.prod(shape) + sum(source.size + source.work for source in sources)
    n_steps = 1 + sum(source.n_steps for source in sources)
    known = (
        n_steps <= _MOST_STEPS
        and dtype is not None
        and all(source.read is not None and source.dtype is not None for source in sources)
    )
    return Constant(tuple(shape), dtype, read if known else None, key, whole, n_steps, work)
