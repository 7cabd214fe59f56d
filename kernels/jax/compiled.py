"""Compilation, once per function and shapes, with the seconds it took."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from netspectra.kernels.jax.spread import Spread
from netspectra.kernels.jax.trees import Held, hold

__all__ = ["Compiler", "as_numpy"]

T = TypeVar("T")


class Compiler:
    """Compiled functions of one backend.

    Parameters
    ----------
    spread : Spread, optional
        Devices over which every function is mapped.
    """

    def __init__(self, spread: Spread | None = None) -> None:
        self.seconds = 0.0
        self._spread = spread
        self._made: dict[Any, Any] = {}
        self._lock = threading.Lock()

    @property
    def n_compiled(self) -> int:
        """Number of functions and shapes compiled so far."""
        return len(self._made)

    def run(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """``function(*arguments, **named)``, compiled for their shapes; inside somebody's own ``jit``, part of that."""
        held = hold((arguments, named))
        held = Held(tuple(jnp.asarray(leaf) for leaf in held.leaves), held.skeleton)  # traced where all is
        if any(isinstance(leaf, jax.core.Tracer) for leaf in held.leaves) or (self._spread and self._spread.mapped):
            return function(*arguments, **named)

        def call(held: Held) -> Held:
            given, by_name = held.value()
            return hold(function(*given, **by_name))

        program = call if self._spread is None else self._spread.place(call, held)
        shapes = tuple((leaf.shape, leaf.dtype, getattr(leaf, "sharding", None)) for leaf in held.leaves)
        key = (function, held.skeleton, shapes, bool(jax.config.jax_enable_x64))
        with self._lock:
            made = self._made.get(key)
            if made is None:
                began = time.perf_counter()
                made = self._made[key] = jax.jit(program).lower(held).compile()
                self.seconds += time.perf_counter() - began
        result: T = made(held).value()
        return result


def as_numpy(array: Any) -> "np.ndarray[Any, Any]":
    """Host copy, of what every process holds alike where an array is spread over processes."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return np.asarray(array.addressable_data(0))
    return np.asarray(array)
