"""Make ``official_nulls.npz``: n-cuts of the shipped networks by the official pipeline.

For each of the two networks in ``bindings/data`` the file holds the n-cuts of
200 shuffled networks and those of the network itself under 5 random states,
all computed by ``netspectra.bindings.bench.official_pipeline`` with scikit-learn. The tests
compare the distribution that netspectra samples with it.

Arrays, float64: ``mnist_mlp_nulls``, ``mnist_mlp_pruned_nulls`` (200,), entry i
made with seed i of the header's ``null_seeds``; ``mnist_mlp_observed``,
``mnist_mlp_pruned_observed`` (5,), likewise of ``observed_seeds``. ``header`` is
a JSON string: versions, date, seeds, k, n_init, checksums of the weight files.

Run it from the root of the repository with::

    python -m tests.reference.make_official_nulls
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import multiprocessing
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
from numpy.typing import NDArray
from safetensors import safe_open
from threadpoolctl import threadpool_limits

from netspectra.bindings.bench.official_pipeline import official_adjacency, official_clustering, official_null

__all__ = ["main", "read_weights"]

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {
    "mnist_mlp": ROOT / "bindings" / "data" / "mnist-mlp.safetensors",
    "mnist_mlp_pruned": ROOT / "bindings" / "data" / "mnist-mlp-pruned.safetensors",
}
K = 12
N_INIT = 25
NULL_SEEDS = range(200)
OBSERVED_SEEDS = range(5)


def read_weights(path: Path) -> list[NDArray[np.float32]]:
    """Read the weight matrices of a safetensors file with PyTorch's key names.

    Parameters
    ----------
    path : Path
        File with ``layers.0.weight``, ``layers.1.weight``, ... of shape
        (n_out, n_in).

    Returns
    -------
    list of float32 arrays, shape (n_in, n_out)
        In the order of the layers.
    """
    with safe_open(path, framework="numpy") as file:
        n_layers = sum(key.endswith(".weight") for key in file.keys())  # noqa: SIM118
        return [file.get_tensor(f"layers.{i}.weight").T for i in range(n_layers)]


def main() -> None:
    """Compute all n-cuts with one process per core and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("official_nulls.npz"))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()

    arrays: dict[str, Any] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, context, initializer=_use_one_thread) as pool:
        for name in NETWORKS:
            observed = pool.map(_observed_ncut, [(name, seed) for seed in OBSERVED_SEEDS])
            arrays[f"{name}_observed"] = np.array(list(observed))
            start = time.perf_counter()
            nulls = pool.map(_null_ncut, [(name, seed) for seed in NULL_SEEDS])
            arrays[f"{name}_nulls"] = np.array(list(nulls))
            seconds = (time.perf_counter() - start) / len(NULL_SEEDS)
            sys.stdout.write(_summary(name, arrays, seconds))
    arrays["header"] = np.array(json.dumps(_header(), indent=1))
    np.savez_compressed(options.output, **arrays)


def _use_one_thread() -> None:
    # Held for the life of the process: BLAS and OpenMP, so k-means as well.
    threadpool_limits(limits=1)


def _observed_ncut(task: tuple[str, int]) -> float:
    name, seed = task
    adjacency = official_adjacency(read_weights(NETWORKS[name]))
    _, ncut = official_clustering(adjacency, K, N_INIT, seed)
    return ncut


def _null_ncut(task: tuple[str, int]) -> float:
    name, seed = task
    return official_null(read_weights(NETWORKS[name]), seed, K, N_INIT)


def _summary(name: str, arrays: dict[str, Any], seconds: float) -> str:
    nulls = arrays[f"{name}_nulls"]
    observed = " ".join(f"{ncut:.4f}" for ncut in arrays[f"{name}_observed"])
    return (
        f"{name}: observed {observed}; nulls {nulls.mean():.4f} +- {nulls.std(ddof=1):.4f}; {seconds:.3f} s per null\n"
    )


def _header() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "sklearn": sklearn.__version__,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "k": K,
        "n_init": N_INIT,
        "null_seeds": list(NULL_SEEDS),
        "observed_seeds": list(OBSERVED_SEEDS),
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in NETWORKS.values()},
    }


if __name__ == "__main__":
    main()
