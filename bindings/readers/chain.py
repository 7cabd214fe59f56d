"""A network of weights that follow one another: dense layers and convolutions, normalisations folded in.

What a file of tensors does not say is which layers follow which. A chain is believed where the shapes chain and no name
tells of another topology (residual blocks, branches, attention); there the caller must say more.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from netspectra.bindings.readers.chain_shapes import Step, follow
from netspectra.bindings.readers.groups_in_order import require_one_order
from netspectra.bindings.readers.norms import Normalization, find_normalizations, place, split_role
from netspectra.bindings.readers.orientation import OrientationChoice, chaining, decide_orientation
from netspectra.bindings.readers.selection import (
    NOT_NAMED,
    TensorRecord,
    enumerate_some,
    layer_names,
    natural_key,
    select_weights,
    why_not,
)
from netspectra.bindings.readers.tensors import Tensor
from netspectra.errors import GraphError
from netspectra.graph.layer_graph import Orientation
from netspectra.networks import Network, Operation, Skipped, Weight

__all__ = ["chain_network"]

_TOPOLOGY = (
    "give its topology with architecture=... (netspectra.networks.architecture.save_architecture writes one from a "
    "PyTorch module, an ONNX or a Keras file)"
)
_ELSEWHERE = f"; if the network is no chain, {_TOPOLOGY}"
_BRANCHES = re.compile(
    r"downsample|shortcut|(^|[./_])(skip|residual|identity|branch|inception|mixed_|denseblock|denselayer|experts?)"
    r"|(^|[./])layer\d+[./]\d+[./]conv\d|(^|[./])features[./]\d+[./]conv[./]\d"
    r"|(^|[./_])(q|k|v|o|qkv|q_lin|k_lin|v_lin)_?proj\b|attention|attn|(^|[./])(query|qkv)\b"
    r"|(weight|kernel)_(ih|hh)(_|$)|recurrent_kernel",
    re.IGNORECASE,
)
"""Names that tell of more than a chain: residual blocks, branches, attention, recurrent cells."""


def chain_network(
    tensors: Mapping[str, Tensor],
    *,
    order: Sequence[str] | None,
    orientation: OrientationChoice,
    label: str,
    in_order: bool = False,
    origin: str = "tensors",
) -> Network:
    """Return the chain that named tensors make.

    Parameters
    ----------
    tensors : mapping of str to Tensor
    order : sequence of str, optional
        Exactly the weights of the chain, input side first.
    orientation : {"auto", "in-out", "out-in"}
    label : str
        How messages call the collection.
    in_order : bool
        Whether the order of `tensors` is tried before the natural order of their names.
    origin : str
        What the network says of its origin.

    Raises
    ------
    GraphError, AmbiguousOrientationError, FileFormatError
        As :func:`~netspectra.bindings.readers.load`.
    """
    names, sorted_by_name = select_weights(tensors, order, label), order is None
    if order is None:
        _require_chain_names(names, label)
        own = [name for name in tensors if name in set(names)]
        if in_order and own != sorted(own) and chaining(_records(tensors, own)):
            names, sorted_by_name = own, False
    records = _records(tensors, names)
    side = decide_orientation(records, orientation, label, _ELSEWHERE)
    if sorted_by_name:
        require_one_order(records, lambda other: len(follow(other, side)) == len(other), label)
    norms = _placed(tensors, names, follow(records, side))
    used = {name for norm in (n for group in norms.values() for n in group) for name in (norm.scale, norm.variance)}
    operations, first = _operations(tensors, records, side, norms)
    ranks = len(records[0].shape)
    channels = follow(records, side)[0].n_in
    shape = _image(channels, ranks, side) if ranks > 2 else (1, channels)
    return Network(
        operations=tuple(operations),
        inputs={first: shape},
        outputs=(operations[-1].outputs[0],),
        skipped=tuple(_skipped(tensors, {*names, *used}, order)),
        format=origin,
    )


def _require_chain_names(names: Sequence[str], label: str) -> None:
    telling = [name for name in names if _BRANCHES.search(name)]
    if telling:
        msg = (
            f"{label}: expected layers that follow one another, got names that tell of residual blocks, branches or "
            f"attention ({enumerate_some(map(repr, telling), 3)}): a file of tensors does not say how they are joined; "
            f"{_TOPOLOGY}, or name the weights of one chain with order=[...]"
        )
        raise GraphError(msg)


def _records(tensors: Mapping[str, Tensor], names: Sequence[str]) -> list[TensorRecord]:
    return [TensorRecord(name, tensors[name].shape, tensors[name].stored) for name in names]


def _placed(
    tensors: Mapping[str, Tensor], names: Sequence[str], steps: Sequence[Step]
) -> dict[str, list[Normalization]]:
    """Normalisations by the weight that they follow."""
    modules = {split_role(name)[0] or name: name for name in names}
    layers = [(module, step.n_out) for module, step in zip(modules, steps, strict=False)]
    placed: dict[str, list[Normalization]] = {}
    if len(modules) != len(names):
        return placed  # several weights of one module: what follows what cannot be told from names
    for norm in find_normalizations({name: tensors[name] for name in sorted(tensors, key=natural_key)}):
        before = [module for module, _ in layers if natural_key(module) < natural_key(norm.module)]
        layer = place(norm, layers, before)
        if layer is not None:
            placed.setdefault(modules[layer], []).append(norm)
    return placed


def _operations(
    tensors: Mapping[str, Tensor],
    records: Sequence[TensorRecord],
    side: Orientation,
    norms: Mapping[str, Sequence[Normalization]],
) -> tuple[list[Operation], str]:
    names = layer_names([record.name for record in records])
    operations: list[Operation] = []
    last, before = names[0], None
    for i, (record, step) in enumerate(zip(records, follow(records, side), strict=True)):
        if before is not None and len(before.shape) > 2 and len(record.shape) == 2:
            operations += _flatten(last, names[i + 1], before, step, side)
            last = operations[-1].outputs[0]
        operations.append(_weighted(tensors[record.name], names[i + 1], last, step, side))
        for norm in norms.get(record.name, ()):
            operations.append(_scale(tensors, norm, operations[-1].outputs[0], record, side))
        last, before = operations[-1].outputs[0], record
    return operations, names[0]


def _weighted(tensor: Tensor, name: str, source: str, step: Step, side: Orientation) -> Operation:
    weight, output = tensor.weight(), f"{name}:output"
    if len(weight.shape) == 2:
        return Operation("dense", name, (source,), (output,), {"weight": weight}, {"orientation": side})
    layout, axis = ("oihw", 1) if side == "out-in" else ("hwio", len(weight.shape) - 1)
    if side == "in-out" and step.groups == weight.shape[-2] > 1:
        shape = (*weight.shape[:-2], 1, step.n_out)  # Keras: (..., channels, outputs of each)
        read = tensor.read
        weight = Weight(shape, weight.dtype, lambda: read().reshape(shape), weight.key)
    options = {"layout": layout, "groups": step.groups, "axis": axis}
    shape_out = _image(step.n_out, len(weight.shape), side)
    return Operation("convolution", name, (source,), (output,), {"weight": weight}, options, shape_out)


def _flatten(source: str, target: str, kernel: TensorRecord, step: Step, side: Orientation) -> list[Operation]:
    """From channels to what a dense layer reads: all positions of each, or their mean where there is one for each."""
    rank = len(kernel.shape)
    if step.positions == 1:
        axes = tuple(range(2, rank)) if side == "out-in" else tuple(range(1, rank - 1))
        return [Operation("reduce", target, (source,), (f"{target}:pooled",), options={"axes": axes})]
    channels = step.n_in // step.positions
    places = (step.positions, *(1 for _ in range(rank - 3)))
    shape = (1, channels, *places) if side == "out-in" else (1, *places, channels)
    pooled, flat = f"{target}:pooled", f"{target}:flat"
    return [
        Operation("pass", target, (source,), (pooled,), shape=shape),
        Operation("flatten", target, (pooled,), (flat,), options={"start": 1}, shape=(1, step.n_in)),
    ]


def _scale(
    tensors: Mapping[str, Tensor], norm: Normalization, source: str, record: TensorRecord, side: Orientation
) -> Operation:
    weights = {} if norm.variance is None else {"variance": tensors[norm.variance].weight()}
    ones = Weight.of(np.ones(norm.size, np.float32))
    weights["scale"] = ones if norm.scale is None else tensors[norm.scale].weight()
    axis = 1 if side == "out-in" or len(record.shape) == 2 else len(record.shape) - 1
    options = {"axis": axis, "epsilon": norm.epsilon} if norm.variance is not None else {"axis": axis}
    return Operation("scale", norm.module, (source,), (f"{norm.module}:output",), weights, options)


def _image(channels: int, rank: int, side: Orientation) -> tuple[int | None, ...]:
    places: tuple[int | None, ...] = (None,) * (rank - 2)
    return (1, channels, *places) if side == "out-in" else (1, *places, channels)


def _skipped(tensors: Mapping[str, Tensor], used: set[str | None], order: Sequence[str] | None) -> list[Skipped]:
    left = sorted((name for name in tensors if name not in used), key=natural_key)
    norms = {n: norm for norm in find_normalizations(tensors) for n in (norm.scale, norm.variance) if n is not None}
    skipped = []
    for name in left:
        reason = why_not(tensors[name]) or (NOT_NAMED if order is not None else "not part of the chain")
        if name in norms:
            reason = f"1-D: a normalisation of {norms[name].size} channels that follows no layer that could be told"
        skipped.append(Skipped(name, reason))
    return skipped
