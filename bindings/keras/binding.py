"""From the variables of a model's layers to the arrays that a file or a model in memory keeps for them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from netspectra.bindings.keras.configuration import Layer, Model
from netspectra.bindings.keras.hdf5_file import Hdf5File
from netspectra.bindings.keras.variables import Variable, variables
from netspectra.networks import Weight

__all__ = ["Weights", "bind_archive", "bind_hdf5", "bind_objects"]

_TF_KERAS = "_layer_checkpoint_dependencies"

_ROLES = (
    "alpha beta bias depthwise_kernel embeddings gamma kernel moving_mean moving_variance pointwise_kernel "
    "recurrent_kernel"
)
_KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}


class Weights:
    """Weights of layers, by layer and role.

    Attributes
    ----------
    all : mapping of str to Weight
        Everything that the file keeps for the model, by its key.
    """

    def __init__(self, found: Iterable[tuple[Variable, Weight]], everything: Mapping[str, Weight]) -> None:
        self.all = everything
        self._of: dict[int, dict[str, Weight]] = {}
        self._named: dict[tuple[str, str], dict[str, Weight]] = {}
        self._layers: list[Layer] = []  # held, so that no identity is used twice
        for variable, weight in found:
            layer = variable.layer
            self._layers.append(layer)
            self._of.setdefault(id(layer), {})[variable.role] = weight
            self._named.setdefault((layer.kind, layer.name), {}).setdefault(variable.role, weight)

    def by_layer(self) -> Iterator[Mapping[str, Weight]]:
        """Weights of every layer, by role."""
        return iter(self._of.values())

    def of(self, layer: Layer) -> Mapping[str, Weight]:
        """Weights of a layer by role.

        A layer that two models inside the model share is stored once: with the first of them.
        """
        return self._of.get(id(layer)) or self._named.get((layer.kind, layer.name), {})


def bind_archive(model: Model, file: Hdf5File) -> Weights:
    """Weights of a ``.keras`` archive: each variable at its place."""
    placed = {_tidied(at): weight for at, weight in file.datasets.items()}
    if any(_TF_KERAS in at.split("/") for at in file.datasets):
        placed = _renumbered(placed)
    own = Layer("Functional", model.name, {}, model=model)
    found = ((v, placed[at]) for v in variables(own) if (at := _tidied(v.place)) in placed)
    return Weights(found, file.datasets)


def _tidied(place: str) -> str:
    """Return the place without the underscores of private attributes, which come and go between versions."""
    place = place.replace("\\", "/").replace(_TF_KERAS, "layers")
    return "/".join(part.lstrip("_") for part in place.split("/"))


def _renumbered(placed: Mapping[str, Weight]) -> dict[str, Weight]:
    """Layers of one class counted again from 0: Keras 2 counted some of them twice."""
    renamed: dict[str, Weight] = {}
    for at, weight in placed.items():
        parts = at.split("/")
        for i in range(1, len(parts)):
            if parts[i - 1] == "layers":
                before = "/".join(at.split("/")[:i])
                base = re.sub(r"_\d+$", "", parts[i])
                siblings = {
                    other[len(before) + 1 :].split("/")[0] for other in placed if other.startswith(f"{before}/")
                }
                alike = sorted((s for s in siblings if re.sub(r"_\d+$", "", s) == base), key=lambda s: (len(s), s))
                rank = alike.index(at.split("/")[i])
                parts[i] = base if rank == 0 else f"{base}_{rank}"
        renamed["/".join(parts)] = weight
    return renamed


def bind_hdf5(model: Model, file: Hdf5File, root: str) -> Weights:
    """Weights of an ``.h5`` file: those of each layer of the model in the order of Keras' lists.

    The order is checked against the names, which win where the two differ.
    """
    found: list[tuple[Variable, Weight]] = []
    for layer in model.layers:
        group = f"{root}/{layer.name}" if root else layer.name
        named = _named(file, group) if group in file.groups else []
        expected = list(variables(layer))
        found += _paired(expected, named)
    begin = f"{root}/" if root else ""
    everything = {at: weight for at, weight in file.datasets.items() if at.startswith(begin)}
    return Weights(found, everything)


def _named(file: Hdf5File, group: str) -> list[tuple[str, Weight]]:
    names = file.texts(group, "weight_names")
    if names is None:
        names, part = [], 0
        while (more := file.texts(group, f"weight_names{part}")) is not None:  # long lists are cut into several
            names += more
            part += 1
    places = [(name, f"{group}/{name}") for name in names]
    return [(name, file.datasets[at]) for name, at in places if at in file.datasets]


def _paired(expected: Sequence[Variable], named: Sequence[tuple[str, Weight]]) -> Iterator[tuple[Variable, Weight]]:
    """By position, trained variables first, as Keras lists them; else by name."""
    ordered = [v for v in expected if v.is_trained] + [v for v in expected if not v.is_trained]
    for order in (ordered, list(expected)):
        if len(order) == len(named) and all(_fits(v, name) for v, (name, _) in zip(order, named, strict=True)):
            yield from ((v, weight) for v, (_, weight) in zip(order, named, strict=True))
            return
    left = list(named)
    for variable in expected:
        match = next((pair for pair in left if _is_named(variable, pair[0])), None)
        if match is not None:
            left.remove(match)
            yield variable, match[1]


def _role(name: str) -> str:
    tail = name.rpartition("/")[2].partition(":")[0]
    for old, new in _KERAS_1.items():
        if tail.endswith(f"_{old}"):
            return new
    return next((role for role in sorted(_ROLES.split(), key=len, reverse=True) if tail.endswith(role)), "")


def _fits(variable: Variable, name: str) -> bool:
    """Whether a name does not speak against it."""
    own = variable.role.rpartition(".")[2]
    # Keras 3 calls the kernel of a depthwise convolution a kernel, Keras 2 a depthwise one.
    return _role(name) in ("", own) or (own, _role(name)) == ("depthwise_kernel", "kernel")


def _is_named(variable: Variable, name: str) -> bool:
    part, _, role = variable.role.rpartition(".")
    parts = name.split("/")[:-1]
    is_role = _role(name) == role or (role, _role(name)) == ("depthwise_kernel", "kernel")
    return is_role and variable.layer.name in parts and (not part or part in parts[-1])


def bind_objects(model: Model, found: Any) -> Weights:
    """Weights of a Keras model in memory: of each layer those that it lists itself."""
    pairs = list(_object_pairs(model.layers, found))
    return Weights(pairs, {weight.key: weight for _, weight in pairs})


def _object_pairs(layers: Sequence[Layer], found: Any) -> Iterator[tuple[Variable, Weight]]:
    objects = {str(part.name): part for part in found.layers}
    for layer in layers:
        part = objects.get(layer.name)
        if part is None:
            continue
        inner = next((inside for attribute, inside in layer.parts if attribute == "layer"), None)
        if layer.model is not None:
            yield from _object_pairs(layer.model.layers, part)
        elif inner is not None and inner.model is not None:
            yield from _object_pairs(inner.model.layers, part.layer)
        else:
            yield from _paired(list(variables(layer)), _listed(part, layer.name))


def _listed(part: Any, name: str) -> list[tuple[str, Weight]]:
    held = getattr(part, "weights", None)
    if held is None:
        return [(f"{name}/{i}", Weight.of(array, f"{name}/{i}")) for i, array in enumerate(part.get_weights())]
    keys = [str(getattr(v, "path", None) or getattr(v, "name", i)) for i, v in enumerate(held)]
    return [(key, _of_variable(v, key)) for key, v in zip(keys, held, strict=True)]


def _of_variable(variable: Any, key: str) -> Weight:
    def read() -> Any:
        return np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable)

    shape = tuple(int(side) for side in variable.shape)
    named = str(getattr(variable.dtype, "name", variable.dtype))
    if named == "bfloat16":
        import ml_dtypes

        return Weight(shape, np.dtype(ml_dtypes.bfloat16), read, key)
    return Weight(shape, np.dtype(named), read, key)
