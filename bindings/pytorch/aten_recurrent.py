"""Recurrent layers and cells, unrolled once: inputs and the hidden units of before, read by the hidden units of now."""

from typing import Any

from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow, Shape

__all__ = ["RECURRENT", "layer_stack"]

_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def recurrent(call: Call) -> Any:
    """``nn.LSTM``, ``nn.GRU``, ``nn.RNN``: output, and the last state of every layer and direction."""
    flow, parameters = call["input"], call.get("params")
    if not isinstance(flow, Flow) or parameters is None or "batch_first" not in call.arguments:
        return call.opaque("recurrence over packed sequences is not known")
    if not all(isinstance(value, Constant) and value.evaluate for value in parameters):
        return call.opaque("the weights of a recurrent layer depend on the inputs")
    n_directions = 2 if call["bidirectional"] else 1
    output, last = layer_stack(call, flow, list(parameters), n_directions, has_biases=bool(call["has_biases"]))
    if flow.shape is None:
        return [output]
    time = 0 if len(flow.shape) == 2 or not call["batch_first"] else 1
    states = [_final(call, made, time, at_start=i % n_directions == 1) for i, made in enumerate(last)]
    state = states[0]
    if len(states) > 1:
        wide = (len(states), *(state.shape or ())[1:])
        state = call.emit("concatenate", *states, shape=wide, axis=0)
    return [output, state, state] if call.op == "lstm" else [output, state]


def layer_stack(
    call: Call, flow: Flow, parameters: list[Constant], n_directions: int, *, has_biases: bool
) -> tuple[Flow, list[Flow]]:
    """Flow out of stacked recurrent layers, and that of every layer and direction by itself."""
    gates = _GATES[call.op]
    n_layers_at_least = 2 + 2 * has_biases
    projected = len(parameters) % (n_layers_at_least * n_directions) != 0 or _is_projected(parameters, has_biases)
    width = n_layers_at_least + projected
    last: list[Flow] = []
    for at in range(0, len(parameters), width * n_directions):
        made = []
        for direction in range(n_directions):
            own = parameters[at + direction * width : at + (direction + 1) * width]
            made.append(_one_layer(call, flow, own, gates, projected=projected))
        last += made
        if n_directions == 2:
            size = (made[0].shape or (None,))[-1]
            shape: Shape = None if flow.shape is None else (*flow.shape[:-1], None if size is None else 2 * size)
            flow = call.emit("concatenate", *made, shape=shape, axis=-1 if shape is None else len(shape) - 1)
        else:
            flow = made[0]
    return flow, last


def cell(call: Call) -> Any:
    """``LSTMCell`` and its kin; a cell that reads its own last state again is the same units, one step on."""
    flow, weight, hidden = call["input"], call["w_ih"], call["w_hh"]
    if not isinstance(flow, Flow):
        return call.opaque("a recurrent cell that reads a constant is not known")
    if not all(isinstance(value, Constant) and value.evaluate for value in (weight, hidden)):
        return call.opaque("the weights of a recurrent cell depend on the inputs")
    before = [one for one in _state_flows(call) if _is_made_by(call, one, weight)]
    if before:
        made = call.emit("pass", before[0], shape=call.shape)
    else:
        made = call.emit(
            "recurrent",
            flow,
            shape=call.shape,
            weights={"input_weight": weight, "hidden_weight": hidden},
            name=call.path or weight.key.rpartition(".")[0],
            orientation="out-in",
            gates=_GATES[call.op.removesuffix("_cell")],
        )
    return [made, made] if call.is_list else made


def _one_layer(call: Call, flow: Flow, own: list[Constant], gates: int, *, projected: bool) -> Flow:
    suffix = own[0].key.rpartition("weight_ih_")[2]
    name = f"{call.path}.{suffix}" if call.path else suffix
    size = own[1].shape[1]
    shape: Shape = None if flow.shape is None else (*flow.shape[:-1], own[0].shape[0] // gates)
    weights = {"input_weight": own[0]}
    if not projected:
        weights["hidden_weight"] = own[1]
    made = call.emit("recurrent", flow, shape=shape, weights=weights, name=name, orientation="out-in", gates=gates)
    if not projected:
        return made
    call.skip(made, "a recurrence through a projection: its hidden weight is not shown", own[1].key)
    wide: Shape = None if shape is None else (*shape[:-1], size)
    return call.emit(
        "dense", made, shape=wide, weights={"weight": own[-1]}, name=f"{name}.projection", orientation="out-in"
    )


def _is_projected(parameters: list[Constant], has_biases: bool) -> bool:
    """Whether hidden states are projected (``proj_size``): then the hidden weight reads fewer numbers than it makes."""
    at = 4 if has_biases else 2
    return len(parameters) > at and len(parameters[at].shape) == 2 and "weight_hr" in "".join(parameters[at].keys)


def _final(call: Call, made: Flow, time: int, *, at_start: bool) -> Flow:
    """State after the last step, with an axis for the layer before all others."""
    shape = made.shape or ()
    at = 0 if at_start else int(shape[time] or 1) - 1
    thin = (*shape[:time], 1, *shape[time + 1 :])
    one = call.emit("slice", made, shape=thin, axis=time, start=at, stop=at + 1)
    return call.emit("reshape", one, shape=(1, *shape[:time], *shape[time + 1 :]))


def _state_flows(call: Call) -> list[Flow]:
    state = call["hx"]
    return [one for one in (state if isinstance(state, list | tuple) else [state]) if isinstance(one, Flow)]


def _is_made_by(call: Call, state: Flow, weight: Constant) -> bool:
    """Whether a state comes, through whatever else, from an earlier step of the cell with this weight."""
    made_by = {name: one for one in call.recorder.operations for name in one.outputs}
    stack, seen = [state.name], set()
    while stack:
        name = stack.pop()
        if name in seen or name not in made_by:
            continue
        seen.add(name)
        operation = made_by[name]
        if operation.kind == "recurrent" and operation.weights["input_weight"].key == weight.key:
            return True
        stack += operation.inputs
    return False


RECURRENT: dict[str, Emitter] = {
    **dict.fromkeys(_GATES, recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), cell),
}
"""ATen operation to its emitter."""
