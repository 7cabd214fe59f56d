"""Sums and products over a block that lies on several devices, named as in :mod:`netspectra.kernels.jax.products`.

Inside a mapped function, :meth:`block_product` gives this device's part, which the engine adds up once per operator;
everything else is complete. Outside, the block is one array and XLA partitions the work.
"""

from typing import Any

from netspectra.errors import BackendUnavailableError
from netspectra.kernels.jax import products
from netspectra.kernels.jax.spread import Spread
from netspectra.kernels.weights import DenseWeights

__all__ = ["SpreadProducts"]


class SpreadProducts:
    """The functions of ``products`` over the devices of a mesh."""

    def __init__(self, spread: Spread) -> None:
        self._spread = spread

    def block_degrees(self, weights: Any) -> tuple[Any, Any]:
        """Row and column sums of ``|W|``, complete."""
        if not self._spread.mapped:
            return products.block_degrees(self._spread.whole(weights))
        local, _, put = self._spread.local(weights)
        rows, cols = products.block_degrees(local)
        return self._spread.add_up(put(rows)), self._spread.add_up(cols)

    def block_product(self, weights: Any, x_source: Any, x_target: Any, panel: int) -> tuple[Any, Any]:
        """``(|W| x_target, |W|^T x_source)``; inside a mapped function this device's part of them."""
        if not self._spread.mapped:
            return products.block_product(self._spread.whole(weights), x_source, x_target, panel)
        local, taken, put = self._spread.local(weights)
        x_source = None if x_source is None else taken(x_source)
        y_source, y_target = products.block_product(local, x_source, x_target, panel)
        return None if y_source is None else put(y_source), y_target

    def cluster_sums(self, weights: Any, source: Any, target: Any, n_clusters: int) -> Any:
        """Sums from cluster to cluster, complete."""
        if not self._spread.mapped:
            return products.cluster_sums(self._spread.whole(weights), source, target, n_clusters)
        local, taken, _ = self._spread.local(weights)
        return self._spread.add_up(products.cluster_sums(local, taken(source), target, n_clusters))

    def edge_gradient(self, *_: Any) -> Any:
        """Refused: the derivative by every weight is as large as the graph."""
        msg = "backend 'jax' over several devices has no gradients; use one device"
        raise BackendUnavailableError(msg)

    def scaled_dense(self, shape: tuple[int, int], blocks: list[Any], rows: Any, cols: Any) -> Any:
        """Dense matrix, whole on every device."""
        if not self._spread.mapped:
            whole = [(self._spread.whole(weights), *place) for weights, *place in blocks]
            return products.scaled_dense(shape, whole, rows, cols)
        parts = []
        for weights, *place in blocks:
            local, _, put = self._spread.local(weights)
            part = DenseWeights(put(local.values)) if isinstance(local, DenseWeights) else local
            parts.append((part, *place))
        return self._spread.add_up(products.scaled_dense(shape, parts, rows, cols))
