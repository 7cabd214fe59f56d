"""Sums, products and functions of single elements: constants change no node, save for a factor per channel."""

from collections.abc import Sequence
from typing import Any

from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow, Shape

__all__ = ["ELEMENTWISE", "plus", "times"]


def plus(call: Call, terms: Sequence[Any], shape: Shape) -> Flow:
    """Flow of a sum of flows, constants and numbers, of which at least one is a flow."""
    flows = [term for term in terms if isinstance(term, Flow)]
    if len(flows) > 1:
        return call.emit("add", *flows, shape=shape)
    return _widened(call, flows[0], shape)


def times(call: Call, one: Any, other: Any, shape: Shape, *, inverse: bool = False) -> Flow:
    """Flow of ``one * other``, or of ``one / other``; at least one of them is a flow."""
    if isinstance(one, Flow) and isinstance(other, Flow):
        return call.emit("multiply", one, other, shape=shape)
    flow, factor = (one, other) if isinstance(one, Flow) else (other, one)
    if not isinstance(factor, Constant) or factor.size == 1:
        return _widened(call, flow, shape)
    wide = [i for i, size in enumerate(factor.shape) if size > 1]
    inverse = inverse and factor is other
    is_inverted_flow = factor is one and call.op in _DIVISIONS
    if len(wide) == 1 and factor.evaluate is not None and flow.shape == shape and not is_inverted_flow:
        axis, size = wide[0] - len(factor.shape), factor.shape[wide[0]]
        if shape is not None:
            axis %= len(shape)
        per_channel = factor
        if inverse or factor.shape != (size,):
            per_channel = factor.derive((size,), lambda value: (1 / value if inverse else value).reshape(size))
        return call.emit("scale", flow, shape=shape, weights={"scale": per_channel}, axis=axis)
    made = call.emit("multiply", flow, factor, shape=shape)
    if factor.keys:
        call.skip(made, f"a parameter of shape {factor.shape} multiplies along several axes", factor.key)
    return made


def _widened(call: Call, flow: Flow, shape: Shape) -> Flow:
    """Flow itself under another name, broadcast where the other operand is the larger one."""
    return call.emit("pass" if shape is None or flow.shape == shape else "expand", flow, shape=shape)


def same(call: Call) -> Any:
    """What changes no value that matters here: copies, casts, moves, dropout."""
    flow = call.flows[0]
    return [flow] if call.is_list else flow


def function(call: Call) -> Any:
    """A function of single elements, or one along an axis that keeps channels apart (softmax, sums so far)."""
    if not call.flows or call.flows[0].shape != call.shape:
        return call.opaque(f"{call.op} changes the shape")
    made = call.emit("pass", call.flows[0], shape=call.shape)
    return [made] if call.is_list else made


def slopes(call: Call) -> Any:
    """An activation with parameters of its own."""
    made = call.emit("pass", call["self"], shape=call.shape)
    if isinstance(call["weight"], Constant) and call["weight"].keys:
        call.skip(made, "slopes of an activation are no edges", call["weight"].key)
    return made


def sum_of(*names: str) -> Emitter:
    """Emitter of a sum, or of anything that chooses between elements or mixes them: terms of an average."""
    return lambda call: plus(call, [call.get(name) for name in names], call.shape)


def product(call: Call) -> Any:
    """``self * other``; complex numbers are kept apart as pairs, which a factor only turns."""
    one, other = call["self"], call["other"]
    pairs = [flow for flow in (one, other) if isinstance(flow, Flow) and flow.pairs]
    if pairs:
        if len(pairs) == 2 or isinstance(one, Flow) == isinstance(other, Flow) or pairs[0].shape != call.shape:
            return call.opaque("a product of complex numbers that depend on the inputs is not known")
        made = call.emit("pass", pairs[0], shape=call.shape)
        return Flow(made.name, made.shape, pairs=True)
    return times(call, one, other, call.shape)


def quotient(call: Call) -> Any:
    """``self / other``."""
    return times(call, call["self"], call["other"], call.shape, inverse=True)


def multiply_add(call: Call) -> Any:
    """``self + tensor1 * tensor2``, or their quotient."""
    one, other = call["tensor1"], call["tensor2"]
    if not isinstance(one, Flow) and not isinstance(other, Flow):
        return plus(call, [call["self"]], call.shape)
    between = call.shape if not isinstance(call["self"], Flow) else _broadcast(one, other)
    made = times(call, one, other, between, inverse=call.op == "addcdiv")
    return plus(call, [call["self"], made], call.shape) if isinstance(call["self"], Flow) else made


def _broadcast(one: Any, other: Any) -> Shape:
    shapes = [value.shape for value in (one, other) if isinstance(value, Flow | Constant) and value.shape is not None]
    n_axes = max(map(len, shapes), default=0)
    padded = [(1,) * (n_axes - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True))


def masked(call: Call) -> Any:
    """Elements replaced by a number where a mask says so."""
    return _widened(call, call["self"], call.shape) if isinstance(call["self"], Flow) else filled(call)


def filled(call: Call) -> Any:
    """A number in every place: no nodes."""
    return Constant(call.output, tuple(int(size or 1) for size in call.shape or ()), None, None)


def as_pairs(call: Call) -> Any:
    """Real pairs seen as complex numbers: the tensor itself, remembered as pairs."""
    flow = call["self"]
    return Flow(flow.name, flow.shape, pairs=True)


def as_real(call: Call) -> Any:
    """Complex numbers seen as real pairs again."""
    flow = call["self"]
    return Flow(flow.name, flow.shape) if flow.pairs else call.opaque("complex numbers of unknown origin")


_DIVISIONS = ("div", "divide", "true_divide", "floor_divide", "remainder", "fmod", "reciprocal")
_SAME = (
    "alias alpha_dropout clone contiguous detach dropout feature_alpha_dropout feature_dropout identity lift "
    "lift_fresh lift_fresh_copy native_dropout positive requires_grad resolve_conj resolve_neg to type_as _to_copy "
    "copy_to cpu cuda float half double bfloat16 _fused_dropout data set_data view_as_real_copy"
)
_FUNCTIONS = (
    "_log_softmax _safe_softmax _softmax abs absolute acos acosh asin asinh atan atanh arctan bernoulli celu ceil "
    "clamp clamp_max clamp_min clip cos cosh elu erf erfc erfinv exp exp2 expm1 floor "
    "fmod frac gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log log10 log1p log2 log_sigmoid "
    "log_sigmoid_forward log_softmax logit logsigmoid mish nan_to_num neg negative normalize pow "
    "reciprocal relu relu6 remainder round rrelu rsqrt selu sgn sigmoid sign silu sin sinc sinh softmax softplus "
    "softshrink special_erf special_expit special_log_softmax special_softmax sqrt square tan tanh tanhshrink "
    "threshold tril triu trunc"
)

ELEMENTWISE: dict[str, Emitter] = {
    **dict.fromkeys(_SAME.split(), same),
    **dict.fromkeys(_FUNCTIONS.split(), function),
    **dict.fromkeys(("prelu", "_prelu_kernel"), slopes),
    **dict.fromkeys(("mul", "multiply"), product),
    **dict.fromkeys(("div", "divide", "true_divide", "floor_divide"), quotient),
    **dict.fromkeys(("add", "sub", "subtract", "rsub", "maximum", "minimum", "fmax", "fmin"), sum_of("self", "other")),
    **dict.fromkeys(("atan2", "hypot", "logaddexp"), sum_of("self", "other")),
    **dict.fromkeys(("addcmul", "addcdiv"), multiply_add),
    **dict.fromkeys(("masked_fill", "masked_scatter"), masked),
    **dict.fromkeys(("fill", "zero"), filled),
    "lerp": sum_of("self", "end"),
    "where": sum_of("self", "other"),
    "view_as_complex": as_pairs,
    "view_as_real": as_real,
}
"""ATen operation to its emitter."""
