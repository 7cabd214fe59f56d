"""W5 as measurements: a training step without and with the clusterability penalty, and ways to its gradient.

The two networks and their frameworks are those of :mod:`benchmarks.training_step`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks import training_step as w5
from benchmarks.training.data import default_problem, load_images
from netspectra.bindings.bench.accuracy import require
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.records import OURS, Measurement
from netspectra.bindings.bench.timing import take_turns

__all__ = ["installed_frameworks", "measure_gradients", "measure_steps", "open_contest"]

_MODULES = {"pytorch": "torch", "jax": "jax"}
WITHOUT = "without"


def installed_frameworks() -> list[str]:
    """Those of ``training_step.FRAMEWORKS`` that can be imported here."""
    return [name for name in w5.FRAMEWORKS if find_spec(_MODULES[name]) is not None]


def open_contest(framework: str) -> tuple[Any, Callable[[], np.ndarray], dict[str, Any]]:
    """Return the two networks, a draw of the next batch, and the sizes."""
    module, name = w5.FRAMEWORKS[framework].split(":")
    images = load_images(default_problem())
    widths = (images.train_images.shape[1], *w5.HIDDEN, w5.N_CLASSES)
    contest = getattr(import_module(module), name)(images.train_images, images.train_digits, widths, n_cores())
    rng, n_images = np.random.default_rng(0), len(images.train_images)
    edges = sum(a * b for a, b in pairwise(widths))
    parameters = {"edges": edges, "batch": w5.BATCH, "threads": n_cores(), "problem": images.problem}
    return contest, lambda: rng.integers(0, n_images, w5.BATCH), parameters


def measure_steps(framework: str, n_steps: int) -> list[Measurement]:
    """Steps of both networks in turn, on the same images, after a warm-up."""
    contest, draw, parameters = open_contest(framework)
    chosen = draw()

    def plain() -> None:
        nonlocal chosen
        chosen = draw()
        contest.plain(chosen)

    sides = {WITHOUT: plain, OURS: lambda: contest.penalised(chosen)}
    take_turns(sides, w5.WARM_UP, warm_up=False)
    laps = take_turns(sides, n_steps, warm_up=False)
    iterations = contest.n_iterations[w5.WARM_UP :]
    figures = {OURS: {"iterations": float(np.mean(iterations)), "most_iterations": max(iterations)}, WITHOUT: {}}
    names = {WITHOUT: f"W5: one training step without the penalty, {framework}", OURS: f"W5: ... with it, {framework}"}
    return [
        Measurement(name, OURS, laps[side].seconds, "", parameters, figures[side]) for side, name in names.items()
    ] + measure_gradients(framework, contest, parameters)


def measure_gradients(framework: str, contest: Any, parameters: dict[str, Any]) -> list[Measurement]:
    """One gradient at the trained weights by each way, and how far it is from the exact one (float64, LAPACK)."""
    following = contest.gradient()  # one step behind the weights, as in training
    weights = contest.weights()
    exact = w5.per_edge_gradient(weights, *w5._dense_pairs(weights))  # noqa: SLF001  (of the module this one extends)
    error = w5._error(following, exact)  # noqa: SLF001
    require(error <= w5.LARGEST_ERROR, f"W5, {framework}: the gradient is {error:.1e} off")
    ways = {
        OURS: contest.gradient,
        "automatic differentiation of a dense eigh": contest.dense_gradient,
        "per-edge formula, ARPACK's vectors": lambda: w5.official_gradient(contest.weights()),
    }
    found = []
    for way, call in ways.items():
        laps = take_turns({way: call}, 20 if way == OURS else 3)[way]
        figures = {"gradient_error": error if way == OURS else w5._error(laps.last, exact)}  # noqa: SLF001
        question = f"W5: one gradient of the penalty, {framework}"
        found.append(Measurement(question, way, laps.seconds, "", parameters, figures))
    return found
