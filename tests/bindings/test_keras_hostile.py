"""Keras files that lie: a clear error, nothing run, nothing allocated on the word of a header."""

from __future__ import annotations

import io
import json
import re
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_files import called, functional, hdf5, kernel, layer, sequential, source, tensor, write_h5, write_keras

from netspectra.bindings.keras import network_from_keras
from netspectra.bindings.readers import LoadLimits
from netspectra.errors import FileFormatError, LimitError, NetspectraError

pytestmark = pytest.mark.requires("h5py")

CONFIG = sequential(layer("InputLayer", "in", batch_shape=[None, 5]), layer("Dense", "a", use_bias=False))


def written(path: Path, fill: Callable[[Any], None]) -> Path:
    """Write an archive whose HDF5 file `fill` makes."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return write_keras(path, CONFIG, {}, weights=stream.getvalue())


def refused(path: Path, message: str | None, kind: type[NetspectraError] = FileFormatError, **limits: int) -> None:
    start = time.perf_counter()
    with pytest.raises(kind, match=message) as caught:
        network_from_keras(path, LoadLimits(**limits))
    assert time.perf_counter() - start < 1
    assert str(path) in str(caught.value)


def test_links_are_refused(tmp_path: Path) -> None:
    import h5py

    hdf5_file = tmp_path / "other.h5"
    hdf5_file.write_bytes(hdf5({"w": kernel(5, 4)}))

    def external(file: Any) -> None:
        file["layers/dense/vars/0"] = h5py.ExternalLink(str(hdf5_file), "/w")

    def soft(file: Any) -> None:
        file["w"] = kernel(5, 4)
        file["layers/dense/vars/0"] = h5py.SoftLink("/w")

    def twice(file: Any) -> None:
        file["w"] = kernel(5, 4)
        file["layers/dense/vars/0"] = file["w"]

    def circle(file: Any) -> None:
        file["layers/dense/vars/0"] = kernel(5, 4)
        file["layers/dense/again"] = file["layers"]

    for fill, message in (
        (external, "an external link at 'layers/dense/vars/0'"),
        (soft, "a soft link at 'layers/dense/vars/0'"),
        (twice, "which has another name too"),
        (circle, "which has another name too"),
    ):
        refused(written(tmp_path / "m.keras", fill), message)


def test_data_in_other_files_is_refused(tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret"
    secret.write_bytes(bytes(80))

    def external(file: Any) -> None:
        file.create_dataset("layers/dense/vars/0", (5, 4), "f4", external=[(str(secret), 0, 80)])

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((5, 4), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "w", (5, 4))
        file.create_virtual_dataset("layers/dense/vars/0", layout)

    refused(written(tmp_path / "m.keras", external), "keeps its bytes in another file")
    refused(written(tmp_path / "m.keras", virtual), "is virtual")


def test_sizes_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """A dataset of terabytes that was never written takes no room in its file, and would read as zeros."""

    def huge(file: Any) -> None:
        file.create_dataset("layers/dense/vars/0", (1 << 20, 1 << 20), "f4")

    def sparse(file: Any) -> None:
        file.create_dataset("layers/dense/vars/0", (1 << 20, 1 << 20), "f4", chunks=(1 << 12, 1 << 12))

    def one_chunk(file: Any) -> None:
        file.create_dataset("layers/dense/vars/0", (1 << 10, 1 << 10), "f4", chunks=(16, 16))[:16, :16] = 1

    refused(written(tmp_path / "m.keras", huge), "claims 4,398,046,511,104 bytes and stores none")
    refused(written(tmp_path / "m.keras", sparse), "has 0 chunks where 65,536 belong")
    refused(written(tmp_path / "m.keras", one_chunk), "has 1 chunks where 4,096 belong")


def test_bombs_are_refused(tmp_path: Path) -> None:
    zeros = np.zeros((1 << 12, 1 << 13), np.float32)
    packed = hdf5({"layers/dense/vars/0": zeros}, compression="gzip", chunks=(1 << 10, 1 << 11))
    refused(write_keras(tmp_path / "m.keras", CONFIG, {}, weights=packed), "by which it unpacks", LimitError)
    refused(write_keras(tmp_path / "m.keras", CONFIG, {"w": zeros}, packed=True), "by which it unpacks", LimitError)


def test_a_chunk_never_unpacks_to_more_than_it_should(tmp_path: Path) -> None:
    """libhdf5 would unpack all of it first."""
    import zlib

    def fill(file: Any) -> None:
        made = file.create_dataset("layers/dense/vars/0", (5, 4), "f4", chunks=(5, 4), compression="gzip")
        made.id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 24)))

    network = network_from_keras(written(tmp_path / "m.keras", fill))
    with pytest.raises(FileFormatError, match="has a chunk of 84 bytes, not 80"):
        network.operations[0].weights["weight"].read()


def test_other_filters_are_not_run(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "m.keras", CONFIG, {}, weights=hdf5({"w": kernel(5, 4)}, compression="lzf"))
    refused(path, "is packed by HDF5 filter 32000; save the model again unpacked")


def test_limits_are_kept(tmp_path: Path) -> None:
    arrays = {"layers/dense/vars/0": kernel(5, 4)}
    path = write_keras(tmp_path / "m.keras", CONFIG, arrays)
    n_bytes = (tmp_path / "m.keras").stat().st_size
    refused(path, "more than the limit max_bytes=79", LimitError, max_bytes=79)
    refused(path, "the limit max_tensors=3", LimitError, max_tensors=3)
    refused(path, "has 2 dimensions", FileFormatError, max_dimensions=1)
    refused(path, "the limit max_header_bytes=100", LimitError, max_header_bytes=100)
    network_from_keras(path, LoadLimits(max_bytes=n_bytes, max_tensors=5, max_dimensions=2, max_header_bytes=1000))


def test_deep_files_are_refused(tmp_path: Path) -> None:
    refused(written(tmp_path / "m.keras", lambda file: file.create_group("/".join("g" * 100))), "which lies deeper")
    deep = '{"class_name": "Sequential", "config": ' + "[" * 100_000 + "]" * 100_000 + "}"
    refused(write_keras(tmp_path / "m.keras", deep, {}), "expected the model's configuration as JSON")
    model = CONFIG
    for i in range(40):
        model = sequential(layer("InputLayer", "in", batch_shape=[None, 5]), model, name=f"m{i}")
    refused(write_keras(tmp_path / "m.keras", model, {}), "at most 30 models inside each other")


def test_a_model_that_calls_models_again_and_again_ends(tmp_path: Path) -> None:
    """Twenty lines that stand for 2^20 layers."""
    model = functional(["x", 0, 0], ["a", 0, 0], source("x", 5), called(layer("ReLU", "a"), [tensor("x")]))
    for i in range(20):
        inner = {**model, "config": {**model["config"], "name": "m"}}
        twice = called(inner, [tensor("x")], [tensor("m", 0)])
        model = functional(["x", 0, 0], [["m", 2, 0]], source("x", 5), twice, name=f"m{i}")
    refused(
        write_keras(tmp_path / "m.keras", model, {}),
        "at most max_tensors=1,000 operations",
        LimitError,
        max_tensors=1000,
    )


def test_strings_that_are_claimed_many_times_are_counted_before_they_are_made(tmp_path: Path) -> None:
    """References to one long string: 16 bytes each in the file, a megabyte each in memory."""
    named = {f"d{i:03}": {"k": kernel(2, 2)} for i in range(99)}
    path = write_h5(tmp_path / "m.h5", None, {**named, "x" * 60_000: {"k": kernel(2, 2)}}, root="")
    content = path.read_bytes()

    def references(length: int) -> list[bytes]:
        found = re.findall(struct.pack("<L", length) + rb".{12}", content, re.DOTALL)
        return [r for r in found if content[int.from_bytes(r[4:12], "little") :].startswith(b"GCOL")]

    (long,), shorter = references(60_000), references(4)
    assert len(shorter) > 90
    for reference in shorter:
        content = content.replace(reference, long)
    path.write_bytes(content)
    refused(path, "the length of its attribute b'layer_names' in bytes", LimitError, max_header_bytes=100_000)


CALLS = [
    (
        functional(["in", 0, 0], ["a", 0, 0], source("in", 4), called(layer("ReLU", "a"), [tensor("a")])),
        "its own output",
    ),
    (functional(["in", 0, 0], ["a", 0, 0], source("in", 4)), "the model's output|does not exist"),
    (functional(["in", 0, 0], ["in", 0, 0], called(layer("ReLU", "a"), [tensor("b")])), "is none of its layers"),
    (functional(["in", 0, 0], ["in", 0, 0], source("in", 4), source("in", 4)), "got 'in' twice"),
    (functional(["in", 0, 0], ["in", 0, 0], source("in", "x")), "expected a shape"),
    (functional(["in", 0, 0], ["in", 0, 0], source("in", 1 << 40)), "at most 4,294,967,296 elements"),
    (functional(["in", 0, 0], ["in", 0, 0], {**source("in", 4), "inbound_nodes": 3}), "a list of a layer's calls"),
    (functional(["in", 0, 0], ["in", 0, 0], {**source("in", 4), "inbound_nodes": [[["x"]]]}), "a call on"),
    (sequential(), "at least one layer"),
    (sequential(3), "makes no sense"),
    ({"class_name": "Sequential", "config": {"layers": [{}]}}, "makes no sense"),
    ({"class_name": "Their>Model", "config": {"units": 3}}, "whose code is not in the file"),
    ({"class_name": 3}, "names the model's class"),
    ([1], "names the model's class"),
    ("{", "configuration as JSON"),
    ("", "configuration as JSON"),
    ('{"class_name": "Sequential", "config": {"layers": [' + "9" * 5000 + "]}}", "configuration as JSON"),
]


@pytest.mark.parametrize(("config", "message"), CALLS)
def test_configurations_that_make_no_sense(tmp_path: Path, config: Any, message: str) -> None:
    with pytest.raises(NetspectraError, match=message) as caught:
        network_from_keras(write_keras(tmp_path / "m.keras", config, {}))
    assert str(tmp_path / "m.keras") in str(caught.value)


def test_a_long_model_listed_backwards_is_quick(tmp_path: Path) -> None:
    calls = [called(layer("ReLU", f"r{i}"), [tensor(f"r{i - 1}" if i else "in")]) for i in range(5000)]
    config = functional(["in", 0, 0], ["r4999", 0, 0], *calls[::-1], source("in", 4))
    path = write_keras(tmp_path / "m.keras", config, {})
    start = time.perf_counter()
    assert len(network_from_keras(path).operations) == 5000
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with b''"),
        (b"not a model", "begins with b'not a mo'"),
        (b"PK\x03\x04", "directory"),
        (b"\x89HDF\r\n\x1a\n", "cannot be read"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, message: str) -> None:
    for name in ("m.keras", "m.h5"):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, message)


def test_files_that_are_cut_off(tmp_path: Path) -> None:
    for path in (
        write_keras(tmp_path / "m.keras", CONFIG, {"layers/dense/vars/0": kernel(5, 4)}),
        write_h5(tmp_path / "m.h5", CONFIG, {"a": {"k:0": kernel(5, 4)}}),
    ):
        content = path.read_bytes()
        for size in range(1, len(content), 97):
            path.write_bytes(content[:size])
            refused(path, None)


def test_archives_without_the_parts(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(CONFIG))
    refused(path, "model.weights.h5 is not there")
    with pytest.raises(FileFormatError, match="there is none"):
        network_from_keras(tmp_path / "none.keras")
    with pytest.raises(FileFormatError, match=r"a path or a Keras model .*got int"):
        network_from_keras(3)
