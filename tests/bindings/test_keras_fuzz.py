"""Whatever the bytes, the Keras reader returns a network or raises a NetspectraError; it never hangs and never warns.

libhdf5 could crash: mutated HDF5 files are read in a process of their own.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_files import called, functional, hdf5, kernel, layer, sequential, source, tensor, write_h5, write_keras

from netspectra.bindings.keras import network_from_keras
from netspectra.bindings.readers import LoadLimits
from netspectra.errors import NetspectraError
from netspectra.networks import Network

pytestmark = pytest.mark.requires("h5py")

LIMITS = LoadLimits(max_bytes=1 << 20, max_header_bytes=1 << 20)

CONFIG = sequential(
    layer("InputLayer", "in", batch_shape=[None, 5]), layer("Dense", "a", units=4), layer("Dense", "b", use_bias=False)
)
NAMED = {"a": {"a/kernel:0": kernel(5, 4), "a/bias:0": np.zeros(4)}, "b": {"b/kernel:0": kernel(4, 3)}}


def never_anything_else(path: Path) -> None:
    try:
        network = network_from_keras(path, LIMITS)
        for operation in network.operations:
            for weight in operation.weights.values():
                array = weight.read()
                assert (array.shape, array.dtype) == (weight.shape, weight.dtype)
    except NetspectraError as error:
        assert str(error)  # noqa: PT017


def mutate(folder: Path, seed: int, n_files: int) -> None:
    """Read files with bytes, words and stretches replaced, or cut off."""
    rng = np.random.default_rng(seed)
    packed = hdf5({"model_weights/a/a/kernel:0": kernel(5, 4)}, chunks=(2, 3), compression="gzip", shuffle=True)
    many = {f"model_weights/a/a/{i}": kernel(5, 4) for i in range(12)}  # more than a header of the latest format holds
    bases = [
        hdf5(many, chunks=(1, 4), maxshape=(None, 4), libver="latest"),
        write_h5(folder / "base.h5", CONFIG, NAMED).read_bytes(),
        packed,
        write_keras(folder / "base.keras", CONFIG, {"layers/dense/vars/0": kernel(5, 4)}).read_bytes(),
    ]
    for _ in range(n_files):
        content = bytearray(bases[rng.integers(len(bases))])
        for _ in range(rng.choice([1, 1, 2, 8])):
            at, width = int(rng.integers(len(content))), int(rng.choice([1, 2, 4, 8]))
            words = (0, 1, len(content), (1 << 8 * width) - 1, int(rng.integers(1 << 62)))
            word = words[rng.integers(len(words))] % (1 << 8 * width)
            content[at : at + width] = word.to_bytes(width, "little")
        if rng.random() < 0.1:
            del content[int(rng.integers(len(content))) :]
        (folder / "mutated").write_bytes(content)
        never_anything_else(folder / "mutated")


def test_mutated_files_in_a_process_of_their_own(tmp_path: Path) -> None:
    program = (
        "import runpy, sys, pathlib\n"
        "sys.path[:0] = sys.argv[3:]\n"
        "module = runpy.run_path(sys.argv[1])\n"
        "module['mutate'](pathlib.Path(sys.argv[2]), seed=0, n_files=600)\n"
    )
    command = [sys.executable, "-W", "error", "-X", "faulthandler", "-c", program, __file__, str(tmp_path), *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


PLACES = {
    "layers/conv2d/vars/0": kernel(3, 3, 2, 4),
    "layers/batch_normalization/vars/0": np.ones(4, "f4"),
    "layers/batch_normalization/vars/1": np.ones(4, "f4"),
    "layers/batch_normalization/vars/2": np.ones(4, "f4"),
    "layers/batch_normalization/vars/3": np.ones(4, "f4"),
    "layers/dense/vars/0": kernel(72, 3),
    "layers/lstm/cell/vars/0": kernel(1, 8),
    "layers/lstm/cell/vars/1": kernel(2, 8),
}
FUNCTIONAL = functional(
    ["in", 0, 0],
    [["r", 0, 0], ["c", 0, 0]],
    source("in", 8, 8, 2),
    called(layer("Conv2D", "k", strides=[1, 1], padding="valid", groups=1, use_bias=False), [tensor("in")]),
    called(layer("BatchNormalization", "n", axis=-1, epsilon=0.1), [tensor("k")]),
    called(layer("MaxPooling2D", "p", pool_size=[2, 2]), [tensor("n")]),
    called(layer("ZeroPadding2D", "z", padding=[[0, 0], [1, 2]]), [tensor("p")]),
    called(layer("Flatten", "f"), [tensor("z")]),
    called(layer("Dense", "d", use_bias=False), [tensor("f")]),
    called(layer("Concatenate", "c", axis=-1), [[tensor("d"), tensor("d")]]),
    called(layer("Reshape", "s", target_shape=[3, -1]), [tensor("d")]),
    called(layer("LSTM", "r", use_bias=False), [tensor("s")]),
)


def paths(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a tree of lists and dicts."""
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [at, *(path for key, branch in branches for path in paths(branch, (*at, key)))]


ALL_PATHS = paths(FUNCTIONAL)[1:]

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from(
        [1 << 40, -1 << 70, 0.5, float("inf"), "in", "r", "same", "LSTM", "Dot", "Bidirectional", "RNN", ""]
    ),
    st.sampled_from(
        [[], {}, [1], [[1, 1], [1, 1]], [None, None], ["in", 0, 0], tensor("p"), FUNCTIONAL, layer("GRU", "g")]
    ),
)


def changed(changes: list[tuple[int, Any]]) -> Any:
    config = copy.deepcopy(FUNCTIONAL)
    for number, value in changes:
        tree, (*before, last) = config, ALL_PATHS[number % len(ALL_PATHS)]
        try:
            for key in before:
                tree = tree[key]
            tree[last] = value
        except (LookupError, TypeError):  # an earlier change has taken it away
            continue
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras_fuzz")


def test_the_base_is_read(folder: Path) -> None:
    network: Network = network_from_keras(write_keras(folder / "m.keras", FUNCTIONAL, PLACES), LIMITS)
    assert [operation.kind for operation in network.operations][:6] == [
        "convolution",
        "scale",
        "pass",
        "pad",
        "flatten",
        "dense",
    ]


@settings(max_examples=300)
@given(changes=st.lists(st.tuples(st.integers(0, len(ALL_PATHS) - 1), values), min_size=1, max_size=3))
def test_changed_configurations(folder: Path, changes: list[tuple[int, Any]]) -> None:
    weights = folder / "weights.h5"
    if not weights.exists():
        weights.write_bytes(hdf5(PLACES))
    text = json.dumps(changed(changes))
    never_anything_else(write_keras(folder / "changed.keras", text, {}, weights=weights.read_bytes()))
