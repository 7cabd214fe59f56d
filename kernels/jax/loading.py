"""Blocks of graphs onto the device, stacked over members, and what 32-bit JAX cannot hold refused."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from netspectra.errors import LimitError
from netspectra.kernels.jax.namespace import narrowed
from netspectra.kernels.triangle import strict_upper
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["ENABLE", "load_block", "narrow_host", "to_device"]

ENABLE = "enable them (jax.config.update('jax_enable_x64', True) or the environment's JAX_ENABLE_X64=1)"
_PANEL = 1 << 22
"""Elements looked at together."""


def to_device(values: Any, place: Any) -> Any:
    """Array on a device or in a sharding, from the host or another library there."""
    if isinstance(values, jax.Array):
        return values
    if hasattr(values, "__dlpack_device__") and not isinstance(values, np.ndarray):
        return jnp.from_dlpack(values)
    return jax.device_put(narrow_host(values), place)


def narrow_host(values: Any) -> "np.ndarray[Any, Any]":
    """Host array in a dtype that JAX has; refused where a number would be lost."""
    host = np.asarray(values)
    narrow = np.dtype(narrowed(host.dtype))
    if narrow != host.dtype:
        _require_kept(host, narrow)
        host = host.astype(narrow)
    _require_normal(host)
    return host


def load_block(members: Sequence[Any], put: Callable[[Any], Any], *, symmetric: bool) -> BlockWeights:
    """Stack one block of several graphs; SciPy's CSR arrays, or dense ones; `symmetric` keeps the upper triangle."""
    if hasattr(members[0], "indptr"):
        return _load_csr(members, put, symmetric=symmetric)
    values = put(members[0])[None] if len(members) == 1 else jnp.stack([put(W) for W in members])
    return DenseWeights(jnp.triu(values, k=1) if symmetric else values)


def _load_csr(members: Sequence[Any], put: Callable[[Any], Any], *, symmetric: bool) -> CsrWeights:
    members = strict_upper(members, symmetric=symmetric)
    longest = max(int(W.data.shape[0]) for W in members)

    def stacked(name: str) -> Any:
        return jnp.stack([jnp.pad(a, (0, longest - a.shape[0])) for a in (put(getattr(W, name)) for W in members)])

    indptr = jnp.stack([put(W.indptr) for W in members])
    return CsrWeights(stacked("data"), stacked("indices"), indptr, members[0].shape)


def _panels(host: "np.ndarray[Any, Any]") -> "Iterator[np.ndarray[Any, Any]]":
    flat = host.reshape(-1)
    return (flat[first : first + _PANEL] for first in range(0, flat.size, _PANEL))


def _require_kept(host: "np.ndarray[Any, Any]", narrow: "np.dtype[Any]") -> None:
    """Refuse what would overflow or vanish in 32 bits."""
    for panel in _panels(host):
        with np.errstate(over="ignore", under="ignore"):
            cast = panel.astype(narrow)
        if narrow.kind == "f":
            kept = np.array_equal(cast != 0, panel != 0) and np.array_equal(np.isfinite(cast), np.isfinite(panel))
        else:
            kept = np.array_equal(cast.astype(host.dtype), panel)
        if not kept:
            msg = (
                f"backend 'jax' has no 64-bit numbers here, and some of {host.dtype} do not fit {narrow}: {ENABLE}, "
                "or use backend='cpu'"
            )
            raise LimitError(msg)


def _require_normal(host: "np.ndarray[Any, Any]") -> None:
    """Refuse subnormal numbers, which XLA takes for zero on a CPU; float16 is widened before anything is done to it."""
    if host.dtype not in (np.dtype(np.float32), np.dtype(np.float64), np.dtype(ml_dtypes.bfloat16)):
        return
    least = float(jnp.finfo(host.dtype).smallest_normal)
    for panel in _panels(host):
        size = np.abs(panel)
        if np.any((size > 0) & (size < least)):
            msg = (
                f"some weights are subnormal numbers (below {least:.2g}), which XLA takes for zero; multiply "
                "all weights by a common factor, which changes no n-cut, or use backend='cpu'"
            )
            raise LimitError(msg)
