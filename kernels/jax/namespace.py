"""JAX's NumPy as the engine expects it: dtypes that narrow without a warning, products in full precision.

Without x64 JAX has no 64-bit numbers, and warns of every request for one. The engine asks for float64 wherever a sum is
accumulated: here it gets the widest there is, and can tell by the dtype of the result, which is always the true one.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["NAMESPACE", "narrowed"]

_MAKERS = frozenset(
    ["arange", "asarray", "cumulative_sum", "eye", "linspace", "prod", "sum"]
    + [f"{name}{like}" for name in ("empty", "full", "ones", "zeros") for like in ("", "_like")]
)
_DTYPES = frozenset(
    ["float16", "float32", "float64", *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64))]
)


def narrowed(dtype: Any) -> Any:
    """The dtype itself, or the 32-bit one of its kind where there are no 64-bit numbers."""
    return jax.dtypes.canonicalize_dtype(dtype)


class _Namespace:
    """:mod:`jax.numpy` with the names of the array-API standard."""

    __name__ = "jax.numpy"

    def __getattr__(self, name: str) -> Any:
        if name in _DTYPES:
            return np.dtype(name)
        return _maker(name) if name in _MAKERS else getattr(jnp, name)

    @staticmethod
    def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
        """Cast; arrays are immutable, so that `copy` makes no difference."""
        del copy
        return jnp.asarray(x).astype(narrowed(dtype))

    @staticmethod
    def matmul(x1: Any, x2: Any, /) -> Any:
        """Matrix product, without the tensor cores' ten bits that JAX takes for float32 on a GPU or TPU."""
        return jnp.matmul(x1, x2, precision=jax.lax.Precision.HIGHEST)


@cache
def _maker(name: str) -> Callable[..., Any]:
    function = getattr(jnp, name)

    @wraps(function)
    def call(*args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        return function(*args, dtype=None if dtype is None else narrowed(dtype), **kwargs)

    return call


NAMESPACE = _Namespace()
