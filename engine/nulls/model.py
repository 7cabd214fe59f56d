"""A null model of one graph: how any replicate's weights are drawn, whatever the batch it comes in.

=================  =====================================================================================
``shuffle``        permute all entries of every learned block (of its support)
``shuffle-nonzero``  permute the values among the non-zero positions
``kde-nonzero``    non-zero positions get ``|w_j + 0.01 z|``: j a random non-zero, z standard normal
``kde``            ``shuffle``, then ``kde-nonzero``
=================  =====================================================================================

Source: arXiv:2103.03386 and its published code, where they are called ``layer``, ``layer_nonzero``,
``layer_nonzero_distribution`` and ``layer_all_distribution``.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from netspectra.errors import GraphError
from netspectra.graph.batch import GraphBatch, make_batch
from netspectra.graph.layer_graph import LayerGraph
from netspectra.kernels.backend import Backend
from netspectra.nulls.block_null import BlockNull, prepare_block

__all__ = ["NULL_MODELS", "NullModel", "NullName", "prepare_null"]

NullName = Literal["shuffle", "shuffle-nonzero", "kde", "kde-nonzero"]
NULL_MODELS: tuple[NullName, ...] = get_args(NullName)


@dataclass(frozen=True)
class NullModel:
    """Replicate *i* is a pure function of (seed, i, block): independent of batch, workers and backend."""

    name: NullName
    seed: int
    observed: GraphBatch
    blocks: tuple[BlockNull, ...]

    def draw(self, backend: Backend, replicates: list[int]) -> GraphBatch:
        """Return the null networks `replicates` as one batch on `backend`."""
        weights = [block.draw(backend, self.seed, replicates) for block in self.blocks]
        return make_batch(backend, self.observed.structure, weights, self.observed.dtype, len(replicates))


def prepare_null(graph: LayerGraph, observed: GraphBatch, name: NullName, seed: int) -> NullModel:
    """Settle a null model for a compact graph, whose own weights are already loaded as `observed`.

    Raises
    ------
    GraphError
        If no block is learned, so that every null network would be the network itself.
    """
    if not any(block.learned for block in graph.blocks):
        msg = "graph: no block is learned, so there is nothing to shuffle; mark the trained blocks with learned=True"
        raise GraphError(msg)
    blocks = tuple(
        prepare_block(block, number, name, observed.weights[number], observed.backend)
        for number, block in enumerate(graph.blocks)
    )
    return NullModel(name, seed, observed, blocks)
