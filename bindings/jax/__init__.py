"""For JAX: training for clusterability, and the engine's pieces as plain functions that ``jit`` and ``vmap`` accept."""

from netspectra.kernels.jax import require_jax

require_jax()

from netspectra.bindings.jax.clustering import KMeans, kmeans, ncut  # noqa: E402 - only where JAX can be imported
from netspectra.bindings.jax.eigen import LobpcgResult, laplacian_eigenpairs, lobpcg  # noqa: E402
from netspectra.bindings.jax.initialisation import clusterable_init, rescale_relu  # noqa: E402
from netspectra.bindings.jax.penalty import (  # noqa: E402
    PenaltyState,
    clusterability_penalty,
    keep_zeros,
    penalty_state,
)

__all__ = [
    "KMeans",
    "LobpcgResult",
    "PenaltyState",
    "clusterability_penalty",
    "clusterable_init",
    "keep_zeros",
    "kmeans",
    "laplacian_eigenpairs",
    "lobpcg",
    "ncut",
    "penalty_state",
    "rescale_relu",
]
