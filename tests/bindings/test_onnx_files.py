"""ONNX files: weights stay where they lie; what is damaged, hostile or too large is refused before it costs much."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import find, model, node, normal

from netspectra.bindings.readers import LoadLimits
from netspectra.errors import BackendUnavailableError, FileFormatError, LimitError

pytestmark = pytest.mark.requires("onnx")

PLACES: list[bool] = []
W, V = normal(64, 48), normal(48, 3)


def read(path: Any, **more: Any) -> Any:
    from netspectra.bindings.onnx import network_from_onnx

    return network_from_onnx(path, **more)


def dense_model() -> Any:
    nodes = [node("MatMul", "x w", "h"), node("MatMul", "h v", "y")]
    return model(nodes, {"x": [1, 64]}, {"w": W, "v": V}, "y")


def saved(folder: Path, proto: Any = None) -> Path:
    path = folder / "model.onnx"
    path.write_bytes((proto or dense_model()).SerializeToString())
    return path


def external(folder: Path, **entries: str) -> Path:
    """A model whose first parameter lies in a file of its own."""
    proto = dense_model()
    tensor = proto.graph.initializer[0]
    given = {"location": "w.bin", "offset": "8", "length": str(W.nbytes), **entries}
    (folder / "w.bin").write_bytes(b"8 bytes." + W.tobytes())
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in given.items():
        if value:
            tensor.external_data.add(key=key, value=value)
    return saved(folder, proto)


@pytest.mark.parametrize("padding", range(4))
def test_weights_are_views_of_the_file(tmp_path: Path, padding: int) -> None:
    """Where they lie at a multiple of their size, that is: a copy of one weight is what alignment costs elsewhere."""
    proto = dense_model()
    proto.producer_name = "p" * padding
    network = read(saved(tmp_path, proto))
    weights = [operation.weights["weight"] for operation in network.operations]
    for weight, array in zip(weights, (W, V), strict=True):
        np.testing.assert_array_equal(weight.read(), array)
        assert weight.read().flags.aligned
    PLACES.append(not weights[0].read().flags.writeable)
    assert padding < 3 or sum(PLACES) == 1  # of four places in a row one is a multiple of four


def test_float_lists_are_read_in_place_too(tmp_path: Path, require: Any) -> None:
    helper = require("onnx").helper
    proto = dense_model()
    del proto.graph.initializer[0]
    proto.graph.initializer.append(helper.make_tensor("w", 1, W.shape, W.reshape(-1)))
    assert proto.graph.initializer[1].float_data
    network = read(saved(tmp_path, proto))
    np.testing.assert_array_equal(network.operations[0].weights["weight"].read(), W)


def test_the_same_network_from_a_file_and_from_memory(tmp_path: Path) -> None:
    proto = dense_model()
    from_file, from_memory = read(saved(tmp_path, proto)), read(proto)
    assert [o.options for o in from_file.operations] == [o.options for o in from_memory.operations]
    assert [o.outputs for o in from_file.operations] == [o.outputs for o in from_memory.operations]


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    network = read(external(tmp_path))
    np.testing.assert_array_equal(network.operations[0].weights["weight"].read(), W)
    without_length = read(external(tmp_path, length=""))
    np.testing.assert_array_equal(without_length.operations[0].weights["weight"].read(), W)


def test_external_data_in_a_folder_beside_the_model(tmp_path: Path, require: Any) -> None:
    onnx = require("onnx")
    onnx.save(dense_model(), tmp_path / "model.onnx", save_as_external_data=True, location="data.bin", size_threshold=0)
    network = read(tmp_path / "model.onnx")
    np.testing.assert_array_equal(network.operations[1].weights["weight"].read(), V)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "../w.bin"}, "inside the model's folder"),
        ({"location": "/etc/passwd"}, "inside the model's folder"),
        ({"location": "a/../../w.bin"}, "inside the model's folder"),
        ({"location": "C:\\w.bin"}, "inside the model's folder"),
        ({"location": "w.bin\0"}, "inside the model's folder"),
        ({"location": ""}, "inside the model's folder"),
        ({"location": "none.bin"}, "beside the model"),
        ({"location": "linked.bin"}, "no links"),
        ({"location": "linked/w.bin"}, "no links"),
        ({"location": "folder"}, "regular file"),
        ({"location": "pipe"}, "regular file"),
        ({"offset": "9"}, "inside 'w.bin'"),
        ({"offset": "-8"}, "a number as offset"),
        ({"offset": "1" * 30}, "a number as offset"),
        ({"offset": "0x8"}, "a number as offset"),
        ({"length": "4"}, "12,288 bytes"),
        ({"length": "99999999999"}, "12,288 bytes"),
    ],
)
def test_external_data_elsewhere_is_refused(tmp_path: Path, entries: dict[str, str], words: str) -> None:
    folder = tmp_path / "model"
    (folder / "folder").mkdir(parents=True)
    for place in (tmp_path, folder / "folder"):
        (place / "w.bin").write_bytes(b"8 bytes." + W.tobytes())
    (folder / "linked.bin").symlink_to(tmp_path / "w.bin")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    with pytest.raises(FileFormatError, match=words):
        read(external(folder, **entries))


def test_external_data_of_a_model_in_memory_needs_its_path(tmp_path: Path, require: Any) -> None:
    proto = require("onnx").load(external(tmp_path), load_external_data=False)
    with pytest.raises(FileFormatError, match="pass the path"):
        read(proto)


def test_external_data_that_changes_is_noticed(tmp_path: Path) -> None:
    weight = read(external(tmp_path)).operations[0].weights["weight"]
    (tmp_path / "w.bin").write_bytes(b"short")
    with pytest.raises(FileFormatError, match="changed while"):
        weight.read()
    (tmp_path / "w.bin").unlink()
    with pytest.raises(FileFormatError, match="cannot be read any more"):
        weight.read()


@pytest.mark.parametrize("dims", [[1 << 40, 1 << 40], [1 << 62], [64, 49], [-1, 48], [0, 48], [1] * 30])
def test_shapes_that_their_payload_denies(tmp_path: Path, dims: list[int]) -> None:
    for proto in (dense_model(), dense_model()):
        del proto.graph.initializer[0].dims[:]
        proto.graph.initializer[0].dims.extend(dims)
        began = time.perf_counter()
        with pytest.raises((FileFormatError, LimitError)):
            read(saved(tmp_path, proto))
        with pytest.raises((FileFormatError, LimitError)):
            read(proto)
        assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (LoadLimits(max_bytes=10_000), "max_bytes"),
        (LoadLimits(max_tensors=1), "max_tensors"),
        (LoadLimits(max_dimensions=1), "max_dimensions"),
    ],
)
def test_limits_are_kept(tmp_path: Path, limits: LoadLimits, words: str) -> None:
    for given in (saved(tmp_path), dense_model()):
        with pytest.raises(LimitError, match=words):
            read(given, limits=limits)


def test_a_long_skeleton_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    proto = dense_model()
    proto.doc_string = "a" * 5_000
    with pytest.raises(FileFormatError, match="more than 4,000 bytes beside its weights"):
        read(saved(tmp_path, proto), limits=LoadLimits(max_header_bytes=4_000))
    assert read(saved(tmp_path), limits=LoadLimits(max_header_bytes=4_000)).operations


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"PK\x03\x04" * 9, b"\x80\x04\x95", b"\x3a\xff\xff\xff\xff\x0f", b"[]"]
)
def test_files_that_are_no_models(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"model\.onnx: expected an ONNX model"):
        read(path)


def test_every_truncation_is_refused_or_read(tmp_path: Path) -> None:
    whole, path = saved(tmp_path).read_bytes(), tmp_path / "cut.onnx"
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            read(path)


@pytest.mark.parametrize("given", ["missing.onnx", ".", 3, None, b"bytes"])
def test_what_is_no_file_at_all(given: Any) -> None:
    with pytest.raises(FileFormatError, match=r"expected|cannot be read"):
        read(given)


def test_a_parameter_twice_is_refused() -> None:
    proto = dense_model()
    proto.graph.initializer[1].name = "w"
    with pytest.raises(FileFormatError, match="'w' twice"):
        read(proto)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from netspectra.bindings.onnx import library

    monkeypatch.setattr(library, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r'pip install "netspectra\[onnx\]"'):
        read("model.onnx")


def test_two_thousand_million_bytes_are_not_read(tmp_path: Path) -> None:
    """A file of 2e9 bytes, a hole on the disk: only its skeleton is looked at."""
    from netspectra.bindings.onnx.wire import _varint

    n_bytes = 2_000_000_000
    proto = model([node("MatMul", "x w", "y")], {"x": [1, 20_000]}, {}, "y")
    tensor = b"\x08" + _varint(20_000) + b"\x08" + _varint(25_000) + b"\x10\x01" + b"\x42\x01w"
    parameter = tensor + b"\x4a" + _varint(n_bytes)
    graph = proto.graph.SerializeToString() + b"\x2a" + _varint(len(parameter) + n_bytes) + parameter
    proto.ClearField("graph")
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(proto.SerializeToString() + b"\x3a" + _varint(len(graph) + n_bytes) + graph)
        file.truncate(file.tell() + n_bytes)
    began = time.perf_counter()
    weight = find(read(path), "dense").weights["weight"]
    assert weight.shape == (20_000, 25_000)
    assert time.perf_counter() - began < 1
