"""What a partition says of itself: rows, clusters, and sentences that agree with its labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clustering.planted import chain, planted_labels, random_chain
from numpy.testing import assert_array_equal

import netspectra as ns


@pytest.fixture(scope="module")
def part() -> ns.Partition:
    """Partition a chain 20-16-12 of four modules with two isolated nodes."""
    W = [np.array(block.weights) for block in chain().blocks]
    W[0][3], W[0][:, 5], W[1][5] = 0, 0, 0
    return ns.spectral_clustering(ns.LayerGraph.from_weights(W, names=["in", "middle", "out"]), 4, seed=9)


def test_rows_by_layer_count_the_labels(part: ns.Partition) -> None:
    rows = part.by_layer()
    assert [(row["layer"], row["size"], row["isolated"]) for row in rows] == [
        ("in", 20, 1),
        ("middle", 16, 1),
        ("out", 12, 0),
    ]
    ends = np.cumsum([0, 20, 16, 12])
    for row, first, last in zip(rows, ends, ends[1:], strict=False):
        own = part.labels[first:last]
        assert row["counts"] == [int(np.count_nonzero(own == c)) for c in range(4)]
        assert sum(row["counts"]) + row["isolated"] == row["size"]


def test_records_name_every_node(part: ns.Partition) -> None:
    records = part.to_records()
    assert [record["node"] for record in records] == list(range(48))
    assert_array_equal([record["label"] for record in records], part.labels)
    assert records[0] == {"node": 0, "layer": "in", "index": 0, "label": int(part.labels[0])}
    assert (records[20]["layer"], records[20]["index"]) == ("middle", 0)
    assert (records[47]["layer"], records[47]["index"]) == ("out", 11)
    assert records[3]["label"] == -1


def test_clusters_agree_with_the_labels_and_the_ncut(part: ns.Partition) -> None:
    assert [cluster.label for cluster in part.clusters] == [0, 1, 2, 3]
    for cluster in part.clusters:
        assert cluster.size == np.count_nonzero(part.labels == cluster.label)
        assert cluster.ncut == pytest.approx(cluster.cut / cluster.volume)
        assert 0 < cluster.cut < cluster.volume
    assert sum(cluster.ncut for cluster in part.clusters) == pytest.approx(part.ncut)
    assert sum(cluster.size for cluster in part.clusters) + part.n_isolated == 48


def test_labels_are_int32_in_node_order(part: ns.Partition) -> None:
    assert part.labels.dtype == np.int32
    live = part.labels >= 0
    pairs = {(int(a), int(b)) for a, b in zip(planted_labels((20, 16, 12), 4)[live], part.labels[live], strict=True)}
    assert len(pairs) == 4
    assert part.n_nonempty == 4


def test_the_ratio_of_inside_to_outside_is_as_printed(part: ns.Partition) -> None:
    share = part.ncut / 4
    assert part.in_out_ratio == pytest.approx((1 - share) / (2 * share))


def test_the_summary_ends_with_the_verdict(part: ns.Partition) -> None:
    lines = part.summary().splitlines()
    assert lines[0] == "Partition of 48 nodes into 4 clusters (dense, float64, cpu, 2 isolated nodes left out)"
    assert lines[-1] == part.verdict
    bound = f"{part.ncut_lower_bound:.4f}"
    found = f"Found 4 clusters with n-cut {part.ncut:.4f}"
    assert part.verdict == f"{found}; no partition into as many clusters can be below {bound}."
    assert repr(part).startswith("Partition(n=48, n_clusters=4, ncut=0.")


def test_the_verdict_says_what_it_hangs_on(part: ns.Partition) -> None:
    iterated = ns.spectral_clustering(chain(), 4, solver="lobpcg")
    assert "unless LOBPCG missed an eigenvalue, no partition" in iterated.verdict
    failed = replace(part, converged=False, status="not_converged")
    assert failed.verdict.startswith("Not to be relied on: ")
    assert failed.summary().endswith(failed.verdict)


def test_the_run_is_recorded() -> None:
    part = ns.spectral_clustering(random_chain(dtype=np.float32), 3, n_init=2, select="ncut", solver="dense", seed=9)
    recorded = (
        part.backend,
        part.device,
        part.dtype,
        part.solver,
        part.seed,
        part.n_init,
        part.select,
        part.n_clusters,
    )
    assert recorded == ("cpu", "cpu", "float32", "dense", 9, 2, "ncut", 3)
    assert {"total", "compile"} <= part.timings.keys()
    assert all(seconds >= 0 for seconds in part.timings.values())
    assert part.tol > 0
    assert part.version


def test_a_partition_cannot_be_changed(part: ns.Partition) -> None:
    with pytest.raises(AttributeError):
        part.ncut = 0.0  # type: ignore[misc]
