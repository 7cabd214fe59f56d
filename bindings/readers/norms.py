"""Normalisations among named tensors: their scale and variance, and the layer whose channels they multiply.

``bn1.weight`` and ``bn1.running_var`` (PyTorch), ``gamma`` and ``moving_variance`` (Keras), ``scale`` and ``var``
(Flax) are found by their names. A normalisation follows the layer of as many outputs that is called as it is (``bn1``
after ``conv1``, ``batch_normalization_2`` after ``conv2d_2``), is its only neighbour, or comes before it by number.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netspectra.bindings.readers.tensors import Tensor

__all__ = ["Normalization", "find_normalizations", "place", "split_role"]

_SCALES = {"weight", "gamma", "scale"}
_SHIFTS = {"bias", "beta"}
_VARIANCES = {"running_var": 1e-5, "moving_variance": 1e-3, "var": 1e-5}
"""What a variance is called, and what the framework that calls it so adds to it by default."""

_KIND = re.compile(
    r"(?:bn|batch_?norm(?:alization)?|norm|ln|layer_?norm(?:alization)?|gn|group_?norm|rms_?norm)(.*)", re.IGNORECASE
)
_LAYER = re.compile(
    r"(?:(?:depthwise_|separable_)?conv(?:olution)?(?:_?[123]d)?(?:_?transpose)?|fc|linear|lin|dense|layer)(.*)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Normalization:
    """A normalisation of `size` channels: the names of its scale and its variance, where it has them."""

    module: str
    size: int
    scale: str | None
    variance: str | None
    epsilon: float


def split_role(name: str) -> tuple[str, str]:
    """Split ``layers.0.weight`` into the module's path and the tensor's role in it (TensorFlow's ``:0`` is dropped)."""
    path = name.removesuffix(":0")
    cut = max(path.rfind("."), path.rfind("/"))
    return (path[:cut], path[cut + 1 :]) if cut > 0 else ("", path)


def find_normalizations(tensors: Mapping[str, Tensor]) -> list[Normalization]:
    """Return the normalisations among 1-D tensors, in the order of `tensors`."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        module, role = split_role(name)
        modules.setdefault(module, {})[role] = tensor
    found = (_normalization(module, roles) for module, roles in modules.items() if module)
    return [norm for norm in found if norm is not None]


def place(norm: Normalization, layers: Sequence[tuple[str, int]], before: Sequence[str]) -> str | None:
    """Return the layer that a normalisation follows, None where that cannot be told.

    Parameters
    ----------
    norm : Normalization
    layers : sequence of (name, n_outputs)
        Modules of the chain's weights, in order.
    before : sequence of str
        Those of them that come before the normalisation in the order of the names.
    """
    parent, own = _split(norm.module)
    siblings = [name for name, _ in layers if _split(name)[0] == parent]
    outputs = dict(layers)
    kind = _KIND.fullmatch(own)
    if kind is not None:
        alike = [name for name in siblings if _number(_split(name)[1]) == kind[1]]
        if alike:  # Flax: BatchNorm_0 may be that of Conv_0 or of Dense_0, and convolutions come first
            return next((name for name in alike if outputs[name] == norm.size), None)
    if len(siblings) == 1 and outputs[siblings[0]] == norm.size and not own.isdigit():
        return siblings[0]
    previous = [name for name in before if name in siblings]
    if own.isdigit() and previous and _split(previous[-1])[1].isdigit() and outputs[previous[-1]] == norm.size:
        return previous[-1]
    return None


def _normalization(module: str, roles: Mapping[str, Tensor]) -> Normalization | None:
    flat = {role: t for role, t in roles.items() if len(t.shape) == 1 and t.dtype is not None and t.dtype.kind == "f"}
    flat |= {role: t for role, t in roles.items() if len(t.shape) == 1 and t.stored == "bfloat16"}
    variance = next((role for role in _VARIANCES if role in flat), None)
    scale = next((role for role in sorted(_SCALES) if role in flat), None)
    if variance is None:
        shifted = any(role in flat and scale and flat[role].shape == flat[scale].shape for role in _SHIFTS)
        if scale is None or not (shifted or _KIND.fullmatch(_split(module)[1])):
            return None
    sizes = {flat[role].shape[0] for role in (scale, variance) if role is not None}
    if len(sizes) != 1 or 0 in sizes:
        return None
    return Normalization(
        module,
        sizes.pop(),
        None if scale is None else flat[scale].name,
        None if variance is None else flat[variance].name,
        0.0 if variance is None else _VARIANCES[variance],
    )


def _split(module: str) -> tuple[str, str]:
    cut = max(module.rfind("."), module.rfind("/"))
    return (module[:cut], module[cut + 1 :]) if cut >= 0 else ("", module)


def _number(own: str) -> str | None:
    match = _LAYER.fullmatch(own)
    return None if match is None else match[1]
