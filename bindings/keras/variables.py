"""The variables that a layer has, in the order in which Keras keeps them, and where it stores them.

The lists are those of Keras' own ``build`` methods. A variable is found by its place: ``vars/0`` under the group of its
layer in a ``.keras`` archive, its position in the layer's list in an ``.h5`` file or in memory.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netspectra.bindings.keras.configuration import Layer, Model

__all__ = ["Variable", "is_known", "place_layers", "variables"]


@dataclass(frozen=True)
class Variable:
    """A variable of a layer.

    Attributes
    ----------
    layer : Layer
        The innermost one.
    role : str
        ``"kernel"``, ``"query.kernel"`` …
    place : str
        In a ``.keras`` archive, from the group where the search begins.
    is_trained : bool
    """

    layer: Layer
    role: str
    place: str
    is_trained: bool


_FIXED = ("moving_mean", "moving_variance", "mean", "variance", "count", "vector_u")
_CONVOLUTIONS = tuple(f"Conv{n}D{t}" for n in (1, 2, 3) for t in ("", "Transpose"))
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
_SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
_RECURRENT = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU")
_CELLS = ("SimpleRNNCell", "LSTMCell", "GRUCell")
_ATTENTIONS = ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention")
_CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Class in the configuration to Python's name of it, where they differ."""

_HOLDERS = ("TimeDistributed", "SpectralNormalization", "Bidirectional", "RNN")


def variables(layer: Layer, place: str = "") -> Iterator[Variable]:
    """Variables of a layer and of all that is inside it, in Keras' order."""
    if layer.model is not None:
        for inside, at in place_layers(layer.model, place):
            yield from variables(inside, at)
        return
    for role, at in _own(layer):
        tail = role.rpartition(".")[2]
        is_trained = tail not in _FIXED and layer.config.get("trainable", True) is not False
        yield Variable(layer, role, _joined(place, at), is_trained)
    names: Counter[str] = Counter()
    for attribute, part in layer.parts:
        at = attribute if not attribute.endswith("/cells") else f"{attribute}/{_numbered(part, names)}"
        yield from variables(part, _joined(place, at))


def place_layers(model: Model, place: str = "") -> Iterator[tuple[Layer, str]]:
    """Layers of a model with their groups in a ``.keras`` archive: the class in snake case, counted.

    Operations of ``keras.ops`` are no layers: they have no group and are not counted.
    """
    names: Counter[str] = Counter()
    for layer in model.layers:
        if not layer.is_operation:
            yield layer, _joined(place, f"layers/{_numbered(layer, names)}")


def is_known(layer: Layer) -> bool:
    """Whether the variables of its class are known here (there may be none)."""
    return layer.model is not None or layer.kind in _HOLDERS or bool(next(_own(layer), None))


def _own(layer: Layer) -> Iterator[tuple[str, str]]:
    if layer.kind in _RECURRENT:
        return ((role, f"cell/vars/{i}") for i, role in enumerate(_biased(layer.config, "kernel", "recurrent_kernel")))
    if layer.kind in _ATTENTIONS:
        return _attention(layer.config)
    return ((role, f"vars/{i}") for i, role in enumerate(_roles(layer.kind, layer.config)))


def _roles(kind: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    if kind == "Dense" or kind in _CONVOLUTIONS:
        return _biased(config, "kernel")
    if kind == "EinsumDense":
        return ("kernel", *(["bias"] if config.get("bias_axes") else []))
    if kind in _DEPTHWISE:
        return _biased(config, "depthwise_kernel")
    if kind in _SEPARABLE:
        return _biased(config, "depthwise_kernel", "pointwise_kernel")
    if kind in _CELLS:
        return _biased(config, "kernel", "recurrent_kernel")
    if kind == "BatchNormalization":
        return (*_affine(config), "moving_mean", "moving_variance")
    if kind == "LayerNormalization":
        return ("gamma",) if config.get("rms_scaling") else _affine(config)
    if kind == "GroupNormalization":
        return _affine(config)
    if kind == "Normalization":
        return () if config.get("mean") is not None else ("mean", "variance", "count")
    if kind == "ReversibleEmbedding":
        return ("embeddings", *([] if config.get("tie_weights", True) else ["reverse_embeddings"]))
    if kind == "Attention":
        scaled, concat = config.get("use_scale"), config.get("score_mode") == "concat"
        return (*(["scale"] if scaled else []), *(["concat_score_weight"] if concat else []))
    if kind == "AdditiveAttention":
        return ("scale",) if config.get("use_scale", True) else ()
    return _SIMPLE.get(kind, ())


_SIMPLE = {
    "Embedding": ("embeddings",),
    "LayerScale": ("gamma",),
    "PReLU": ("alpha",),
    "RMSNormalization": ("scale",),
    "SpectralNormalization": ("vector_u",),
}


def _biased(config: Mapping[str, Any], *roles: str) -> tuple[str, ...]:
    return (*roles, "bias") if config.get("use_bias", True) else roles


def _affine(config: Mapping[str, Any]) -> tuple[str, ...]:
    has_scale, has_shift = config.get("scale", True), config.get("center", True)
    return (*(["gamma"] if has_scale else []), *(["beta"] if has_shift else []))


def _attention(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    # In the order in which Keras builds them, which is that of get_weights().
    for part in ("query", "key", *(["gate"] if config.get("use_gate") else []), "value", "output"):
        for i, role in enumerate(_biased(config, "kernel")):
            yield f"{part}.{role}", f"{part}_dense/vars/{i}"


def _numbered(layer: Layer, names: "Counter[str]") -> str:
    name = _snake_case(_CLASSES.get(layer.kind, layer.kind))
    names[name] += 1
    return name if names[name] == 1 else f"{name}_{names[name] - 1}"


def _snake_case(kind: str) -> str:
    """Return the name of a class as Keras writes it: ``Conv2DTranspose`` is ``conv2d_transpose``."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()


def _joined(place: str, rest: str) -> str:
    return f"{place}/{rest}" if place else rest
