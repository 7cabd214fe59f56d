"""From a network to its layer graph."""

import logging
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from netspectra.errors import GraphError
from netspectra.graph import Layer, LayerGraph
from netspectra.networks.blocks import BlockPlan, plan_blocks
from netspectra.networks.edges import make_block
from netspectra.networks.follow import follow
from netspectra.networks.heads import without_head, without_inputs
from netspectra.networks.merging import Residual, merge
from netspectra.networks.network import Network, Skipped
from netspectra.networks.operators import NO_NODES
from netspectra.training.channel_weights import Norm
from netspectra.validation import require_choice

__all__ = ["ATTENTION", "GraphChoices", "GraphPlan", "graph_from_network", "plan_graph"]

ATTENTION = ("dimensions", "heads")
NORMALISATION = ("fold", "skip")
_LOGGER = logging.getLogger("netspectra")


@dataclass(frozen=True)
class GraphChoices:
    """What a graph shows of a network.

    Parameters
    ----------
    norm : {"l1", "l2", "operator-1"}, default "l1"
        Edge between two nodes that several numbers join: a kernel's slice, the positions of a flattened channel, the
        dimensions of a head. ``"operator-1"`` is the largest column sum of a kernel's 2-D slice, as in the published
        code of arXiv:2103.03386; where there is no 2-D slice all numbers are one column.
    input_layer : bool, default True
        Whether the inputs (units, image channels, tokens) are nodes.
    dense_head : bool, default True
        Whether the dense layers behind all convolutions, attention and recurrent cells are nodes; in a network of
        dense layers alone, whether the last one is. The published analysis of convolutional networks has neither.
    residual : {"shared", "per-layer"}, default "shared"
        ``"shared"``: one layer of nodes for a residual stream, read and written by every block. ``"per-layer"``: one
        for each sum, tied to the one before by edges that null models never shuffle.
    attention : {"dimensions", "heads"}, default "dimensions"
        What the nodes of an attention are. Query and key meet dimension by dimension and are one node each; values,
        which the output projection reads, are nodes of their own. ``"heads"``: one node per head for all of them.
        Where several query heads share a key (grouped queries), nodes are those of the key.
    normalisation : {"fold", "skip"}, default "fold"
        Factors of a normalisation belong to the nodes that it normalises alone. Where its result is added or read
        elsewhere (a transformer's stream), they belong to what reads it: ``"fold"`` multiplies them into those weights,
        in a copy of the weights' dtype; ``"skip"`` leaves them out and the weights where they are. A factor that is
        one number for all nodes (``0.1 * x``, an attention's ``1 / sqrt(d)``) is never folded.

    Raises
    ------
    GraphError
        If one of them is something else.
    """

    norm: Norm = "l1"
    input_layer: bool = True
    dense_head: bool = True
    residual: Residual = "shared"
    attention: str = "dimensions"
    normalisation: str = "fold"

    def __post_init__(self) -> None:
        require_choice("norm", self.norm, get_args(Norm))
        require_choice("residual", self.residual, get_args(Residual))
        require_choice("attention", self.attention, ATTENTION)
        require_choice("normalisation", self.normalisation, NORMALISATION)
        for name in ("input_layer", "dense_head"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                msg = f"{name} must be True or False, got {getattr(self, name)!r}"
                raise GraphError(msg)


@dataclass(frozen=True, eq=False)
class GraphPlan:
    """Layers and blocks that a network makes, before any weight is read.

    Attributes
    ----------
    layers : tuple of Layer
    blocks : tuple of BlockPlan
    skipped : tuple of Skipped
    choices : GraphChoices
    """

    layers: tuple[Layer, ...]
    blocks: tuple[BlockPlan, ...]
    skipped: tuple[Skipped, ...]
    choices: GraphChoices

    @property
    def n_nodes(self) -> int:
        """Nodes of all layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def n_stored(self) -> int:
        """Numbers that the blocks store."""
        return sum(block.n_stored for block in self.blocks)

    @property
    def n_bytes(self) -> int:
        """Bytes of blocks that are not views of weights."""
        return sum(block.n_bytes for block in self.blocks)

    def warn_of_loss(self) -> None:
        """Tell the logger ``netspectra``, as a warning, of operators with weights that the graph does not show."""
        lost = list(dict.fromkeys(s.name for s in self.skipped if s.reason == NO_NODES))
        if lost:
            others = [f"{s.name}: {s.reason}" for s in self.skipped if s.reason != NO_NODES]
            _LOGGER.warning(
                "%d operator(s) with weights read only what has no nodes and are not in the graph: %s; skipped: %s",
                len(lost),
                ", ".join(lost[:8]),
                "; ".join(others[:4]) or "nothing (numbers chosen by values, or means over features)",
            )

    def build(self) -> LayerGraph:
        """Read the weights and make the graph.

        Raises
        ------
        GraphError
            If a weight holds values that are not finite, or there is no block.
        """
        return LayerGraph(self.layers, tuple(make_block(plan, self.choices.norm) for plan in self.blocks))


def plan_graph(network: Network, **choices: Any) -> GraphPlan:
    """Find the layers and blocks of a network without reading a weight (factors of normalisations excepted).

    Parameters
    ----------
    network : Network
    **choices
        Of :class:`GraphChoices`.

    Raises
    ------
    GraphError
        If shapes do not fit (the message names the operation), nothing is left, or a choice is unknown.
    """
    chosen = GraphChoices(**choices)
    ledger = follow(network, chosen.attention, chosen.normalisation)
    merged = merge(ledger, chosen.residual)
    plans = plan_blocks(ledger, merged)
    dropped: set[int] = set()
    if not chosen.dense_head:
        dropped |= without_head(merged, plans, network)
    if not chosen.input_layer:
        dropped |= without_inputs(merged)
    plans = [plan for plan in plans if plan.source not in dropped and plan.target not in dropped]
    if not plans:
        found = "; ".join(f"{s.name}: {s.reason}" for s in ledger.skipped[:8]) or "nothing was skipped"
        msg = f"the network has no weights between nodes that are shown ({found})"
        raise GraphError(msg)
    used = sorted({layer for plan in plans for layer in (plan.source, plan.target)})
    names = _distinct([merged.groups[i].name for i in used])
    layers = tuple(
        Layer(name, merged.groups[i].size, merged.groups[i].kind) for name, i in zip(names, used, strict=True)
    )
    number = {old: new for new, old in enumerate(used)}
    return GraphPlan(layers, tuple(_renumbered(plan, number) for plan in plans), _once(ledger.skipped), chosen)


def graph_from_network(network: Network, **choices: Any) -> LayerGraph:
    """Return the layer graph of a network.

    Parameters
    ----------
    network : Network
    **choices
        Of :class:`GraphChoices`: ``norm``, ``input_layer``, ``dense_head``, ``residual``, ``attention``,
        ``normalisation``.

    Returns
    -------
    LayerGraph
        Layers are called after the operators that write to them first, in the order of the operations; dense weights
        are used in place where they can be.

    Raises
    ------
    GraphError
        If shapes do not fit, weights are not finite, or nothing is left.
    """
    plan = plan_graph(network, **choices)
    for skipped in plan.skipped:
        _LOGGER.info("skipped %s: %s", skipped.name, skipped.reason)
    plan.warn_of_loss()
    return plan.build()


def _renumbered(plan: BlockPlan, number: dict[int, int]) -> BlockPlan:
    return replace(plan, source=number[plan.source], target=number[plan.target])


def _distinct(names: list[str]) -> list[str]:
    """Names, those that come again with a number: an operator that is called twice makes two layers."""
    seen: Counter[str] = Counter()
    taken, out = set(names), []
    for name in names:
        seen[name] += 1
        new = name
        while seen[name] > 1 and new in taken:
            new = f"{name}#{seen[name]}"
            seen[name] += new in taken
        taken.add(new)
        out.append(new)
    return out


def _once(skipped: list[Skipped]) -> tuple[Skipped, ...]:
    return tuple(dict.fromkeys(skipped))
