"""Follow a network's operations, first to last, and write down which nodes read, write and join which."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from netspectra.errors import GraphError
from netspectra.networks import arithmetic, operators, rearrangement
from netspectra.networks.concatenation import concatenate
from netspectra.networks.network import Network, Operation
from netspectra.networks.nodes import Ledger
from netspectra.networks.reading import Scene
from netspectra.networks.values import Value, constant

__all__ = ["follow"]


def follow(network: Network, attention: str = "dimensions", normalisation: str = "fold") -> Ledger:
    """Return the nodes of a network and what lies between them; no weight is read but scales.

    Raises
    ------
    GraphError
        If shapes do not fit; the message names the operation.
    """
    readers = Counter(name for operation in network.operations for name in operation.inputs)
    scene = Scene(Ledger(skipped=list(network.skipped)), readers, attention, normalisation)
    values = {name: constant(shape) for name, shape in network.constants.items()}
    values |= {name: Value(shape, None, origin=name) for name, shape in network.inputs.items()}
    for operation in network.operations:
        try:
            results = _RULES[operation.kind](scene, operation, [values[name] for name in operation.inputs])
        except GraphError as error:
            msg = f"{operation.kind} {operation.name!r}: {error}"
            raise type(error)(msg) from None
        if len(results) != len(operation.outputs):
            msg = (
                f"{operation.kind} {operation.name!r} makes {len(results)} tensors, {len(operation.outputs)} are named"
            )
            raise GraphError(msg)
        values.update(zip(operation.outputs, results, strict=True))
    return scene.ledger


_Rule = Callable[[Scene, Operation, list[Value]], list[Value]]


def _one(rule: Callable[[Any, Operation, list[Value]], Value]) -> _Rule:
    return lambda scene, operation, values: [rule(scene, operation, values)]


_RULES: dict[str, _Rule] = {
    "dense": _one(operators.dense),
    "convolution": _one(operators.convolution),
    "embedding": _one(operators.embedding),
    "recurrent": _one(operators.recurrent),
    "scale": _one(operators.scale),
    "add": _one(arithmetic.add),
    "multiply": _one(arithmetic.multiply),
    "product": _one(arithmetic.product),
    "attention": _one(arithmetic.attention),
    "pass": _one(rearrangement.pass_on),
    "reshape": _one(rearrangement.reshape),
    "flatten": _one(rearrangement.flatten),
    "transpose": _one(rearrangement.transpose),
    "concatenate": _one(concatenate),
    "slice": _one(rearrangement.cut),
    "split": rearrangement.split,
    "take": _one(rearrangement.take),
    "pad": _one(rearrangement.pad),
    "reduce": _one(rearrangement.reduce),
    "expand": _one(rearrangement.expand),
    "repeat": _one(rearrangement.repeat),
    "opaque": rearrangement.opaque,
}
