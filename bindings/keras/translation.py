"""From a model's configuration and its weights to a network: every call of every layer, in an order that can run."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence

from netspectra.bindings.keras.binding import Weights
from netspectra.bindings.keras.configuration import Layer, Model, input_shape
from netspectra.bindings.keras.references import Call, Reference, leaves
from netspectra.bindings.keras.rules import rule_for
from netspectra.bindings.keras.tape import Shape, Step, Tape, TensorName
from netspectra.errors import FileFormatError
from netspectra.networks import Network, Skipped

__all__ = ["translate"]

_ADDED = ("bias", "beta", "moving_mean")
"""Variables that are added: they connect nothing."""

_MOST_LISTED = 1000


def translate(model: Model, weights: Weights, most_operations: int) -> Network:
    """Write a model down as a network.

    Raises
    ------
    FileFormatError
        If calls refer to what is not there, or in a circle; if weights are missing or of another rank than their
        layer's.
    LimitError
        If there are more operations than `most_operations`.
    """
    tape = Tape(weights, most_operations)
    inputs: dict[str, Shape | None] = {}
    for reference in model.inputs:
        shape = input_shape(_layer(model, reference.layer))
        inputs[tape.note(reference.layer, shape)] = tape.known(shape)
    outputs = _run(tape, model, [reference.layer for reference in model.inputs], "")
    return Network(tuple(tape.operations), inputs, {}, tuple(outputs), (*tape.skipped, *_unused(tape)), "keras")


def _layer(model: Model, name: str) -> Layer:
    found = next((layer for layer in model.layers if layer.name == name), None)
    if found is None:
        msg = f"the model's input {name!r} is none of its layers"
        raise FileFormatError(msg)
    return found


def _unused(tape: Tape) -> list[Skipped]:
    left = [key for key in tape.weights.all if key not in tape.used]
    roles = (weights.items() for weights in tape.weights.by_layer())
    added = {weight.key for items in roles for role, weight in items if role.rpartition(".")[2] in _ADDED}
    listed = [Skipped(key, "added: it connects no nodes" if key in added else "no operation uses it") for key in left]
    if len(listed) > _MOST_LISTED:
        listed = [*listed[:_MOST_LISTED], Skipped("…", f"and {len(listed) - _MOST_LISTED:,} more")]
    return listed


_Key = tuple[str, int]
"""A layer's name, and which of its calls."""


def _run(tape: Tape, model: Model, given: Sequence[str], prefix: str) -> list[str]:
    """Run a model on tensors, and return those that it makes."""
    if len(given) != len(model.inputs):
        msg = f"model {prefix!r} takes {len(model.inputs)} tensors, is called on {len(given)}"
        raise FileFormatError(msg)
    made: dict[_Key, list[str]] = {(r.layer, 0): [name] for r, name in zip(model.inputs, given, strict=True)}
    shapes = {
        (r.layer, r.node): r.shape for layer in model.layers for c in layer.calls for r in c.references() if not r.index
    }

    def tensor(reference: Reference) -> TensorName:
        tensors = made.get((reference.layer, reference.node), [])
        if not 0 <= reference.index < len(tensors):
            name = prefix + reference.layer
            msg = f"output {reference.index} of call {reference.node} of layer {name!r} does not exist"
            raise FileFormatError(msg)
        return TensorName(tensors[reference.index])

    for layer, number, call in _sorted(model, set(made), prefix):
        resolved = call.mapped(tensor)
        read = tuple(str(leaf) for leaf in leaves(resolved.arguments) if isinstance(leaf, TensorName))
        shape = shapes.get((layer.name, number))
        step = Step(tape, layer, prefix + layer.name, read, resolved.arguments, resolved.keywords, shape)
        made[layer.name, number] = _apply(step)
    return [str(tensor(reference)) for reference in model.outputs]


def _sorted(model: Model, known: set[_Key], prefix: str) -> Iterator[tuple[Layer, int, Call]]:
    """Calls in an order in which each reads only what those before it make; that of the layers where it can be.

    Raises
    ------
    FileFormatError
        If there is no such order.
    """
    calls = [(layer, i, call) for layer in model.layers for i, call in enumerate(layer.calls)]
    missing = [{(r.layer, r.node) for r in call.references()} - known for _, _, call in calls]
    waiting: dict[_Key, list[int]] = defaultdict(list)
    for number, keys in enumerate(missing):
        for key in keys:
            waiting[key].append(number)
    ready = [number for number, keys in enumerate(missing) if not keys]
    n_done = 0
    while ready:
        number = heapq.heappop(ready)
        n_done += 1
        layer, i, call = calls[number]
        yield layer, i, call
        for other in waiting.pop((layer.name, i), ()):
            missing[other].discard((layer.name, i))
            if not missing[other]:
                heapq.heappush(ready, other)
    if n_done < len(calls):
        stuck = next(calls[number][0].name for number, keys in enumerate(missing) if keys)
        msg = f"layer {prefix + stuck!r} reads what no layer makes, or its own output"
        raise FileFormatError(msg)


def _apply(step: Step) -> list[str]:
    """Write down one call of a layer."""
    if step.layer.model is not None:
        given = step.inputs or tuple(str(leaf) for leaf in leaves(step.keywords) if isinstance(leaf, TensorName))
        return _run(step.tape, step.layer.model, given, f"{step.name}/")
    if not step.inputs:
        return [step.tape.emit("opaque", step.name, (), step.result, reason="reads no tensor")]
    if step.layer.kind == "TimeDistributed":
        return _at_each_time(step)
    if step.layer.kind == "SpectralNormalization":
        step.skip("the kernel is taken as it is stored, divided by its norm in the last step of training", "vector_u")
        return _apply(_inside(step, step.inputs[0]))
    made = rule_for(step.layer)(step)
    return [made] if isinstance(made, str) else list(made)


def _inside(step: Step, given: str) -> Step:
    part = step.layer.parts[0][1]
    return Step(step.tape, part, f"{step.name}/{part.name}", (given,), (TensorName(given),))


def _at_each_time(step: Step) -> list[str]:
    """Apply a layer to every step of time, which stand in the batch meanwhile."""
    shape, part = step.shape, step.layer.parts[0][1]
    if shape is None or len(shape) < 3 or part.kind in ("Dense", "Activation"):
        return _apply(_inside(step, step.inputs[0]))
    times = (shape[0] or 1) * (shape[1] or 1)
    made = _apply(_inside(step, step.emit("reshape", step.inputs[0], (times, *shape[2:]))))[0]
    inner = step.tape.shapes[made]
    if inner is None:
        return [step.opaque("what is applied to each time makes a tensor of unknown shape")]
    return [step.emit("reshape", made, (*shape[:2], *inner[1:]))]
