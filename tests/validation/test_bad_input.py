"""Bad input to the public functions: the class of error, and a message that names argument, expectation and value."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from typing import Any

import numpy as np
import pytest
from clustering.planted import random_chain

import netspectra as ns
from netspectra.errors import BackendUnavailableError, GraphError, NetspectraError

GRAPH = random_chain((6, 5, 4))  # 15 nodes
Function = Callable[..., Any]


def of_k(name: str) -> Function:
    """Return a public function of a graph and a number of clusters (or pairs), both by keyword."""
    return {
        "eigenpairs": lambda graph=GRAPH, k=3, **options: ns.eigenpairs(graph, k, **options),
        "spectral_clustering": lambda graph=GRAPH, n_clusters=3, **options: ns.spectral_clustering(
            graph, n_clusters, **options
        ),
        "clusterability_test": lambda graph=GRAPH, n_clusters=3, **options: ns.clusterability_test(
            graph, n_clusters, **{"n_nulls": 2, "n_init": 1, **options}
        ),
    }[name]


ALL = ("eigenpairs", "spectral_clustering", "clusterability_test")
CLUSTERING = ("spectral_clustering", "clusterability_test")
TEST = ("clusterability_test",)

CASES: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (CLUSTERING, {"n_clusters": 1}, r"n_clusters must be an integer of at least 2, got 1"),
    (CLUSTERING, {"n_clusters": 0}, r"n_clusters must be an integer of at least 2, got 0"),
    (CLUSTERING, {"n_clusters": -4}, r"n_clusters must be an integer of at least 2, got -4"),
    (CLUSTERING, {"n_clusters": True}, r"n_clusters must be an integer of at least 2, got True"),
    (CLUSTERING, {"n_clusters": 2.0}, r"n_clusters must be an integer of at least 2, got 2.0"),
    (CLUSTERING, {"n_clusters": "12"}, r"n_clusters must be an integer of at least 2, got '12'"),
    (CLUSTERING, {"n_clusters": None}, r"n_clusters must be an integer of at least 2, got None"),
    (CLUSTERING, {"n_clusters": 16}, r"n_clusters must be at most the number of non-isolated nodes \(15\), got 16"),
    (("eigenpairs",), {"k": 0}, r"k must be an integer of at least 1, got 0"),
    (("eigenpairs",), {"k": True}, r"k must be an integer of at least 1, got True"),
    (("eigenpairs",), {"k": 16}, r"k must be at most the number of non-isolated nodes \(15\), got 16; choose fewer"),
    (("eigenpairs",), {"maxiter": 0}, r"maxiter must be an integer of at least 1, got 0"),
    (("eigenpairs",), {"maxiter": 1.5}, r"maxiter must be an integer of at least 1, got 1.5"),
    (CLUSTERING, {"n_init": 0}, r"n_init must be an integer of at least 1, got 0"),
    (CLUSTERING, {"n_init": -1}, r"n_init must be an integer of at least 1, got -1"),
    (CLUSTERING, {"n_init": False}, r"n_init must be an integer of at least 1, got False"),
    (CLUSTERING, {"select": "best"}, r"select must be one of \['inertia', 'ncut'\], got 'best'"),
    (CLUSTERING, {"select": None}, r"select must be one of \['inertia', 'ncut'\], got None"),
    (TEST, {"n_nulls": -1}, r"n_nulls must be an integer of at least 0, got -1"),
    (TEST, {"n_nulls": True}, r"n_nulls must be an integer of at least 0, got True"),
    (TEST, {"n_nulls": 1e3}, r"n_nulls must be an integer of at least 0, got 1000.0"),
    (
        TEST,
        {"null": "layer"},
        r"null must be one of \['shuffle', 'shuffle-nonzero', 'kde', 'kde-nonzero'\], got 'layer'",
    ),
    (TEST, {"null": 0}, r"null must be one of .*, got 0"),
    (TEST, {"batch_size": 0}, r"batch_size must be an integer of at least 1, got 0"),
    (TEST, {"batch_size": -64}, r"batch_size must be an integer of at least 1, got -64"),
    (TEST, {"memory_limit": -1}, r"memory_limit must be a positive number of bytes or None, got -1"),
    (TEST, {"memory_limit": "1 GB"}, r"memory_limit must be a positive number of bytes or None, got '1 GB'"),
    (TEST, {"progress": "bar"}, r"progress must be None, a bool or a callable .*, got str"),
    (ALL, {"solver": "arpack"}, r"solver must be one of \['auto', 'dense', 'lobpcg'\], got 'arpack'"),
    (ALL, {"solver": None}, r"solver must be one of .*, got None"),
    (ALL, {"tol": 0}, r"tol must be a number from 1e-14 .what float64 can reach. to 1 or None, got 0"),
    (ALL, {"tol": float("nan")}, r"tol must be a number from 1e-14 .what float64 can reach. to 1 or None, got nan"),
    (ALL, {"tol": "1e-5"}, r"tol must be a number from 1e-14 .what float64 can reach. to 1 or None, got '1e-5'"),
    (ALL, {"seed": -1}, r"seed must be an integer in \[0, 2\*\*64\) or None, got -1"),
    (ALL, {"seed": 2**64}, r"seed must be an integer in .*, got 18446744073709551616"),
    (ALL, {"seed": True}, r"seed must be an integer in .*, got True"),
    (ALL, {"seed": 0.5}, r"seed must be an integer in .*, got 0.5"),
    (ALL, {"backend": "gpu"}, r"backend must be one of \['auto', 'cuda', 'cpu', .*\] or a backend object, got 'gpu'"),
    (ALL, {"backend": None}, r"backend must be a name or a backend object, got NoneType"),
    (ALL, {"graph": None}, r"graph must be a LayerGraph, got NoneType; make one with LayerGraph.from_weights"),
    (ALL, {"graph": np.eye(3)}, r"graph must be a LayerGraph, got ndarray; make one with"),
]
EACH = [(name, options, message) for names, options, message in CASES for name in names]


@pytest.mark.parametrize(("name", "options", "message"), EACH, ids=lambda value: str(value)[:40])
def test_the_message_names_argument_expectation_and_value(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=f"^{message}") as caught:
        of_k(name)(**options)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, NetspectraError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["eigenpairs", "spectral_clustering"])
def test_a_sequence_names_its_member(name: str) -> None:
    with pytest.raises(GraphError, match=r"graph\[1\] must be a LayerGraph, got int"):
        of_k(name)(graph=[GRAPH, 3])
    with pytest.raises(GraphError, match="at least one graph, got an empty sequence"):
        of_k(name)(graph=[])
    with pytest.raises(GraphError, match="graph 1 is LayerGraph"):
        of_k(name)(graph=[GRAPH, random_chain((6, 5, 3))])


@pytest.mark.parametrize("name", ALL)
def test_isolated_nodes_are_not_to_be_clustered(name: str) -> None:
    W = [np.array(block.weights) for block in GRAPH.blocks]
    W[0][2] = 0
    keyword = "k" if name == "eigenpairs" else "n_clusters"
    with pytest.raises(GraphError, match=r"at most the number of non-isolated nodes \(14\), got 15"):
        of_k(name)(graph=ns.LayerGraph.from_weights(W), **{keyword: 15})


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("zero", [0, 1])
def test_a_layer_of_zeros_is_named(name: str, zero: int) -> None:
    W = [np.array(block.weights) for block in GRAPH.blocks]
    W[zero][:] = 0
    ends = ("layer0 -> layer1", "layer1 -> layer2")[zero]
    with pytest.raises(GraphError, match=rf"blocks\[{zero}\] \({ends}\): all weights are zero, expected at least one"):
        of_k(name)(graph=ns.LayerGraph.from_weights(W))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("backend", "told"), [("cuda", "use backend='cpu'"), ("jax", "not installed: pip install")])
def test_a_backend_that_is_not_here_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, name: str, backend: str, told: str
) -> None:
    def not_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr("netspectra.kernels._default", {})
    monkeypatch.setattr("netspectra.kernels.jax.metadata.version", not_installed)
    with pytest.raises(BackendUnavailableError, match=rf"backend '{backend}'.*{told}") as caught:
        of_k(name)(backend=backend)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ns.ncut(GRAPH, [0] * 14), r"labels must hold one label per node \(15\), got shape \(14,\)"),
        (lambda: ns.ncut(None, [0]), "graph must be a LayerGraph, got NoneType"),
        (lambda: ns.null_network(None, 0), "graph must be a LayerGraph, got NoneType"),
        (lambda: ns.normalized_laplacian(np.eye(3)), "graph must be a LayerGraph, got ndarray"),
        (lambda: ns.example_graph("mnist"), "name must be one of the example networks mnist-mlp, .*, got 'mnist'"),
        (lambda: ns.get_backend("cpu", n_threads=0), "n_threads must be a positive integer or None, got 0"),
        (lambda: ns.get_backend("cpu", n_threads=True), "n_threads must be a positive integer or None, got True"),
        (lambda: ns.get_backend("cpu", n_threads="2"), "n_threads must be a positive integer or None, got '2'"),
    ],
)
def test_the_other_functions_too(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        call()


def test_everything_after_the_subject_is_by_keyword() -> None:
    for function in (ns.eigenpairs, ns.spectral_clustering, ns.clusterability_test):
        with pytest.raises(TypeError, match="positional"):
            function(GRAPH, 3, 25)  # type: ignore[call-overload, misc]


def test_bad_arguments_are_found_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("netspectra.significance.clusterability.cluster_graphs", refuse)
    for options in ({"batch_size": 0}, {"memory_limit": 0}, {"progress": "bar"}, {"null": "x"}, {"n_clusters": 99}):
        with pytest.raises(GraphError):
            of_k("clusterability_test")(**options)
