"""W5: a training step without and with the clusterability penalty, and its gradient beside other ways to get it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import penalty
from benchmarks import training_step as w5

ROUNDS, PEER_ROUNDS, LEARNING_STEPS = 200, 3, 20


@pytest.fixture(scope="module", params=list(w5.FRAMEWORKS))
def trained(request: pytest.FixtureRequest) -> Any:
    """Return two networks of a framework after some steps, and a draw of the next batch."""
    if request.param not in penalty.installed_frameworks():
        pytest.skip(f"{request.param}: not installed")
    contest, draw, _ = penalty.open_contest(request.param)
    for _ in range(LEARNING_STEPS):
        contest.plain(draw())
        contest.penalised(draw())
    return request.param, contest, draw


@pytest.mark.parametrize("kind", ["plain", "penalised"])
def test_step(benchmark: Any, trained: Any, kind: str) -> None:
    name, contest, draw = trained
    benchmark.group = f"W5 step, {name}"
    step = getattr(contest, kind)
    benchmark.pedantic(lambda: step(draw()), rounds=ROUNDS, warmup_rounds=5)
    if kind == "penalised":
        benchmark.extra_info["iterations"] = sum(contest.n_iterations) / len(contest.n_iterations)


@pytest.mark.parametrize("way", ["gradient", "dense_gradient", "per-edge formula"])
def test_gradient(benchmark: Any, trained: Any, way: str) -> None:
    name, contest, _ = trained
    benchmark.group = f"W5 gradient, {name}"
    call = getattr(contest, way, lambda: w5.official_gradient(contest.weights()))
    found = benchmark.pedantic(call, rounds=ROUNDS if way == "gradient" else PEER_ROUNDS, warmup_rounds=1)
    weights = contest.weights()
    exact = w5.per_edge_gradient(weights, *w5._dense_pairs(weights))  # noqa: SLF001
    error = w5._error(found, exact)  # noqa: SLF001
    assert error <= w5.LARGEST_ERROR
    benchmark.extra_info["gradient_error"] = error
