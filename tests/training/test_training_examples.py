"""The training examples in their smallest form, and that a few penalised steps lower what the penalty measures."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netspectra as ns

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.training import data, experiment  # noqa: E402
from benchmarks.training.experiment import ARMS, Settings, run_example  # noqa: E402

EXAMPLES = [
    pytest.param("torch_example", marks=pytest.mark.requires("torch")),
    pytest.param("jax_example", marks=pytest.mark.requires("jax")),
]
WIDTHS = (64, 16, 16, 10)


@pytest.fixture
def images(monkeypatch):
    """Digits, with a network of a few units."""
    monkeypatch.setitem(data.WIDTHS, "digits", WIDTHS)
    return data.load_images("digits")


@pytest.fixture(params=EXAMPLES)
def example(request) -> Any:
    module = importlib.import_module(f"benchmarks.training.{request.param}")
    if request.param == "jax_example":
        yield module
        return
    torch = importlib.import_module("torch")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the example does: threads that wait for each other on a busy machine take seconds
    yield module
    torch.set_num_threads(n_threads)


def eigenvalue_sum(weights) -> float:
    graph = ns.LayerGraph.from_weights(weights, orientation="in-out")
    return float(np.sum(ns.eigenpairs(graph, 4, solver="dense").eigenvalues))


def test_a_few_penalised_steps_lower_the_eigenvalues(example, images):
    settings = Settings(epochs=2)
    control, penalised = (
        eigenvalue_sum(example.train(ARMS[name], images, settings, seed=0).weights) for name in ("control", "penalty")
    )
    assert penalised < control - 0.02


def test_training_learns_and_rescaling_holds_the_norms(example, images):
    trained = example.train(ARMS["control, rescaled"], images, Settings(epochs=6, learning_rate=1e-2), seed=0)
    assert trained.accuracy > 0.6
    for weight in trained.weights[:-1]:
        norms = np.linalg.norm(weight, axis=0)
        assert norms.max() < np.sqrt(2) + 1e-5
        assert norms.min() > 1.2  # what is missing is the bias


def test_the_table_is_printed_and_written(example, images, tmp_path, capsys):
    file = tmp_path / "table.md"
    arguments = ["--problem", "digits", "--seeds", "2", "--epochs", "1", "--nulls", "5", "--output", str(file)]
    rows = run_example("some framework", example.train, [*arguments, "--arms", "control", "clusterable init"])
    assert [(row.arm, row.seed) for row in rows] == [(a, s) for a in ("control", "clusterable init") for s in (0, 1)]
    for row in rows:
        assert 0 <= row.accuracy <= 1
        assert row.p_value in {n / 6 for n in range(1, 7)}
        assert row.z_score == pytest.approx((row.ncut - row.null_mean) / row.null_sd)
    control, modular = rows[::2]
    assert modular.ncut < control.ncut - 5 * control.null_sd
    text = file.read_text(encoding="utf-8")
    assert all(f"| {row.arm} | {row.seed} | {' | '.join(row.cells())} |" in text for row in rows)
    assert "some framework" in capsys.readouterr().out


@pytest.mark.requires("torch", "jax")
def test_both_frameworks_train_the_same_network(images):
    torch_example, jax_example = (
        importlib.import_module(f"benchmarks.training.{name}_example") for name in ("torch", "jax")
    )
    # The penalty's gradient is known to the tolerance of its eigenvectors (5e-3), and rounding decides how far below.
    for name, limit in (("control", 1e-3), ("penalty", 1e-2)):
        one, two = (e.train(ARMS[name], images, Settings(epochs=2), seed=1) for e in (torch_example, jax_example))
        for a, b in zip(one.weights, two.weights, strict=True):
            # A weight whose gradient is next to nothing may go either way by Adam's step, 1e-3: rounding decides.
            np.testing.assert_allclose(a, b, rtol=0, atol=limit)
            assert np.linalg.norm(a - b) <= limit * np.linalg.norm(a)


def test_lit_pixels_of_a_problem(images):
    assert images.train_images.shape == (1437, 64)
    dark = np.setdiff1d(np.arange(64), images.lit)
    assert 0 < len(dark) < 32
    assert np.all((images.train_images[:, dark] > 0).mean(axis=0) < data.LIT)


def test_batches_hold_each_image_at_most_once():
    settings = Settings(epochs=3, batch_size=4)
    epochs = list(experiment.batches(10, settings, seed=2))
    assert [epoch.shape for epoch in epochs] == [(2, 4)] * 3
    assert all(len(np.unique(epoch)) == 8 for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])


def test_mnist_without_its_file_names_what_to_set(monkeypatch):
    monkeypatch.delenv("NETSPECTRA_DATA", raising=False)
    assert data.default_problem() == "digits"
    with pytest.raises(FileNotFoundError, match="set NETSPECTRA_DATA"):
        data.load_images("mnist")
