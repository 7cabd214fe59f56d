"""Files and results that the tests of the bindings share."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

SIZES = (12, 8, 6, 4)


@pytest.fixture
def weights() -> list[np.ndarray]:
    """Matrices (n_in, n_out) of a chain 12-8-6-4, float32, some of them zero."""
    rng = np.random.default_rng(0)
    chain = [rng.standard_normal(shape).astype(np.float32) for shape in pairwise(SIZES)]
    chain[1][0] = 0
    return chain


@pytest.fixture(scope="module")
def own() -> Any:
    """Return ``netspectra.bindings.jax``."""
    from netspectra.bindings import jax as bindings

    return bindings


@pytest.fixture
def write_safetensors(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of safetensors files, true or lying: ``write(header, data, length=None)``."""

    def write(header: Any, data: bytes = b"", *, length: int | None = None, name: str = "model.safetensors") -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path = tmp_path / name
        path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
        return path

    return write


@pytest.fixture
def result() -> SimpleNamespace:
    """Stand in for a ClusterabilityResult: every attribute that tables and the command line read."""
    nulls = np.array([4.0, 4.1, np.nan, 3.9])
    partition = SimpleNamespace(
        labels=np.array([0, 1, -1], np.int32),
        ncut=3.5,
        ncut_lower_bound=3.0,
        bound_status="proved",
        relative_gap=0.142857,
        converged=True,
        status="converged",
        n_clusters=2,
        by_layer=lambda: [
            {"layer": "input", "size": 2, "isolated": 0, "counts": [1, 1]},
            {"layer": "[bold]fc\x1b[31m", "size": 1, "isolated": 1, "counts": [0, 0]},
        ],
    )
    return SimpleNamespace(
        ncut=3.5,
        null_ncuts=nulls,
        p_value=0.25,
        p_interval=(0.006, 0.8),
        z_score=-5.0,
        percentile=0.0,
        cohens_d=-5.0,
        null_mean=4.0,
        null_sd=0.1,
        labels=partition.labels,
        partition=partition,
        n_failed=1,
        status="ok",
        seed_sensitivity=SimpleNamespace(
            n_seeds=20, ncut_range=(3.4, 3.6), z_range=(-6.0, -4.0), p_range=(0.25, 0.25), sensitive=False
        ),
        n_clusters=2,
        n_nulls=4,
        max_nulls=4,
        stop="fixed",
        null="shuffle",
        select="inertia",
        solver="dense",
        tol=1e-8,
        seed=0,
        backend="cpu",
        n_threads=2,
        device="cpu",
        dtype="float32",
        version="0.1.0",
        batch_size=4,
        timings={"prepare": 0.1, "observed": 0.2, "nulls": 1.0, "seeds": 0.3, "total": 1.6, "compile": 2.5},
        plan=SimpleNamespace(bytes_per_replicate=1000, batch_size=4, memory_limit=None),
        n_isolated=1,
        verdict="More modular than chance.",
        summary=lambda: "n-cut 3.5\nMore modular than chance.",
        to_dict=lambda: {"schema_version": 1, "ncut": 3.5, "null_ncuts": [4.0, 4.1, None, 3.9]},
        save=lambda path: Path(path).write_bytes(b"saved"),
    )
