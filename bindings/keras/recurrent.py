"""Recurrent layers, unrolled once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from netspectra.bindings.keras.configuration import Layer
from netspectra.bindings.keras.merges import concatenated, joined
from netspectra.bindings.keras.tape import Shape, Step, TensorName

__all__ = ["RECURRENT"]

_GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3, "CuDNNLSTM": 4, "CuDNNGRU": 3}


def _recurrent(step: Step) -> list[str]:
    _say_initial_state(step)
    return _ended(step, _cell(step, step.layer, step.inputs[0], step.name), step.config)


def _stacked(step: Step) -> list[str]:
    _say_initial_state(step)
    tensor = step.inputs[0]
    for _, cell in step.layer.parts:
        if cell.kind.removesuffix("Cell") not in _GATES:
            return [step.opaque(f"{cell.kind} is no cell that is known here")]
        tensor = _cell(step, cell, tensor, f"{step.name}/{cell.name}")
    return _ended(step, tensor, step.config)


def _cell(step: Step, cell: Layer, tensor: str, name: str) -> str:
    inside = replace(step, layer=cell, name=name)
    weights = {
        "input_weight": inside.weight("kernel", 2),
        "hidden_weight": inside.weight("recurrent_kernel", 2),
    }
    shape = step.tape.shapes[tensor]
    made = None if shape is None else (*shape[:-1], weights["hidden_weight"].shape[0])
    gates = _GATES[cell.kind.removesuffix("Cell")]
    return inside.emit("recurrent", tensor, made, weights, orientation="in-out", gates=gates)


def _ended(step: Step, tensor: str, config: Mapping[str, Any]) -> list[str]:
    """What the layer gives away: all steps or the last, and its states."""
    all_steps, states = config.get("return_sequences") is True, config.get("return_state") is True
    if all_steps and not states:
        return [tensor]
    last = _last(step, tensor)
    n_states = 2 if "LSTM" in step.layer.kind else max(1, len(step.layer.parts))
    return [tensor if all_steps else last, *([last] * n_states if states else [])]


def _last(step: Step, tensor: str) -> str:
    """The last step of time; all steps have the same nodes."""
    shape: Shape | None = step.tape.shapes[tensor]
    if shape is None or len(shape) != 3:
        return step.emit("reduce", tensor, None, axes=(1,), keepdims=False)
    n = shape[1] or 1
    cut = step.emit("slice", tensor, (shape[0], 1, shape[2]), axis=1, start=n - 1, stop=n)
    return step.emit("reshape", cut, (shape[0], shape[2]))


def _bidirectional(step: Step) -> str | list[str]:
    sides = []
    for _, part in step.layer.parts:
        if part.kind not in _GATES:
            return step.opaque(f"{part.kind} is no recurrent layer that is known here")
        tensor = TensorName(step.inputs[0])
        inside = replace(step, layer=part, name=f"{step.name}/{part.name}", inputs=(tensor,), arguments=(tensor,))
        sides.append(_recurrent(inside))
    _say_initial_state(step)
    mode, states = step.config.get("merge_mode", "concat"), [*sides[0][1:], *sides[1][1:]]
    pair = replace(step, inputs=(sides[0][0], sides[1][0]))
    if mode is None:
        return [*pair.inputs, *states]
    merged = concatenated(pair, -1) if mode == "concat" else joined(pair, "multiply" if mode == "mul" else "add")
    return [merged, *states]


def _say_initial_state(step: Step) -> None:
    if len(step.inputs) > 1 or isinstance(step.keywords.get("initial_state"), list | TensorName):
        step.skip("its initial state comes from other layers: what it reads from them is not shown")


def _convolutional(step: Step) -> str:
    return step.opaque("a recurrent cell of convolutions")


RECURRENT = {
    **dict.fromkeys(_GATES, _recurrent),
    "RNN": _stacked,
    "Bidirectional": _bidirectional,
    **{f"ConvLSTM{n}D": _convolutional for n in (1, 2, 3)},
}
