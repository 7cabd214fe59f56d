"""From tensors to a network: which, in which order, which way round; and files that are not what they should be."""

from __future__ import annotations

import logging
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netspectra.bindings.readers import LoadLimits, load
from netspectra.bindings.readers.selection import layer_names, natural_key
from netspectra.errors import AmbiguousOrientationError, FileFormatError, GraphError


def saved(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def chain(*sizes: int) -> list[np.ndarray]:
    """Matrices (n_in, n_out), each filled with its own number."""
    return [np.full(shape, i + 1, np.float32) for i, shape in enumerate(pairwise(sizes))]


def test_keys_are_read_in_natural_order(tmp_path: Path) -> None:
    matrices = chain(*range(3, 16))
    arrays = {f"layers.{i}.weight": w for i, w in enumerate(matrices)}
    graph = load(saved(tmp_path / "deep.npz", **dict(sorted(arrays.items()))))
    assert [layer.size for layer in graph.layers] == list(range(3, 16))
    assert [layer.name for layer in graph.layers][-3:] == ["layers.9", "layers.10", "layers.11"]


def test_natural_order_compares_numbers_of_any_length() -> None:
    names = ["b", "a10", "a9", "a", "a09", "9", "a1x2", "a1x10", "a" + "7" * 5000, "a²"]
    assert sorted(names, key=natural_key) == ["9", "a", "a1x2", "a1x10", "a09", "a9", "a10", names[8], "a²", "b"]


def test_layers_are_named_after_the_tensors_that_make_them() -> None:
    assert layer_names(["fc.weight", "dense/kernel:0", "w"]) == ["input", "fc", "dense", "w"]
    assert layer_names(["a.weight", "a.kernel"]) == ["input", "a.weight", "a.kernel"]
    assert layer_names(["input.weight", "output.weight"]) == ["input_", "input", "output"]


@pytest.mark.parametrize("stored", ["in-out", "out-in"])
def test_orientation_is_found_from_the_shapes_that_chain(tmp_path: Path, stored: str) -> None:
    arrays = {f"w{i}": w if stored == "in-out" else w.T for i, w in enumerate(chain(5, 4, 4, 3))}
    path = saved(tmp_path / "net.npz", **arrays)
    for orientation in ("auto", stored):
        graph = load(path, orientation=orientation)  # type: ignore[arg-type]
        assert [layer.size for layer in graph.layers] == [5, 4, 4, 3]
    flipped = "out-in" if stored == "in-out" else "in-out"
    with pytest.raises(GraphError, match=f"but they do as orientation='{stored}'"):
        load(path, orientation=flipped)  # type: ignore[arg-type]


@pytest.mark.parametrize("sizes", [(4, 4, 4), (5, 3), (7, 3, 7)], ids=["square", "single", "palindrome"])
def test_an_orientation_that_cannot_be_known_is_asked_for(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    arrays = {f"w{i}": w for i, w in enumerate(chain(*sizes))}
    save_file(arrays, tmp_path / "net.safetensors", metadata={"format": "pt"})  # says its origin, proves nothing
    with pytest.raises(AmbiguousOrientationError, match="pass orientation='out-in'"):
        load(tmp_path / "net.safetensors")
    graph = load(tmp_path / "net.safetensors", orientation="in-out")
    assert tuple(layer.size for layer in graph.layers) == sizes


def test_matrices_that_do_not_chain_are_named(tmp_path: Path) -> None:
    a, b, c = chain(6, 5, 4, 3)
    path = saved(tmp_path / "net.npz", hidden=b, input=a, output=c)
    with pytest.raises(GraphError, match=r"'hidden' \(5, 4\); 'input' \(6, 5\); 'output' \(4, 3\); name .* order="):
        load(path)
    with pytest.raises(GraphError, match="input side first, but they do not as 'in-out'"):
        load(path, orientation="in-out")
    graph = load(path, order=["input", "hidden", "output"])
    assert [layer.name for layer in graph.layers] == ["input_", "input", "hidden", "output"]
    assert [float(block.weights[0, 0]) for block in graph.blocks] == [1, 2, 3]


def test_order_reads_exactly_what_it_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(tmp_path / "net.npz", embedding=np.ones((9, 9)), a=np.ones((3, 2)), b=np.ones((2, 4)), bias=np.ones(2))
    with pytest.raises(GraphError, match="do not in either orientation"):
        load(path)
    with caplog.at_level(logging.INFO, "netspectra"):
        assert len(load(path, order=["a", "b"]).blocks) == 2
    assert "skipped 'embedding' (9, 9) (not named in order=)" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["a", "c"], "order names 'c', which is not in the file; its matrices are: 'a'; 'b'"),
        (
            ["a", "bias"],
            r"names 'bias', expected a tensor of real numbers with 2 to 5 dimensions, got float64 of shape \(2,\)",
        ),
        (["a", "a"], "got 'a' twice"),
        ("ab", "a non-empty list of tensor names, got 'ab'"),
        ([], "a non-empty list"),
        ([1], "a non-empty list"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(tmp_path: Path, order: list[str], message: str) -> None:
    path = saved(tmp_path / "net.npz", a=np.ones((3, 2)), b=np.ones((2, 4)), bias=np.ones(2))
    with pytest.raises(GraphError, match=message):
        load(path, order=order)


def test_skipped_tensors_are_logged_and_suspects_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arrays = {"fc.weight": np.ones((3, 2)), "fc.bias": np.ones(2), "step": np.array(7), "conv": np.ones((2,) * 6)}
    path = saved(tmp_path / "net.npz", **arrays, index=np.ones((3, 3), int), none=np.ones((0, 3)))
    with caplog.at_level(logging.INFO, "netspectra"):
        load(path, orientation="in-out")
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len(told) == 5
    assert any("'fc.bias' (2,) (1-D: a bias" in line for line in told)
    assert any("'step' () (a scalar)" in line for line in told)
    assert any("'none' (0, 3) (empty)" in line for line in told)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert "skipped 2 tensor(s) that may be weights" in warning
    assert "'conv' (2, 2, 2, 2, 2, 2): 6-D" in warning
    assert "'index' (3, 3): int64" in warning


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_name_the_tensor(tmp_path: Path, bad: float) -> None:
    a, b = chain(4, 3, 2)
    b[1, 1] = bad
    with pytest.raises(GraphError, match=r"net\.npz: w1: weights must be finite"):
        load(saved(tmp_path / "net.npz", w0=a, w1=b))


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileFormatError, match=r"^nowhere\.npz: expected a file, but there is none \(looked in "):
        load("nowhere.npz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "model.pb",
            b"PK",
            r"\.npz, \.safetensors, \.pt, \.pth, \.bin, \.onnx, \.keras, \.h5 and \.hdf5, got the suffix '\.pb'; save",
        ),
        ("model", b"", r"got the suffix '\(none\)'"),
        ("model.npz", b"", "expected a zip archive made by numpy.savez, got an empty file"),
        ("model.npz", b"\x93NUMPY\x01\x00", "a single NumPy array"),
        ("model.npz", b"\x80\x04pickle", "a Python pickle"),
        ("model.npz", bytes(8) + b"{}", "what looks like a safetensors file"),
        ("model.npz", b"PK\x03\x04 and no more", "expected the directory at its end"),
        ("model.npz", b"PK\x05\x06" + bytes(18), "the file is empty"),
        ("model.safetensors", b"PK\x03\x04" + bytes(30), "got a zip archive"),
        ("model.safetensors", b"\x89HDF\r\n\x1a\n" + bytes(30), "an HDF5 file"),
        ("model.safetensors", b"hello world", "a file that begins with b'hello wo'"),
        ("MODEL.NPZ", b"hello", "expected a zip archive"),
    ],
)
def test_a_file_that_is_not_what_its_suffix_says(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(FileFormatError, match="got a folder"):
        load(tmp_path / "folder.npz")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.npz")
        with pytest.raises(FileFormatError, match="not a regular file"):
            load(tmp_path / "pipe.npz")
    with pytest.raises(FileFormatError):
        load("with\0nul.npz")
    with pytest.raises(FileFormatError, match="a path-like object, got int"):
        load(3)  # type: ignore[arg-type]


def test_wrong_words_and_limits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="orientation must be 'auto'"):
        load(tmp_path / "nowhere.npz", orientation="sideways")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="limits must be a LoadLimits"):
        load(tmp_path / "nowhere.npz", limits=5)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"LoadLimits\.max_bytes must be a positive integer, got -1"):
        LoadLimits(max_bytes=-1)


def test_a_file_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"got none \('bias' \(3,\): 1-D"):
        load(saved(tmp_path / "net.npz", bias=np.ones(3)))
