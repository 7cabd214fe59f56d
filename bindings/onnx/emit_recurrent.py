"""``LSTM``, ``GRU`` and ``RNN``: each direction unrolled once, then put together as ONNX lays them out."""

from dataclasses import replace

from netspectra.bindings.onnx.constants import Constant, UnrepresentableError
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.nodes import Node, Value, mismatch
from netspectra.bindings.onnx.recorder import Recorder
from netspectra.networks.network import Shape

__all__ = ["EMITTERS"]


def _recurrent(gates: int) -> Emitter:
    return lambda record, node: _unrolled(record, node, gates)


def _unrolled(record: Recorder, node: Node, gates: int) -> list[Value | None]:
    """Outputs Y (positions, directions, batch, units) and Y_h (directions, batch, units), or with batch first.

    The cell states Y_c of an LSTM are channels as those of Y_h are.
    """
    flow, inner, outer = node.input(0), node.constant(1), node.constant(2)
    if flow.constant is not None:
        msg = "it reads a constant"
        raise UnrepresentableError(msg)
    shape, batch_first = node.ranked(), bool(node.integer("layout", 0))
    if len(inner.shape) != 3 or len(outer.shape) != 3 or len(shape) != 3 or not 1 <= inner.shape[0] <= 2:
        raise mismatch(node, "one or two directions of matrices, and a sequence", (inner.shape, outer.shape, shape))
    n_units = outer.shape[2]
    stacked = (inner.shape[0], gates * n_units)
    if shape[2] not in (inner.shape[2], None) or inner.shape[:2] != stacked or outer.shape[:2] != stacked:
        raise mismatch(node, f"{gates} gates of {n_units} units each", (inner.shape, outer.shape, shape))
    weights = [(_direction(inner, which), _direction(outer, which)) for which in range(inner.shape[0])]
    made = [
        record.emit(
            "recurrent",
            replace(node, name=node.name + "_reverse" * which),
            [flow],
            (*shape[:2], n_units),
            weights={"input_weight": first, "hidden_weight": second},
            orientation="out-in",
            gates=gates,
        )
        for which, (first, second) in enumerate(weights)
    ]
    axis = 2 if batch_first else 1
    sequence = _joined(record, node, [record.reshape(node, one, _inserted(one.shape, axis)) for one in made], axis)
    position = 1 if batch_first else 0
    needed = len(node.outputs) > 1 and any(node.outputs[1:])
    last = [_last(record, node, one, position) for one in made] if needed else []
    state = _joined(record, node, last, position) if last else None
    return [sequence, state, state][: len(node.outputs)]


def _direction(constant: Constant, which: int) -> Constant:
    return constant.mapped(constant.shape[1:], lambda array: array[which])


def _inserted(shape: Shape | None, axis: int) -> Shape:
    sides = shape or ()
    return (*sides[:axis], 1, *sides[axis:])


def _last(record: Recorder, node: Node, value: Value, axis: int) -> Value:
    """One position, whose axis of size 1 is where that of the directions belongs."""
    sides = list(value.shape or ())
    sides[axis] = 1
    return record.emit("slice", node, [value], tuple(sides), axis=axis, start=0, stop=1)


def _joined(record: Recorder, node: Node, values: list[Value], axis: int) -> Value:
    if len(values) == 1:
        return values[0]
    sides = list(values[0].shape or ())
    sides[axis] = len(values)
    return record.emit("concatenate", node, values, tuple(sides), axis=axis)


EMITTERS: dict[str, Emitter] = {"RNN": _recurrent(1), "GRU": _recurrent(3), "LSTM": _recurrent(4)}
