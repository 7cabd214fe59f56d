"""What a file holds, told without computing anything from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from netspectra.bindings.examples import EXAMPLES, example_graph, example_path
from netspectra.bindings.readers import inspect_file, load
from netspectra.errors import FileFormatError, GraphError


def test_an_inspection_agrees_with_the_graph(tmp_path: Path, weights: list[np.ndarray]) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, **{f"w{i}": w for i, w in enumerate(weights)}, bias=np.ones(3))
    found, graph = inspect_file(path), load(path)
    assert found.layers == graph.layers
    assert (found.n_nodes, found.n_edges) == (graph.n_nodes, graph.n_edges)
    assert found.n_weights == graph.n_stored
    assert found.density == graph.n_edges / graph.n_stored
    assert found.dtype == graph.dtype.name
    assert found.n_bytes == 4 * graph.n_stored
    assert (found.format, found.orientation, found.problem) == ("npz", "in-out", None)
    assert [record.name for record in found.report.taken] == ["w0", "w1", "w2"]
    assert found.summary().endswith("stored as float32 with orientation 'in-out'.")


def test_an_inspection_is_plain_json(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", a=np.ones((3, 2)), b=np.ones((2, 4)), bias=np.ones(2))
    told = json.loads(json.dumps(inspect_file(tmp_path / "net.npz").to_dict()))
    assert told["schema_version"] == 1
    assert told["tensors"][0] == {"name": "a", "shape": [3, 2], "dtype": "float64", "n_nonzero": 6}
    assert told["layers"] == [
        {"name": "input", "size": 3, "kind": "input"},
        {"name": "a", "size": 2, "kind": "dense"},
        {"name": "b", "size": 4, "kind": "dense"},
    ]


def test_shapes_that_cannot_be_read_yet_are_a_problem_not_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", a=np.eye(3))
    found = inspect_file(tmp_path / "net.npz")
    assert found.orientation is None
    assert found.layers == ()
    assert found.n_nodes is None
    assert found.n_edges == 3
    assert "pass orientation=" in found.verdict
    assert inspect_file(tmp_path / "net.npz", orientation="in-out").problem is None


def test_bad_files_are_errors_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError):
        inspect_file(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "net.npz", a=np.eye(3))
    with pytest.raises(GraphError, match="order names 'b'"):
        inspect_file(tmp_path / "net.npz", order=["b"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_networks_in_the_package_can_be_read(name: str) -> None:
    graph, found = example_graph(name), inspect_file(example_path(name))
    assert [layer.size for layer in graph.layers] == [784, 256, 256, 256, 256, 10]
    assert graph.dtype == np.float32
    assert found.orientation == "out-in"
    assert found.density == pytest.approx(0.1 if name.endswith("pruned") else 1.0, abs=1e-3)
    assert float(found.metadata["test_accuracy"]) > 0.95


def test_another_example_is_refused_with_the_list() -> None:
    with pytest.raises(GraphError, match="one of the example networks mnist-mlp, mnist-mlp-pruned, got 'resnet'"):
        example_graph("resnet")


@pytest.mark.parametrize(("value", "why"), [(np.nan, r"b: 1 NaN or infinite value"), (0.0, "b: all weights are zero")])
def test_what_a_test_would_refuse_is_a_problem(tmp_path: Path, value: float, why: str) -> None:
    second = np.zeros((3, 2)) if value == 0 else np.ones((3, 2))
    second[0, 0] = value
    np.savez(tmp_path / "net.npz", a=np.ones((4, 3)), b=second)
    found = inspect_file(tmp_path / "net.npz")
    assert found.problem is not None
    assert re.search(why, found.problem)
