"""Sequential tests of networks: the null networks of the fixed test, as many as it takes, and what is told of it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustering.planted import chain, random_chain
from numpy.testing import assert_array_equal
from scipy import stats
from significance.test_failures import sparse_graph

import netspectra as ns
from netspectra.errors import GraphError, NullFailureError
from netspectra.significance.conclusion import judge_failures

GRAPH = random_chain((30, 24, 18), dtype=np.float32)


def run(graph: ns.LayerGraph = GRAPH, n_clusters: int = 4, **options: Any) -> ns.ClusterabilityResult:
    """Run a sequential test with few k-means restarts."""
    return ns.clusterability_test(graph, n_clusters, **{"n_nulls": 400, "n_init": 2, "stop": "sequential", **options})


@pytest.fixture(scope="module")
def modular() -> ns.ClusterabilityResult:
    """Test planted modules."""
    return run(chain())


@pytest.fixture(scope="module")
def chance() -> ns.ClusterabilityResult:
    """Test a network without modules."""
    return run(seed=3)


def test_a_clear_verdict_stops_early(modular: ns.ClusterabilityResult, chance: ns.ClusterabilityResult) -> None:
    assert (modular.stop, modular.stopped, modular.max_nulls) == ("sequential", "significant", 400)
    assert modular.n_nulls == 131 == modular.null_ncuts.size
    assert modular.p_value == pytest.approx(1 / 132)
    assert modular.p_interval is not None
    assert modular.p_interval[1] < 0.05
    assert chance.stopped == "not_significant"
    assert 32 <= chance.n_nulls < 200
    assert chance.p_interval is not None
    assert chance.p_value is not None
    assert chance.p_interval[0] <= chance.p_value <= chance.p_interval[1]


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-mlp-pruned"])
def test_shipped_networks_have_the_verdict_of_the_fixed_test(name: str) -> None:
    options: dict[str, Any] = {"n_nulls": 200, "n_init": 3, "select": "ncut", "progress": False}
    few = ns.clusterability_test(ns.example_graph(name), 12, stop="sequential", **options)
    every = ns.clusterability_test(ns.example_graph(name), 12, **options)
    assert few.stopped != "all"
    assert name == "mnist-mlp" or few.n_nulls < 120  # the other one has a p of 0.03
    assert_array_equal(few.null_ncuts, every.null_ncuts[: few.n_nulls])
    assert (few.ncut, few.partition.ncut_lower_bound) == (every.ncut, every.partition.ncut_lower_bound)
    assert few.p_value is not None
    assert every.p_value is not None
    assert (few.p_value <= 0.05) == (every.p_value <= 0.05)
    assert few.verdict.split(":")[0] == every.verdict.split(":")[0]


def test_wave_and_threads_change_nothing(chance: ns.ClusterabilityResult) -> None:
    for batch_size, n_threads in ((1, 1), (7, 2), (64, 1), (400, 2)):
        machine = ns.get_backend("cpu", n_threads=n_threads)
        other = run(seed=3, batch_size=batch_size, backend=machine)
        assert_array_equal(other.null_ncuts, chance.null_ncuts)
        assert_array_equal(other.seed_sensitivity.p_range, chance.seed_sensitivity.p_range)
        assert (other.p_value, other.p_interval, other.z_score, other.null_status, other.stopped) == (
            chance.p_value,
            chance.p_interval,
            chance.z_score,
            chance.null_status,
            chance.stopped,
        )


def test_nulls_are_drawn_in_waves_that_double() -> None:
    assert run(chain(), batch_size=400).plan.waves == ((2, 32), (1, 64), (1, 128))
    assert run(chain(), batch_size=50).plan.waves == ((2, 32), (2, 50))
    assert run(chain(), batch_size=10).plan.waves == ((14, 10),)
    assert run(chain(), n_nulls=100, batch_size=50).plan.waves == ((2, 32), (1, 36))


def test_a_plan_is_replayed_and_gone_beyond() -> None:
    first = run(chain(), batch_size=50)
    again = run(chain(), batch_size=first.plan)
    assert again.plan.waves == first.plan.waves
    assert_array_equal(again.null_ncuts, first.null_ncuts)
    short = replace(first.plan, waves=((1, 30), (2, 20)))
    assert run(chain(), batch_size=short).plan.waves == ((1, 30), (2, 20), (3, 30))
    with pytest.raises(GraphError, match="plan of a run of 164 null networks, this one has 150"):
        run(chain(), n_nulls=150, batch_size=first.plan)
    with pytest.raises(GraphError, match="plan of a run of 164 null networks, this one has 400"):
        run(chain(), stop="fixed", batch_size=first.plan)


def test_progress_goes_to_the_maximum_until_it_ends() -> None:
    heard: list[tuple[int, int]] = []
    found = run(chain(), batch_size=50, progress=lambda done, total, _: heard.append((done, total)))
    assert heard == [(32, 400), (64, 400), (114, 400), (164, 164)]
    assert found.n_nulls == 131


@pytest.mark.parametrize("stop", [None, "fixed"])
def test_the_fixed_test_is_what_it_was(stop: Any) -> None:
    found = run(chain(), n_nulls=40, stop=stop)
    assert (found.stop, found.stopped, found.n_nulls, found.max_nulls) == ("fixed", "all", 40, 40)
    assert found.p_value == 1 / 41
    assert "of at most" not in found.summary()
    assert "max_nulls" not in repr(found)


@pytest.mark.parametrize("stop", ["early", True, 0.05])
def test_another_rule_is_refused(stop: Any) -> None:
    with pytest.raises(GraphError, match=r"stop must be one of \['fixed', 'sequential'\], got "):
        run(stop=stop)


def test_without_nulls_there_is_nothing_to_stop() -> None:
    found = run(n_nulls=0)
    assert (found.status, found.stopped, found.max_nulls, found.p_value) == ("no_nulls", "all", 0, None)
    assert found.verdict.startswith("Not tested: ")


def test_few_nulls_are_all_drawn() -> None:
    few, fixed = run(n_nulls=20), run(n_nulls=20, stop="fixed")
    assert (few.n_nulls, few.stopped) == (20, "all")
    assert few.p_value == pytest.approx(fixed.p_value)
    assert few.p_interval == pytest.approx(fixed.p_interval, abs=1e-9)
    assert "all null networks drawn that were asked for" in few.summary()


@pytest.mark.parametrize("stop", ["fixed", "sequential"])
def test_fewer_nulls_than_p_needs_tell_nothing(stop: str) -> None:
    found = run(chain(), n_nulls=18, stop=stop)
    assert found.p_interval is not None
    assert found.p_interval[0] == 0.0
    assert found.verdict.startswith("Cannot tell")
    assert "too few for a p-value of 0.05" in found.verdict


def test_what_is_told(modular: ns.ClusterabilityResult, chance: ns.ClusterabilityResult) -> None:
    for found, side in ((modular, "below"), (chance, "above")):
        text = found.summary()
        assert text.endswith(found.verdict)
        assert f"{found.n_nulls} of at most 400" in text
        assert f"stopped as p is {side} 0.05; risk that all would say otherwise: 0.001 at most" in text
        assert "by the nulls drawn" in text
        assert f"for {found.n_nulls} of at most 400 'shuffle' null networks" in found.verdict
        assert f"n_nulls={found.n_nulls}, max_nulls=400" in repr(found)
        told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert (told["n_nulls"], told["max_nulls"], told["stop"]) == (found.n_nulls, 400, "sequential")
        assert told["stopped"] == found.stopped
        assert len(told["null_ncuts"]) == found.n_nulls


def test_seeds_are_compared_with_the_nulls_drawn(chance: ns.ClusterabilityResult) -> None:
    found = chance.seed_sensitivity
    assert found.p_range is not None
    assert chance.p_value is not None
    assert found.p_range[0] <= chance.p_value <= found.p_range[1]
    for value, p in zip(found.ncut_range, found.p_range, strict=True):
        below = int(np.sum(chance.null_ncuts <= value + 4e-5))
        assert p == pytest.approx((1 + below) / (1 + chance.n_nulls), abs=0.1)


def test_it_comes_back_from_a_file(modular: ns.ClusterabilityResult, tmp_path: Path) -> None:
    modular.save(tmp_path / "result.npz")
    back = ns.ClusterabilityResult.load(tmp_path / "result.npz")
    assert back.to_dict() == modular.to_dict()
    assert back.summary() == modular.summary()


def test_results_saved_before_there_were_sequential_tests_are_those_of_fixed_ones() -> None:
    found = run(n_nulls=5, stop="fixed")
    older = {f.name: getattr(found, f.name) for f in fields(found) if f.name not in ("stop", "stopped", "max_nulls")}
    assert ns.ClusterabilityResult(**older).to_dict() == found.to_dict()


def test_a_failed_null_is_no_error_because_few_were_enough(chance: ns.ClusterabilityResult) -> None:
    one = replace(chance, n_nulls=40, n_failed=1)
    with pytest.warns(RuntimeWarning, match="^1 of 40 null networks failed .*; each counts as at or below"):
        assert judge_failures(one) is one
    for bad in (replace(one, n_failed=2), replace(one, stopped="all")):
        with pytest.raises(NullFailureError, match="of 40 null networks failed"):
            judge_failures(bad)


def test_nulls_that_all_fail_end_a_test_soon() -> None:
    with pytest.raises(NullFailureError, match="the p-value would mean little") as caught:
        run(sparse_graph(), 17, n_init=1, n_nulls=1000)
    partial = caught.value.partial_result
    assert isinstance(partial, ns.ClusterabilityResult)
    assert partial.n_failed > 1
    assert partial.n_nulls < 100


def test_p_values_of_null_networks_are_uniform() -> None:
    base, p = chain((10, 8, 6), 2, noise=0.3), []
    for number in range(100):
        observed = ns.null_network(base, number, seed=1)
        p.append(run(observed, 3, n_nulls=60, seed=number, progress=False).p_value)
    assert stats.kstest(p, "uniform", alternative="greater").pvalue > 0.01
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert stats.binomtest(int(np.sum(np.array(p) <= 0.05)), 100, 0.05).pvalue > 0.01


def test_every_backend_stops_where_all_nulls_tie(backend: Any) -> None:
    layers = [ns.Layer("a", 7), ns.Layer("b", 6)]
    graph = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, np.full((7, 6), 0.5))])  # every shuffle changes nothing
    found = run(graph, 2, backend=backend, batch_size=40)
    assert (found.n_nulls, found.stopped, found.status) == (32, "not_significant", "degenerate_null")
    assert found.p_value == 1.0
    assert found.plan.waves == ((1, 32),)
    assert found.verdict.startswith("Cannot tell: ")
