"""Ends of a network that an analysis may leave out: its inputs, and the dense layers behind everything else."""

from netspectra.networks.blocks import BlockPlan
from netspectra.networks.merging import Merged
from netspectra.networks.network import Network

__all__ = ["without_head", "without_inputs"]

_BODIES = {"convolution", "attention", "product", "embedding", "recurrent"}


def without_inputs(merged: Merged) -> set[int]:
    """Layers that come from outside."""
    return {i for i, group in enumerate(merged.groups) if group.is_input}


def without_head(merged: Merged, plans: list[BlockPlan], network: Network) -> set[int]:
    """Layers at the end that only dense layers write to, and only such layers read.

    In a network of dense layers alone that is the last one.
    """
    writers: dict[int, list[BlockPlan]] = {i: [] for i in range(len(merged.groups))}
    readers: dict[int, list[BlockPlan]] = {i: [] for i in range(len(merged.groups))}
    for plan in plans:
        writers[plan.target].append(plan)
        readers[plan.source].append(plan)
    only_dense = not any(operation.kind in _BODIES for operation in network.operations)
    head: set[int] = set()
    for layer in reversed(range(len(merged.groups))):
        if merged.groups[layer].kind != "dense" or not writers[layer]:
            continue
        dense = all(plan.weight is not None and not plan.is_kernel for plan in writers[layer])
        last = all(plan.target in head for plan in readers[layer])
        if dense and last and not (only_dense and readers[layer]):
            head.add(layer)
    return head
