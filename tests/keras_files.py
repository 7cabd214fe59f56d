"""Keras files written by hand, with h5py alone: what Keras of each generation stores."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


def layer(kind: str, name: str, /, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def sequential(*layers: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": list(layers), **config}}


def tensor(name: str, node: int = 0, index: int = 0, shape: Any = None) -> dict[str, Any]:
    """Return how Keras 3 writes a tensor among the arguments of a call."""
    config = {"shape": shape or [None], "dtype": "float32", "keras_history": [name, node, index]}
    return {"class_name": "__keras_tensor__", "config": config}


def called(record: dict[str, Any], *calls: Any) -> dict[str, Any]:
    """Return a layer of a Functional model with its calls: a list of arguments each, or (arguments, keywords)."""
    nodes = [{"args": c[0], "kwargs": c[1]} if isinstance(c, tuple) else {"args": c, "kwargs": {}} for c in calls]
    return {**record, "name": record["config"]["name"], "inbound_nodes": nodes}


def functional(inputs: Any, outputs: Any, *layers: dict[str, Any], name: str = "model") -> dict[str, Any]:
    config = {"name": name, "layers": list(layers), "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Functional", "config": config}


def source(name: str, *shape: int | None) -> dict[str, Any]:
    return {**layer("InputLayer", name, batch_shape=[None, *shape]), "name": name, "inbound_nodes": []}


def hdf5(
    arrays: Arrays, attributes: Mapping[str, Mapping[str, Any]] = {}, *, libver: str | None = None, **options: Any
) -> bytes:
    """Return an HDF5 file of datasets by path, with attributes of groups."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=libver) as file:
        for at, array in arrays.items():
            file.create_dataset(at, data=array, **options)
        for at, values in attributes.items():
            group = file.require_group(at) if at else file
            for key, value in values.items():
                group.attrs[key] = value
    return stream.getvalue()


def write_keras(path: Path, config: Any, arrays: Arrays, *, packed: bool = False, weights: bytes | None = None) -> Path:
    """Write a `.keras` archive: datasets by their place (``layers/dense/vars/0``)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", hdf5(arrays) if weights is None else weights)
    return path


def write_h5(path: Path, config: Any, layers: Mapping[str, Arrays], root: str = "model_weights") -> Path:
    """Write a whole-model `.h5` file: for each layer its arrays by name (``dense/kernel:0``)."""
    begin = f"{root}/" if root else ""
    arrays = {f"{begin}{name}/{key}": array for name, held in layers.items() for key, array in held.items()}
    attributes: dict[str, dict[str, Any]] = {
        f"{begin}{name}": {"weight_names": [key.encode() for key in held]} for name, held in layers.items()
    }
    attributes.setdefault(root, {})["layer_names"] = [name.encode() for name in layers]
    if config is not None:
        attributes.setdefault("", {})["model_config"] = json.dumps(config).encode()
    path.write_bytes(hdf5(arrays, attributes))
    return path


def kernel(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
