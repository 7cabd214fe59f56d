"""Functions, methods and operators of a symbolic trace as ATen operations, as far as they need no shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netspectra.bindings.pytorch.aten import TABLE
from netspectra.bindings.pytorch.aten_elementwise import ELEMENTWISE
from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Flow

__all__ = ["SIZES_DO_NOT_MATTER", "UNSHAPED", "Unknown", "arguments_of_function", "holds_unknown", "size_of"]

Told = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A size that is not known: of an axis, or all of them, or what was computed from sizes."""

    axis: int | None = None


def size_of(name: str, args: Sequence[Any]) -> Unknown:
    """What asking for sizes, or computing with them, gives."""
    if name == "size" and len(args) > 1 and isinstance(args[1], int):
        return Unknown(args[1])
    if name == "getitem" and isinstance(args[0], Unknown) and args[0].axis is None and isinstance(args[1], int):
        return Unknown(args[1])
    return Unknown()


def holds_unknown(value: Any) -> bool:
    """Whether a size that is not known is somewhere in a nest of lists, tuples and mappings."""
    if isinstance(value, Mapping):
        return holds_unknown(list(value.values()))
    return isinstance(value, Unknown) or (isinstance(value, list | tuple) and any(map(holds_unknown, value)))


def arguments_of_function(name: str, args: list[Any], kwargs: dict[str, Any]) -> Told | None:
    """ATen name and arguments of a function, a method of a tensor or an operator; None if it is not known.

    Parameters
    ----------
    name : str
        Of the function or method.
    args, kwargs
        Of its call, flows and constants among them.
    """
    op = _OPERATORS.get(name, name)
    op = op if op in _SIGNATURES or op in ELEMENTWISE else op.removesuffix("_")
    if op in ("view", "reshape"):
        return _flattened(args)
    signature = _SIGNATURES.get(op)
    if signature is None:
        is_known = op in ELEMENTWISE and args and isinstance(args[0], Flow)
        return (op, {"self": args[0]}) if is_known else None
    spread = signature[-1].startswith("*") and len(args) > len(signature)
    if spread and not isinstance(args[len(signature) - 1], list | tuple):
        args = [*args[: len(signature) - 1], args[len(signature) - 1 :]]
    names = [one.lstrip("*") for one in signature]
    return _ALIASES.get(op, op), {**dict(zip(names, args, strict=False)), **_renamed(kwargs)}


def _renamed(kwargs: dict[str, Any]) -> dict[str, Any]:
    others = {"axis": "dim", "keepdims": "keepdim", "start_dim": "start", "end_dim": "stop", "attn_mask": "mask"}
    return {others.get(name, name): value for name, value in kwargs.items()}


def _flattened(args: list[Any]) -> Told | None:
    """``x.view(x.size(0), -1)``, the one view that needs no shapes."""
    sizes = list(args[1]) if len(args) == 2 and isinstance(args[1], list | tuple) else args[1:]
    if len(sizes) == 2 and sizes[0] == Unknown(0) and sizes[1] == -1:
        return "flatten_axes", {"self": args[0], "start": 1, "stop": -1}
    return None


def _flatten(call: Call) -> Any:
    return call.emit("flatten", call["self"], start=int(call.get("start", 0)), stop=int(call.get("stop", -1)))


def _permute(call: Call) -> Any:
    axes = list(call["dims"])
    return call.emit("transpose", call["self"], permutation=tuple(axis % len(axes) for axis in axes))


UNSHAPED: dict[str, Emitter] = {"flatten_axes": _flatten, "permute": _permute}
"""Operations that are written down in another way where no shapes are known."""

SIZES_DO_NOT_MATTER = ("flatten_axes", "add", "sub", "mul", "div")
"""Operations in which a size may stand that is not known: a factor, or the one view that is a flatten."""

_BINARY = ("self", "other")
_OPERATORS = {
    "iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "truediv": "div", "floordiv": "div",
    "concat": "cat", "concatenate": "cat",
    "stochastic_depth": "clone",  # torchvision's, which a trace does not look into
}  # fmt: skip
_ALIASES = {
    "flatten": "flatten_axes",
    "max_pool1d": "max_pool2d",
    "interpolate": "max_pool2d",
}
_SIGNATURES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum", "matmul"), _BINARY),
    **dict.fromkeys(("mm", "bmm"), ("self", "mat2")),
    "addmm": ("self", "mat1", "mat2"),
    "linear": ("input", "weight", "bias"),
    "embedding": ("indices", "weight"),
    **{f"conv{n}d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups") for n in (1, 2, 3)},
    **{
        f"conv_transpose{n}d": ("input", "weight", "bias", "stride", "padding", "output_padding", "groups")
        for n in (1, 2, 3)
    },
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "cat": ("tensors", "dim"),
    "flatten": ("self", "start", "stop"),
    "permute": ("self", "*dims"),
    "pad": ("self", "pad", "mode", "value"),
    **dict.fromkeys(("mean", "sum", "amax", "amin"), ("self", "dim", "keepdim")),
    "scaled_dot_product_attention": ("query", "key", "value"),
    "prelu": ("self", "weight"),
    **dict.fromkeys(("interpolate",), ("self",)),
    **{name: ("self",) for name in TABLE if "pool" in name},
}
