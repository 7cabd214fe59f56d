"""Dense networks as a batch on JAX, from lists of their weights; traceable."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from netspectra.errors import GraphError
from netspectra.graph.batch import GraphBatch, make_batch
from netspectra.graph.consistency import Orientation
from netspectra.kernels import get_backend
from netspectra.kernels.weights import DenseWeights
from netspectra.training.wiring import wire

__all__ = ["network_batch"]


def network_batch(weights: Sequence[Any], edges: Any, orientation: Orientation) -> GraphBatch:
    """Batch of dense networks, in the dtype of their weights (16 bits: float32)."""
    arrays = [jnp.asarray(weight) for weight in weights]
    arrays = [w if jnp.issubdtype(w.dtype, jnp.floating) else w.astype(float) for w in arrays]
    members = {w.shape[0] if w.ndim == 3 else 1 for w in arrays}
    if arrays and ({w.ndim for w in arrays} not in ({2}, {3}) or len(members) > 1):
        msg = (
            "weights must all have shape (n_in, n_out), or all (B, n_in, n_out) with one B, got "
            f"{[w.shape for w in arrays]}"
        )
        raise GraphError(msg)
    structure = wire(tuple(w.shape[-2:] for w in arrays), edges, orientation)
    blocks = [DenseWeights(w if w.ndim == 3 else w[None]) for w in arrays]
    dtype = jnp.dtype("float64") if any(w.dtype == jnp.float64 for w in arrays) else jnp.dtype("float32")
    return make_batch(get_backend("jax"), structure, blocks, dtype, members.pop())
