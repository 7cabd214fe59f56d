"""The JSON schema, frozen: a key that goes or changes its meaning needs a new ``schema_version``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from clustering.planted import random_chain

import netspectra as ns
from netspectra.records import SCHEMA_VERSION, plain

RUN = {"version", "backend", "device", "dtype", "solver", "tol", "seed", "timings"}
CLUSTER = {"label", "size", "volume", "cut", "ncut"}
PARTITION = RUN | {
    "labels",
    "n_clusters",
    "n_nonempty",
    "ncut",
    "ncut_lower_bound",
    "bound_status",
    "relative_gap",
    "eigenvalues",
    "residual_norms",
    "gap",
    "unique",
    "inertia",
    "clusters",
    "layer_names",
    "layer_sizes",
    "converged",
    "status",
    "n_iterations",
    "n_init",
    "select",
}
SENSITIVITY = {"n_seeds", "ncuts", "ncut_range", "z_range", "p_range", "sensitive"}
PLAN = {"bytes_per_replicate", "batch_size", "in_flight", "memory_limit", "model", "waves", "reductions"}
RESULT = RUN | {
    "schema_version",
    "kind",
    "ncut",
    "null_ncuts",
    "p_value",
    "p_interval",
    "z_score",
    "percentile",
    "cohens_d",
    "null_mean",
    "null_sd",
    "partition",
    "seed_sensitivity",
    "status",
    "null_status",
    "plan",
    "n_clusters",
    "n_nulls",
    "n_failed",
    "n_init",
    "null",
    "select",
    "n_threads",
    "stop",
    "stopped",
    "max_nulls",
}
TIMINGS = {"prepare", "observed", "seeds", "nulls", "total", "compile"}


@pytest.fixture(scope="module", params=[0, 6])
def record(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a result with nulls, and one without, as plain types."""
    return ns.clusterability_test(random_chain(), 3, n_nulls=request.param, n_init=2, seed=2**64 - 1).to_dict()


def test_every_key_is_where_it_was(record: dict[str, Any]) -> None:
    assert SCHEMA_VERSION == 1
    assert set(record) == RESULT
    assert (record["schema_version"], record["kind"]) == (1, "ClusterabilityResult")
    assert set(record["partition"]) == PARTITION
    assert [set(cluster) for cluster in record["partition"]["clusters"]] == [CLUSTER] * 3
    assert set(record["seed_sensitivity"]) == SENSITIVITY
    assert set(record["plan"]) == PLAN
    assert TIMINGS - {"nulls"} <= set(record["timings"]) <= TIMINGS
    assert set(record["null_status"]) <= {"converged", "disconnected", "escalated_float64", "escalated_dense"}


def test_every_value_has_the_type_it_had(record: dict[str, Any]) -> None:
    strings = ("version", "backend", "device", "dtype", "solver", "status", "null", "select", "kind", "stop", "stopped")
    integers = ("seed", "n_clusters", "n_nulls", "max_nulls", "n_failed", "n_init", "n_threads", "schema_version")
    assert all(type(record[name]) is str for name in strings)
    assert all(type(record[name]) is int for name in integers)
    assert all(type(record[name]) is float for name in ("ncut", "tol"))
    assert all(type(value) is float for value in record["null_ncuts"])
    assert record["seed"] == 2**64 - 1
    statistics = ("p_value", "z_score", "percentile", "cohens_d", "null_mean", "null_sd")
    expected = type(None) if record["n_nulls"] == 0 else float
    assert {type(record[name]) for name in statistics} == {expected}
    assert all(type(label) is int for label in record["partition"]["labels"])
    assert all(type(cluster["size"]) is int for cluster in record["partition"]["clusters"])
    assert type(record["seed_sensitivity"]["sensitive"]) is bool


def test_standard_json_can_hold_it(record: dict[str, Any]) -> None:
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_partition_alone_says_what_it_is() -> None:
    found = ns.spectral_clustering(random_chain(), 3).to_dict()
    assert set(found) == PARTITION | {"schema_version", "kind"}
    assert found["kind"] == "Partition"
    json.dumps(found, allow_nan=False)


def test_eigenpairs_say_what_they_are() -> None:
    found = ns.eigenpairs(random_chain(), 3).to_dict()
    own = {"eigenvalues", "eigenvectors", "residual_norms", "gap", "unique", "n_iterations", "converged", "status"}
    assert own <= set(found) - RUN - {"schema_version", "kind"}
    assert np.shape(found["eigenvectors"]) == (38, 3)
    json.dumps(found, allow_nan=False)


def test_what_json_cannot_hold_becomes_null() -> None:
    given = {"nan": float("nan"), 3: [np.float32("inf"), np.int64(4)], "t": (np.bool_(True), np.array([[1.5, np.nan]]))}
    assert plain(given) == {"nan": None, "3": [None, 4], "t": [True, [[1.5, None]]]}
    json.dumps(plain(given), allow_nan=False)


def test_a_disconnected_and_a_degenerate_result_are_plain_json_too() -> None:
    pair = np.kron(np.eye(2), np.ones((3, 3)))
    layers = [ns.Layer("a", 6), ns.Layer("b", 6)]
    graph = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, pair, learned=False), ns.Block(0, 1, pair)])
    found = ns.clusterability_test(graph, 2, n_nulls=4, n_init=1)
    assert found.partition.status == "disconnected"
    record = found.to_dict()
    json.dumps(record, allow_nan=False)
    assert record["partition"]["inertia"] is None
