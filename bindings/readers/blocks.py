"""The blocks of a planned graph as they are told: what they join, how large they are, how many edges they have."""

from collections.abc import Mapping
from dataclasses import dataclass

from netspectra.bindings.readers.counting import Count
from netspectra.networks.blocks import BlockPlan
from netspectra.networks.build import GraphPlan
from netspectra.networks.edges import make_block

__all__ = ["BlockRecord", "block_records"]


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One block of a graph.

    Attributes
    ----------
    name : str
        Operator that it comes from.
    source, target : str
        Names of the layers that it joins.
    n_stored : int
        Places for edges.
    n_edges : int
        Edges; an estimate where the inspection is sampled.
    dtype : str
    learned : bool
        Whether null models shuffle it.
    in_place : bool
        Whether it is the file's own memory.
    """

    name: str
    source: str
    target: str
    n_stored: int
    n_edges: int
    dtype: str
    learned: bool
    in_place: bool


def block_records(plan: GraphPlan, counts: Mapping[str, Count], *, sampled: bool) -> tuple[BlockRecord, ...]:
    """Describe the blocks of a plan.

    Parameters
    ----------
    plan : GraphPlan
    counts : mapping of str to Count
        Of the tensors that the blocks' weights come from.
    sampled : bool
        Whether edges are estimated from the counts (as if zeros lay at random) or counted block by block.
    """
    names = [layer.name for layer in plan.layers]
    return tuple(
        BlockRecord(
            name=block.name,
            source=names[block.source],
            target=names[block.target],
            n_stored=block.n_stored,
            n_edges=_n_edges(plan, block, counts, sampled=sampled),
            dtype=block.dtype.name,
            learned=block.learned,
            in_place=block.in_place,
        )
        for block in plan.blocks
    )


def _n_edges(plan: GraphPlan, block: BlockPlan, counts: Mapping[str, Count], *, sampled: bool) -> int:
    count = None if block.weight is None else counts.get(block.weight.key)
    if block.weight is None:
        return block.n_stored
    n_weights = 1
    for side in block.weight.shape:
        n_weights *= side
    if block.in_place and count is not None and n_weights == block.n_stored:
        return int(count.nonzero)
    if not sampled and (count is None or not count.not_finite):
        return make_block(block, plan.choices.norm).count_nonzero()
    zeros = 1.0 - (0 if count is None else count.nonzero) / max(1, n_weights)
    per_edge = max(1.0, n_weights / max(1, block.n_stored))
    edges: float = block.n_stored * (1.0 - zeros**per_edge)
    return round(edges)
