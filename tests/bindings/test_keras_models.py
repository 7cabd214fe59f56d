"""Models that Keras itself makes: saved in both formats and in memory, read back against its own weights and shapes.

Keras reads its backend from the environment once, when it is imported: it runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspectra.bindings.keras import graph_from_keras, network_from_keras
from netspectra.networks import Network

pytestmark = pytest.mark.requires("h5py", "keras")

#: Each model saved as .keras and .h5, the shapes and weights of its layers beside; and read in memory.
PROGRAM = """
import json, pathlib, sys
import keras, numpy as np
from keras import layers as L, ops
from netspectra.bindings.keras import network_from_keras

keras.utils.set_random_seed(0)

def chain():
    return keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(),
        L.MaxPooling2D(), L.Conv2D(6, 2, groups=2, padding="same"), L.DepthwiseConv2D(2, depth_multiplier=2),
        L.SeparableConv2D(5, 3, padding="same", strides=2), L.Conv2DTranspose(3, 3, strides=2), L.UpSampling2D(),
        L.ZeroPadding2D(((0, 1), (2, 0))), L.Cropping2D(1), L.GroupNormalization(3), L.Flatten(), L.Dense(7), L.PReLU(),
        L.LayerNormalization(), L.Dense(2, use_bias=False)])

def residual():
    x = start = keras.Input((6, 6, 4), name="start")
    inner = [keras.Input((6, 6, 4)), L.Conv2D(4, 3, padding="same"), L.BatchNormalization()]
    inner = keras.Sequential(inner, name="inner")
    shared = L.Conv2D(4, 1, name="shared")
    x = L.Add()([x, inner(x)])
    x = x + inner(shared(x))
    x = L.Concatenate()([shared(x), start])
    block_in = keras.Input((6, 6, 8))
    block = keras.Model(block_in, L.Activation("relu")(L.Conv2D(8, 1)(block_in)), name="block")
    x = L.Average()([block(x), block(x * 2.0)])
    return keras.Model(start, block(x))

def sequence():
    tokens = keras.Input((5,), dtype="int32")
    x = L.Embedding(11, 8)(tokens)
    x = x + L.MultiHeadAttention(2, 3, name="self")(x, x)
    y = L.GroupQueryAttention(4, 4, 2)(L.RMSNormalization()(x), x)
    x = L.EinsumDense("abc,cde->abde", output_shape=(5, 2, 3))(L.Multiply()([x, y]))
    x = L.Reshape((5, 6))(x)[:, 1:]
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(x)
    x = L.TimeDistributed(L.Dense(4))(x)
    x = L.GRU(3, return_sequences=True, go_backwards=True)(x)
    x = L.RNN([L.LSTMCell(4), L.SimpleRNNCell(2)])(x)
    return keras.Model(tokens, L.Dense(3, name="head")(x))

out, summary = pathlib.Path(sys.argv[1]), {}
for make in (chain, residual, sequence):
    model = make()
    model.compile("adam", "mse")
    model(np.zeros((1, *model.input_shape[1:])))
    for weight in model.weights:
        weight.assign(np.random.default_rng(len(weight.path)).standard_normal(weight.shape) ** 2)
    model.save(out / f"{make.__name__}.keras")
    model.save(out / f"{make.__name__}.h5")
    network = network_from_keras(model)
    np.savez(out / f"{make.__name__}.npz", **{w.path.replace("/", "|"): w.numpy() for w in model.weights})
    held = [[o.kind, o.name, list(o.shape), {k: [w.key, w.read().tolist()] for k, w in o.weights.items()}]
            for o in network.operations]
    shapes = {layer.name: [s or 1 for s in layer.output.shape] for layer in model.layers
              if len(getattr(layer, "_inbound_nodes", ())) == 1}
    summary[make.__name__] = {"operations": held, "shapes": shapes}
(out / "summary.json").write_text(json.dumps(summary))
assert "keras" in sys.modules
"""

NAMES = ("chain", "residual", "sequence")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, require: Callable[[str], Any]) -> Path:
    folder = tmp_path_factory.mktemp("keras_models")
    environment = {
        **os.environ,
        "KERAS_BACKEND": require("keras"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


def listed(network: Network) -> list[tuple[Any, ...]]:
    return [
        (o.kind, o.name, o.shape, dict(o.options), {k: w.read().tolist() for k, w in o.weights.items()})
        for o in network.operations
    ]


@pytest.mark.parametrize("name", NAMES)
def test_both_formats_and_the_model_in_memory_are_one_network(saved: Path, name: str) -> None:
    archive, legacy = (network_from_keras(saved / f"{name}.{suffix}") for suffix in ("keras", "h5"))
    assert listed(archive) == listed(legacy)
    memory = json.loads((saved / "summary.json").read_text())[name]["operations"]
    found = [
        [o.kind, o.name, list(o.shape or ()), {k: w.read().tolist() for k, w in o.weights.items()}]
        for o in archive.operations
    ]
    assert found == [[kind, at, shape, {k: w[1] for k, w in held.items()}] for kind, at, shape, held in memory]


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_those_that_keras_finds(saved: Path, name: str) -> None:
    network = network_from_keras(saved / f"{name}.keras")
    shapes = json.loads((saved / "summary.json").read_text())[name]["shapes"]
    made = {operation.name.partition("/")[0]: operation.shape for operation in network.operations}
    checked = {at: made[at] for at in shapes if at in made}
    assert len(checked) >= 3
    assert checked == {at: tuple(shapes[at]) for at in checked}


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_is_used_or_named(saved: Path, name: str) -> None:
    """Those of the model, by value: kernels and factors in operations, what is added among the skipped."""
    network = network_from_keras(saved / f"{name}.h5")
    with np.load(saved / f"{name}.npz") as arrays:
        held = {path: arrays[path] for path in arrays}
    used = {w.key: w for o in network.operations for w in o.weights.values()}
    for weight in used.values():
        assert any(np.array_equal(weight.read().ravel(), array.ravel()) for array in held.values())
    skipped = {s.name for s in network.skipped}
    assert len(used) + len(skipped) == len(held)
    assert not set(used) & skipped
    roles = {key.rpartition("/")[2].partition(":")[0] for key in used}
    assert not roles & {"bias", "beta", "moving_mean"}


@pytest.mark.parametrize("name", NAMES)
def test_graphs_of_both_formats_are_one(saved: Path, name: str) -> None:
    archive, legacy = (graph_from_keras(saved / f"{name}.{suffix}") for suffix in ("keras", "h5"))
    assert [(la.name, la.size) for la in archive.layers] == [(la.name, la.size) for la in legacy.layers]
    assert len(archive.blocks) == len(legacy.blocks) > 3
    for a, b in zip(archive.blocks, legacy.blocks, strict=True):
        assert (a.source, a.target, a.learned) == (b.source, b.target, b.learned)
        difference = a.weights - b.weights
        assert abs(difference).max() == 0
