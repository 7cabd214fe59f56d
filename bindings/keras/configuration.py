"""Keras' configuration of a model, of any of its generations, as layers and the calls that join them.

A Sequential model is a chain of single calls.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from netspectra.bindings.keras.keras1 import modernised
from netspectra.bindings.keras.references import Call, Reference, parse_calls, parse_ends, parse_shape, recounted
from netspectra.errors import FileFormatError

__all__ = ["Layer", "Model", "input_shape", "parse_layer", "parse_model"]

_DEEPEST = 30
"""Models inside models."""

_MODELS = ("Sequential", "Functional", "Model", "Network")


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer, or an operation of ``keras.ops``.

    Attributes
    ----------
    kind : str
        Class.
    name : str
    config : mapping
    is_operation : bool
        Of ``keras.ops``: it has no weights, and none are stored for it.
    model : Model or None
        What is inside, if the layer is a model itself.
    parts : tuple of (str, Layer)
        Layers that a wrapper holds, by the attribute's name.
    calls : tuple of Call
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    is_operation: bool = False
    model: "Model | None" = None
    parts: "tuple[tuple[str, Layer], ...]" = ()
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """Layers in the order of the configuration, and which tensors enter and leave."""

    name: str
    kind: str
    layers: tuple[Layer, ...]
    inputs: tuple[Reference, ...]
    outputs: tuple[Reference, ...]


def parse_model(record: Mapping[str, Any], depth: int = 0) -> Model:
    """Read ``{"class_name": …, "config": …}`` of a model.

    Raises
    ------
    FileFormatError
        If it is no Sequential or Functional model, or its layers have no distinct names.
    """
    if depth > _DEEPEST:
        msg = f"expected at most {_DEEPEST} models inside each other, got more"
        raise FileFormatError(msg)
    kind, config = str(record["class_name"]), record["config"]
    if isinstance(config, list | tuple):  # Sequential models up to Keras 2.2 are the list of their layers
        config = {"name": "sequential", "layers": config}
    if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list | tuple):
        msg = (
            f"expected a Sequential or Functional model, got {kind!r}, whose code is not in the file; "
            "build it with keras.Model(inputs, outputs) and save that"
        )
        raise FileFormatError(msg)
    records = [modernised(layer) for layer in config["layers"]]
    if "input_layers" in config:
        layers, inputs, outputs = _joined(records, config, depth)
    else:
        layers = _chain(records, config, depth)
        inputs, outputs = (Reference(layers[0].name, 0, 0),), (Reference(layers[-1].name, 0, 0),)
    names = [layer.name for layer in layers]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        msg = f"expected layers of distinct names, got {twice!r} twice"
        raise FileFormatError(msg)
    return Model(str(config.get("name", "")), kind, layers, inputs, outputs)


def parse_layer(record: Mapping[str, Any], depth: int = 0) -> Layer:
    """Read ``{"class_name": …, "config": …}`` of a layer."""
    record = modernised(record)
    kind, config = str(record["class_name"]), record["config"]
    is_model = kind in _MODELS or (isinstance(config, Mapping) and "input_layers" in config and "layers" in config)
    model = parse_model(record, depth + 1) if is_model else None
    own = config if isinstance(config, Mapping) else {}
    name = str(record.get("name") or own.get("name") or kind.lower())
    # In .h5 files nothing but the keys of layers tells the layer Add from the operation.
    is_plain = "module" not in record and "trainable" not in own and any(map(_is_new, record.get("inbound_nodes", ())))
    is_operation = not is_model and (".ops" in str(record.get("module", "")) or is_plain)
    parts = () if is_model else tuple(_parts(kind, own, depth + 1))
    return Layer(kind, name, own, is_operation, model, parts)


def _is_new(node: Any) -> bool:
    return isinstance(node, Mapping)


def _parts(kind: str, config: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Layer]]:
    if kind in ("TimeDistributed", "SpectralNormalization"):
        yield "layer", parse_layer(config["layer"], depth)
    elif kind == "Bidirectional":
        forward = parse_layer(config["layer"], depth)
        yield "forward_layer", forward
        if isinstance(config.get("backward_layer"), Mapping):
            yield "backward_layer", parse_layer(config["backward_layer"], depth)
        else:
            name = f"backward_{forward.name.removeprefix('forward_')}"
            yield "backward_layer", Layer(forward.kind, name, forward.config, parts=forward.parts)
    elif kind == "RNN":
        cell = config["cell"]
        cells = cell["config"]["cells"] if cell["class_name"] == "StackedRNNCells" else [cell]
        for one in cells:
            yield ("cell" if len(cells) == 1 and one is cell else "cell/cells"), parse_layer(one, depth)


def input_shape(layer: Layer) -> tuple[int | None, ...] | None:
    """Shape of what an InputLayer takes, the batch's axis included; None where the configuration does not say."""
    config = layer.config
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    if shape is None and layer.model is not None:
        return input_shape(next(inside for inside in layer.model.layers if inside.name == layer.model.inputs[0].layer))
    return None if shape is None else (None, *parse_shape(shape)[1:])


def _joined(
    records: list[Mapping[str, Any]], config: Mapping[str, Any], depth: int
) -> tuple[tuple[Layer, ...], tuple[Reference, ...], tuple[Reference, ...]]:
    bare = [parse_layer(record, depth) for record in records]
    models = {layer.name: layer.model.kind for layer in bare if layer.model is not None}
    ends = parse_ends(config["output_layers"])
    calls, outputs = recounted([parse_calls(record.get("inbound_nodes", ())) for record in records], ends, models)
    layers = tuple(replace(layer, calls=of_layer) for layer, of_layer in zip(bare, calls, strict=True))
    return layers, parse_ends(config["input_layers"]), outputs


def _chain(records: list[Mapping[str, Any]], config: Mapping[str, Any], depth: int) -> tuple[Layer, ...]:
    layers = [parse_layer(record, depth) for record in records]
    if not layers:
        msg = "expected a model of at least one layer, got none"
        raise FileFormatError(msg)
    if layers[0].kind != "InputLayer":
        shape = input_shape(layers[0]) or config.get("build_input_shape")
        layers.insert(0, Layer("InputLayer", f"{layers[0].name}_input", {"batch_shape": shape}))
    chained = [layers[0]]
    for layer in layers[1:]:
        chained.append(replace(layer, calls=(Call((Reference(chained[-1].name, 0, 0),), {}),)))
    return tuple(chained)
