"""Files that Keras of each generation writes, read without it: the same network from each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from keras_files import called, functional, hdf5, kernel, layer, sequential, source, tensor, write_h5, write_keras

from netspectra.bindings.keras import graph_from_keras, network_from_keras
from netspectra.errors import FileFormatError
from netspectra.networks import Network

pytestmark = pytest.mark.requires("h5py")

A, B = kernel(5, 4), kernel(4, 3, seed=1)


def chain(first: dict[str, Any] | None = None) -> dict[str, Any]:
    start = layer("InputLayer", "in", batch_shape=[None, 5]) if first is None else first
    return sequential(start, layer("Dense", "a", units=4), layer("Dense", "b", units=3, use_bias=False))


def written(network: Network) -> list[tuple[str, str]]:
    return [(operation.kind, operation.name) for operation in network.operations]


def assert_chain(network: Network) -> None:
    assert written(network) == [("dense", "a"), ("dense", "b")]
    for operation, expected in zip(network.operations, (A, B), strict=True):
        weight = operation.weights["weight"]
        assert (weight.shape, weight.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(weight.read(), expected)
        assert operation.options["orientation"] == "in-out"
    assert [operation.shape for operation in network.operations] == [(1, 4), (1, 3)]
    assert list(network.inputs.values()) == [(1, 5)]


PLACES = {"layers/dense/vars/0": A, "layers/dense/vars/1": np.zeros(4, "f4"), "layers/dense_1/vars/0": B}
NAMED = {"a": {"a/kernel:0": A, "a/bias:0": np.zeros(4, "f4")}, "b": {"b/kernel:0": B}}


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_of_keras_3(tmp_path: Path, packed: bool) -> None:
    network = network_from_keras(write_keras(tmp_path / "m.keras", chain(), PLACES, packed=packed))
    assert_chain(network)
    assert network.format == "keras"
    assert [(s.name, "added" in s.reason) for s in network.skipped] == [("layers/dense/vars/1", True)]


def test_weights_of_a_stored_archive_are_views_of_the_file(tmp_path: Path) -> None:
    """Where they lie at a multiple of their size, which in an archive is chance."""
    views = []
    for i in range(4):
        path = write_keras(tmp_path / f"{i}.keras", json.dumps(chain()) + " " * i, PLACES)
        weight = network_from_keras(path).operations[0].weights["weight"]
        assert weight.key == "layers/dense/vars/0"
        np.testing.assert_array_equal(weight.read(), A)
        views.append(np.shares_memory(weight.read(), weight.read()))
        assert not (views[-1] and weight.read().flags.writeable)
    assert sum(views) == 1


def test_an_archive_of_keras_2(tmp_path: Path) -> None:
    """Its groups are called otherwise, and some layers are counted twice."""
    begin = "_layer_checkpoint_dependencies"
    arrays = {f"{begin}/dense/vars/0": A, f"{begin}/dense/vars/1": np.zeros(4, "f4"), f"{begin}/dense_2/vars/0": B}
    assert_chain(network_from_keras(write_keras(tmp_path / "m.keras", chain(), arrays)))


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_a_whole_model_in_hdf5(tmp_path: Path, suffix: str) -> None:
    assert_chain(network_from_keras(write_h5(tmp_path / f"m{suffix}", chain(), NAMED)))


def test_the_layers_input_stands_in_the_first_of_keras_2(tmp_path: Path) -> None:
    first = layer("Dense", "a", units=4, batch_input_shape=[None, 5])
    config = sequential(first, layer("Dense", "b", units=3, use_bias=False))
    network = network_from_keras(write_h5(tmp_path / "m.h5", config, NAMED))
    assert_chain(network)
    assert list(network.inputs) == ["a_input"]


def test_a_model_of_keras_1(tmp_path: Path) -> None:
    """Sequential is a list, classes and keys have other names, weights too."""
    layers = [
        layer("Dense", "a", output_dim=4, batch_input_shape=[None, 5], bias=True),
        layer("Dense", "b", output_dim=3, bias=False),
    ]
    named = {"a": {"a_W": A, "a_b": np.zeros(4, "f4")}, "b": {"b_W": B}}
    assert_chain(network_from_keras(write_h5(tmp_path / "m.h5", {"class_name": "Sequential", "config": layers}, named)))


def test_kernels_of_keras_1_on_theano_keep_their_layout(tmp_path: Path) -> None:
    shape = {
        "nb_filter": 4,
        "nb_row": 3,
        "nb_col": 2,
        "border_mode": "valid",
        "subsample": [1, 2],
        "dim_ordering": "th",
    }
    config = [
        layer("Convolution2D", "c", batch_input_shape=[None, 2, 8, 8], **shape),
        layer("Flatten", "f"),
        layer("Dense", "d", output_dim=3),
    ]
    named = {"c": {"c_W": kernel(4, 2, 3, 2), "c_b": np.zeros(4)}, "d": {"d_W": kernel(96, 3), "d_b": np.zeros(3)}}
    path = write_h5(tmp_path / "m.h5", {"class_name": "Sequential", "config": config}, named)
    convolution, flatten, _ = network_from_keras(path).operations
    assert convolution.options == {"layout": "oihw", "groups": 1, "axis": 1}
    assert convolution.shape == (1, 4, 6, 4)
    assert flatten.shape == (1, 96)
    assert [la.size for la in graph_from_keras(path).layers] == [2, 4, 3]


def test_names_win_where_the_order_is_another(tmp_path: Path) -> None:
    """A frozen layer's variables come last in the file's list; in this one they do not."""
    config = sequential(
        layer("InputLayer", "in", batch_shape=[None, 4]),
        layer("BatchNormalization", "n", axis=-1, epsilon=0.5, trainable=False),
    )
    values = {
        role: np.full(4, i, "f4") for i, role in enumerate(["gamma", "beta", "moving_mean", "moving_variance"], 1)
    }
    for order in (list(values), list(values)[::-1]):
        held = {f"n/{role}:0": values[role] for role in order}
        (scale,) = network_from_keras(write_h5(tmp_path / "m.h5", config, {"n": held})).operations
        np.testing.assert_array_equal(scale.weights["scale"].read(), values["gamma"])
        np.testing.assert_array_equal(scale.weights["variance"].read(), values["moving_variance"])
        assert scale.options == {"axis": -1, "epsilon": 0.5}


def test_models_inside_models_and_shared_layers(tmp_path: Path) -> None:
    """In an .h5 file all weights of an inner model lie in one list, trained ones first."""
    inner = functional(
        ["x", 0, 0],
        ["d", 0, 0],
        source("x", 4),
        called(layer("BatchNormalization", "n", axis=-1), [tensor("x")]),
        called(layer("Dense", "d", units=4), [tensor("n")]),
        name="inner",
    )
    config = functional(
        ["in", 0, 0],
        [["out", 0, 0]],
        source("in", 4),
        called({**inner, "name": "inner"}, [tensor("in")], [tensor("inner", 0)]),
        called(layer("Add", "out"), [[tensor("inner", 0), tensor("inner", 1)]]),
    )
    W, one = kernel(4, 4), np.ones(4, "f4")
    held = {"n/gamma:0": one, "n/beta:0": one, "d/kernel:0": W, "d/bias:0": one, "n/moving_mean:0": one}
    held["n/moving_variance:0"] = 4 * one
    places = {f"layers/functional/layers/batch_normalization/vars/{i}": one for i in range(3)}
    places["layers/functional/layers/batch_normalization/vars/3"] = 4 * one
    places |= {"layers/functional/layers/dense/vars/0": W, "layers/functional/layers/dense/vars/1": one}
    for path in (
        write_h5(tmp_path / "m.h5", config, {"inner": held}),
        write_keras(tmp_path / "m.keras", config, places),
    ):
        network = network_from_keras(path)
        each = [("scale", "inner/n"), ("dense", "inner/d")]
        assert written(network) == [*each, *each, ("add", "out")]
        first, second = (operation.weights["weight"] for operation in network.operations if operation.kind == "dense")
        assert first is second
        np.testing.assert_array_equal(first.read(), W)
        np.testing.assert_array_equal(network.operations[0].weights["variance"].read(), 4 * one)
        assert network.operations[-1].inputs == (network.operations[1].outputs + network.operations[3].outputs)


def test_calls_as_keras_2_writes_them(tmp_path: Path) -> None:
    """Lists instead of records; a model inside counts its calls from 1."""
    inner = functional(["x", 0, 0], ["d", 0, 0], source("x", 4), layer("Dense", "d", units=4), name="inner")
    inner["config"]["layers"][1] |= {"name": "d", "inbound_nodes": [[["x", 0, 0, {}]]]}
    layers = [
        source("in", 4),
        {**inner, "name": "inner", "inbound_nodes": [[["in", 0, 0, {}]], [["inner", 1, 0, {}]]]},
        {
            **layer("Concatenate", "c", axis=-1),
            "name": "c",
            "inbound_nodes": [[["inner", 1, 0, {}], ["inner", 2, 0, {}]]],
        },
    ]
    config = functional([["in", 0, 0]], [["c", 0, 0]], *layers)
    network = network_from_keras(
        write_h5(tmp_path / "m.h5", config, {"inner": {"d/kernel:0": A[:4], "d/bias:0": A[0]}})
    )
    first, second, joined = network.operations
    assert second.inputs == first.outputs
    assert joined.inputs == (*first.outputs, *second.outputs)
    assert joined.shape == (1, 8)


def test_layers_may_be_listed_in_any_order(tmp_path: Path) -> None:
    config = functional(
        ["in", 0, 0],
        ["b", 0, 0],
        called(layer("Dense", "b", units=3, use_bias=False), [tensor("a")]),
        called(layer("Dense", "a", units=4), [tensor("in")]),
        source("in", 5),
    )
    places = {"layers/dense/vars/0": B, "layers/dense_1/vars/0": A}
    assert_chain(network_from_keras(write_keras(tmp_path / "m.keras", config, places)))


def test_weights_alone_are_a_chain_or_an_error(tmp_path: Path) -> None:
    network = network_from_keras(write_h5(tmp_path / "w.h5", None, NAMED, root=""))
    assert_chain(network)
    assert [s.name for s in network.skipped] == ["a/a/bias:0"]
    held = {"c": {"c/kernel:0": kernel(3, 3, 2, 4)}, **NAMED}
    with pytest.raises(FileFormatError, match=r"without a configuration, expected matrices that chain.*whole model"):
        network_from_keras(write_h5(tmp_path / "w.h5", None, held, root=""))
    (tmp_path / "w.weights.h5").write_bytes(hdf5(PLACES))
    with pytest.raises(FileFormatError, match=r"got weights alone \(no model_config, and no layer_names"):
        network_from_keras(tmp_path / "w.weights.h5")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (2, 3)}, {"chunks": (2, 3), "compression": "gzip", "shuffle": True, "fletcher32": True}],
    ids=["contiguous", "chunked", "packed"],
)
def test_however_the_values_are_stored(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    matrix = kernel(5, 4).astype(dtype)
    config = sequential(layer("InputLayer", "in", batch_shape=[None, 5]), layer("Dense", "a", use_bias=False))
    path = write_keras(tmp_path / "m.keras", config, {}, weights=hdf5({"layers/dense/vars/0": matrix}, **options))
    weight = network_from_keras(path).operations[0].weights["weight"]
    assert weight.dtype == np.dtype(dtype).newbyteorder("=")
    assert weight.read().dtype == weight.dtype
    np.testing.assert_array_equal(weight.read(), matrix)


def test_bfloat16_as_keras_writes_it(tmp_path: Path) -> None:
    import h5py
    import ml_dtypes

    matrix = kernel(5, 4).astype(ml_dtypes.bfloat16)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=matrix.view("V2")).attrs["dtype"] = "bfloat16"
    config = sequential(layer("InputLayer", "in", batch_shape=[None, 5]), layer("Dense", "a", use_bias=False))
    path = write_keras(tmp_path / "m.keras", config, {}, weights=(tmp_path / "w.h5").read_bytes())
    weight = network_from_keras(path).operations[0].weights["weight"]
    assert weight.dtype == matrix.dtype
    np.testing.assert_array_equal(weight.read(), matrix)


@pytest.mark.requires("data")
def test_network1_classifies_as_its_author_says(data_folder: Path) -> None:
    import h5py

    network = network_from_keras(data_folder / "network1.h5")
    assert [la.size for la in graph_from_keras(data_folder / "network1.h5").layers] == [784, 200, 100, 10]
    with h5py.File(data_folder / "network1.h5") as file:
        config = json.loads(file.attrs["model_config"])
    activations = [part["config"]["activation"] for part in config["config"]["layers"]]
    assert activations == ["relu", "relu", "softmax"]  # the last is monotone: it changes no largest score
    mnist = np.load(data_folder / "mnist10k.npz")
    scores = mnist["x_test"].astype(np.float32) / 255
    for operation, activation in zip(network.operations, activations, strict=True):
        scores = scores @ operation.weights["weight"].read()
        scores = np.maximum(scores, 0) if activation == "relu" else scores
    assert np.mean(scores.argmax(axis=1) == mnist["y_test"]) == pytest.approx(0.7692, abs=1e-9)


def test_a_missing_h5py_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_keras(tmp_path / "m.keras", chain(), PLACES)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'netspectra\[keras\]'"):
        network_from_keras(path)


def test_nothing_heavy_is_imported_before_a_file_is_read() -> None:
    program = "import sys, netspectra.bindings.keras; print(sorted({'h5py', 'keras', 'tensorflow'} & set(sys.modules)))"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_model_in_memory_is_known_by_what_it_can_do() -> None:
    """Whatever has get_config and layers with weights, of any Keras."""

    class Variable(SimpleNamespace):
        def numpy(self) -> np.ndarray:
            return self.held

    def held(name: str, array: np.ndarray) -> Variable:
        return Variable(name=name, held=array, shape=array.shape, dtype=array.dtype)

    layers = [
        SimpleNamespace(name="a", weights=[held("kernel:0", A), held("bias:0", np.zeros(4, "f4"))]),
        SimpleNamespace(name="b", get_weights=lambda: [B]),
    ]
    model = type("Sequential", (), {"layers": layers, "get_config": lambda self: chain()["config"]})()
    network = network_from_keras(model)
    assert_chain(network)
    assert [s.name for s in network.skipped] == ["bias:0"]
    code = type("Own", (), {"layers": [], "get_config": lambda self: {"units": 3}})()
    with pytest.raises(FileFormatError, match="Own: expected a Sequential or Functional model"):
        network_from_keras(code)
