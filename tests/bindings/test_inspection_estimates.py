"""Inspection of what is too large to count, of blocks and of the cost of a test; the JSON that scripts read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from typer.testing import CliRunner

from netspectra.bindings.cli.app import app
from netspectra.bindings.readers import counting, inspect_file, load
from netspectra.bindings.readers.counting import count_weights
from netspectra.bindings.readers.estimate import CPU_DENSE_SIZE, CPU_PRODUCT_BYTES, estimate_test
from netspectra.clustering import Recipe
from netspectra.networks import Network, Operation, Weight, graph_from_network
from netspectra.networks.architecture import save_architecture
from netspectra.networks.build import plan_graph
from netspectra.significance import clusterability_test
from netspectra.significance.planning import replicate_bytes
from netspectra.spectrum.plan import SolverPlan

RNG = np.random.default_rng(6)


def pruned(shape: tuple[int, ...], density: float, dtype: Any = np.float32) -> np.ndarray:
    return (RNG.standard_normal(shape) * (RNG.random(shape) < density)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int8])
def test_weights_are_counted_whatever_their_dtype(dtype: Any) -> None:
    array = np.array([[0.0, -0.0, 1.5], [-2.0, 3.0, 1e-7]]).astype(dtype)
    (count,), sampled = count_weights([Weight.of(array)])
    assert (count.nonzero, count.not_finite, sampled) == (int(np.count_nonzero(array)), 0, False)
    (turned,), _ = count_weights([Weight.of(array.T)])
    assert turned == count
    if np.dtype(dtype).kind != "i":
        bad = np.array([[np.nan, np.inf, 0.0, -np.inf]]).astype(dtype)
        (count,), _ = count_weights([Weight.of(bad)])
        assert (count.nonzero, count.not_finite) == (3, 3)


@pytest.mark.parametrize("density", [0.0, 0.03, 0.5, 1.0])
def test_a_sample_tells_the_density(density: float) -> None:
    arrays = [pruned((900, 2000), density, ml_dtypes.bfloat16), pruned((3, 2), 1.0), pruned((2000, 1700), density)]
    counts, sampled = count_weights([Weight.of(array) for array in arrays], budget=1000)
    assert sampled
    assert counts[1].nonzero == 6
    for array, count in zip(arrays, counts, strict=True):
        assert count.nonzero / array.size == pytest.approx(np.count_nonzero(array) / array.size, abs=0.01)
    assert sum(count.seen for count in counts) < 1.1 * 2**20 < sum(array.size for array in arrays)


def test_a_sampled_inspection_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "net.npz", a=pruned((700, 1000), 0.1), b=pruned((1000, 400), 0.1))
    exact = inspect_file(tmp_path / "net.npz")
    monkeypatch.setattr(counting, "COUNT_EXACTLY", 1000)
    monkeypatch.setattr(count_weights, "__defaults__", (1000,))
    found = inspect_file(tmp_path / "net.npz")
    assert (exact.sampled, found.sampled) == (False, True)
    assert found.density == pytest.approx(exact.density, rel=0.1)
    assert "about 1" in found.verdict
    assert "from a sample" in found.verdict
    assert found.to_dict()["sampled"] is True
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "net.npz")]).stdout
    assert "about non-zero" in shown
    assert "about edges" in shown


def gigabytes(path: Path, n_layers: int, width: int) -> Path:
    """Write a sparse file of bfloat16 matrices: all zeros, and nothing on the disk."""
    header, offset = {}, 0
    for i in range(n_layers):
        n_bytes = 2 * width * (width + 8 * (i % 2))
        shape = [width, width + 8] if i % 2 else [width, width]
        header[f"layers.{i}.weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + n_bytes]}
        offset += n_bytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as the official writer aligns it
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + offset)
    return path


def test_a_file_of_two_gigabytes_is_inspected_at_once(tmp_path: Path) -> None:
    """A sample of its pages is touched; the second is one of this process, for other work shares the machine."""
    path = gigabytes(tmp_path / "large.safetensors", 2, 22_000)
    assert path.stat().st_size > 1.9e9
    start = time.process_time()
    found = inspect_file(path, orientation="out-in", order=["layers.0.weight"])
    assert time.process_time() - start < 1
    assert found.sampled
    assert found.n_weights == 22_000**2
    assert found.estimate is not None
    assert found.estimate.bytes_per_null > 2 * found.n_weights


def test_blocks_add_up_to_the_graph(tmp_path: Path) -> None:
    arrays = {
        "0.weight": pruned((4, 3, 3, 3), 0.1),
        "1.weight": pruned((5, 4, 3, 3), 0.05),
        "2.weight": pruned((2, 20), 0.3),
    }
    np.savez(tmp_path / "net.npz", **arrays)
    found, graph = inspect_file(tmp_path / "net.npz", norm="l2"), load(tmp_path / "net.npz", norm="l2")
    assert [(b.source, b.target, b.n_stored) for b in found.blocks] == [
        ("input", "0", 12),
        ("0", "1", 20),
        ("1", "2", 10),
    ]
    assert [block.n_edges for block in found.blocks] == [block.count_nonzero() for block in graph.blocks]
    assert found.density == graph.n_edges / graph.n_stored
    assert (found.n_stored, found.n_weights) == (42, sum(array.size for array in arrays.values()))


def test_the_estimate_is_that_of_the_planner(tmp_path: Path) -> None:
    """Bytes told before anything is read are those that a test reckons with."""
    from netspectra.kernels.cpu.backend import CpuBackend

    assert (CpuBackend.dense_size, CpuBackend.product_bytes) == (CPU_DENSE_SIZE, CPU_PRODUCT_BYTES)
    weight = Weight.of(pruned((50, 40), 0.9), "w")
    network = Network(
        (Operation("dense", "w", ("input",), ("out",), {"weight": weight}, {"orientation": "in-out"}),),
        {"input": (1, 50)},
    )
    estimate = estimate_test(plan_graph(network), n_clusters=3)
    graph = graph_from_network(network)
    recipe = Recipe(3, 25, "inertia", SolverPlan(estimate.solver, "float32", 1e-5, 500, 0))  # type: ignore[arg-type]
    assert estimate.bytes_per_null == replicate_bytes(graph, recipe, "shuffle", CPU_PRODUCT_BYTES)
    result = clusterability_test(graph, 3, n_nulls=1, backend="cpu")
    assert (result.solver, result.plan.bytes_per_replicate) == (estimate.solver, estimate.bytes_per_null)
    assert "one null network (null='shuffle', n_clusters=3) on the CPU" in estimate.sentence


def test_a_network_that_does_not_fit_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", a=np.ones((30, 20)), b=np.ones((20, 10)))
    monkeypatch.setattr("netspectra.bindings.readers.estimate.available_bytes", lambda: 10_000)
    found = inspect_file(tmp_path / "net.npz")
    assert found.estimate is not None
    assert not found.estimate.fits
    assert "does NOT fit in half of the 10 kB" in found.summary()


SCHEMA = {
    "schema_version", "path", "tensors", "skipped", "format", "n_bytes", "dtype", "orientation", "layers", "problem",
    "metadata", "blocks", "sampled", "estimate", "n_nodes", "n_edges", "n_weights", "n_stored", "density",
}  # fmt: skip
BLOCK = {"name", "source", "target", "n_stored", "n_edges", "dtype", "learned", "in_place"}
ESTIMATE = {
    "of", "solver", "dtype", "bytes_per_null", "bytes_of_graph", "available_bytes", "fits", "flops_per_null"
}  # fmt: skip


def test_the_json_schema_is_frozen(tmp_path: Path) -> None:
    """A key that changes its meaning or goes raises the version; one that is added stands here too."""
    np.savez(tmp_path / "net.npz", a=np.ones((3, 2)), b=np.ones((2, 4)), bias=np.ones(2))
    told = json.loads(CliRunner().invoke(app, ["inspect", str(tmp_path / "net.npz"), "--json"]).stdout)
    assert told["schema_version"] == 1
    assert told.keys() == SCHEMA
    assert told["blocks"][0].keys() == BLOCK
    assert told["estimate"].keys() == ESTIMATE
    assert told["skipped"][0].keys() == {"name", "shape", "dtype", "reason", "is_suspect"}


@pytest.fixture
def convolutional(tmp_path: Path) -> Path:
    arrays = {
        "0.weight": pruned((4, 3, 3, 3), 0.9),
        "1.weight": pruned((5, 4, 3, 3), 0.9),
        "2.weight": pruned((2, 20), 0.9),
    }
    np.savez(tmp_path / "net.npz", **arrays)
    return tmp_path / "net.npz"


def sizes(*arguments: str) -> list[int]:
    done = CliRunner().invoke(app, ["inspect", "--json", *arguments])
    assert done.exit_code == 0, done.stderr
    return [layer["size"] for layer in json.loads(done.stdout)["layers"]]


def test_options_of_the_graph_reach_it(convolutional: Path) -> None:
    path = str(convolutional)
    assert sizes(path) == [3, 4, 5, 2]
    assert sizes(path, "--no-input-layer") == [4, 5, 2]
    assert sizes(path, "--no-dense-head", "--no-input-layer", "--norm", "operator-1") == [4, 5]
    assert sizes(path, "--residual", "per-layer", "--attention", "heads", "--n-heads", "2") == [3, 4, 5, 2]
    from netspectra.bindings.readers import network_from_tensors

    topology = convolutional.parent / "net.json"
    with np.load(convolutional) as arrays:
        save_architecture(network_from_tensors(dict(arrays)), topology)
    assert sizes(path, "--architecture", str(topology)) == [3, 4, 5, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--norm", "l7"),
        ("--residual", "none"),
        ("--attention", "all"),
        ("--architecture", "nowhere.json"),
        ("--n-heads", "0"),
    ],
)
def test_wrong_words_are_one_line(convolutional: Path, arguments: tuple[str, str]) -> None:
    for command in ("inspect", "test"):
        done = CliRunner().invoke(app, [command, str(convolutional), *arguments])
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("netspectra: error: ")
        assert done.stderr.count("\n") == 1


def test_a_test_takes_the_same_options(convolutional: Path) -> None:
    arguments = ["test", str(convolutional), "--no-input-layer", "--no-dense-head", "-k", "2", "-n", "2", "--json", "-"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    assert len(json.loads(done.stdout)["partition"]["labels"]) == 9


def test_formats_with_a_topology_are_left_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netspectra.bindings.readers import formats
    from netspectra.errors import GraphError

    weight = Weight.of(pruned((5, 4), 0.9), "w")
    operation = Operation("dense", "w", ("x",), ("y",), {"weight": weight}, {"orientation": "in-out"})
    made: Callable[..., Network] = lambda path, limits: Network((operation,), {"x": (1, 5)}, format="onnx")  # noqa: E731
    monkeypatch.setitem(formats.NETWORK_READERS, ".onnx", made)
    (tmp_path / "net.onnx").write_bytes(b"x")
    assert [layer.size for layer in load(tmp_path / "net.onnx").layers] == [5, 4]
    found = inspect_file(tmp_path / "net.onnx")
    assert (found.format, found.orientation, found.n_edges) == ("onnx", "in-out", int(np.count_nonzero(weight.read())))
    for said in ({"order": ["w"]}, {"orientation": "out-in"}, {"architecture": "a.json"}, {"n_heads": 2}):
        with pytest.raises(GraphError, match=rf"{next(iter(said))}: a \.onnx file holds its topology itself"):
            load(tmp_path / "net.onnx", **said)
