"""A safetensors file of 2e9 bytes in bf16, used in place: seconds to inspect it, memory to cluster and to test it.

Memory is the largest RssAnon beyond that before the file is opened: pages of the mapped file do not count. Bounds are
asserted: a second to inspect, 1 GB to cluster, one copy of the weights and 1 GB to test with ``batch_size=1``.

    python -m benchmarks.large_file [--width 14142] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import netspectra as ns
from netspectra.bindings.readers import inspect_file

N_MATRICES, ROWS, ROOM = 5, 512, 10**9


def main() -> None:
    """Write the file, measure, and delete it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--width", type=int, default=14142)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "chain.safetensors"
        n_bytes = write_chain(path, options.width)
        print(f"{n_bytes:,} bytes: {N_MATRICES} matrices of {options.width} x {options.width} in bf16")
        start = time.perf_counter()
        inspect_file(path, orientation="out-in")
        seconds = time.perf_counter() - start
        print(f"inspected in {seconds:.2f} s")
        assert seconds < 1
        small = [np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)]
        ns.clusterability_test(ns.LayerGraph.from_weights(small), 3, n_nulls=1)  # kernels compiled or loaded
        graph, n_load = _measured("loaded", lambda: ns.load(path, orientation="out-in"))
        _, n_cluster = _measured("clustered", lambda: ns.spectral_clustering(graph, 12, n_init=4))
        assert max(n_load, n_cluster) <= ROOM
        question: dict[str, Any] = {"n_nulls": 1, "batch_size": 1, "n_init": 4}
        _, n_test = _measured("tested with one null", lambda: ns.clusterability_test(graph, 12, **question))
        assert n_test <= n_bytes + ROOM


def write_chain(path: Path, width: int) -> int:
    """Write standard normal matrices, a panel at a time, and return the bytes of all."""
    size, rng = 2 * width * width, np.random.default_rng(0)
    header = json.dumps(
        {
            f"layers.{i}.weight": {"dtype": "BF16", "shape": [width, width], "data_offsets": [i * size, (i + 1) * size]}
            for i in range(N_MATRICES)
        }
    ).encode()
    header += b" " * (-(len(header) + 8) % 64)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for _ in range(N_MATRICES):
            for row in range(0, width, ROWS):
                panel = rng.standard_normal((min(ROWS, width - row), width), dtype=np.float32)
                file.write(panel.astype(ml_dtypes.bfloat16).tobytes())
    return N_MATRICES * size


def _measured(what: str, call: Callable[[], Any]) -> tuple[Any, int]:
    """Run, print seconds and memory, and return the result and the bytes."""
    before, most, ended = _anonymous(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], _anonymous())

    watcher, start = threading.Thread(target=watch), time.perf_counter()
    watcher.start()
    try:
        result = call()
    finally:
        ended.set()
        watcher.join()
    used = max(most[0], _anonymous()) - before
    print(f"{what} in {time.perf_counter() - start:.1f} s, {used / 1e9:.2f} GB")
    return result, used


def _anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])
    msg = "this system does not tell a process's anonymous memory"
    raise OSError(msg)


if __name__ == "__main__":
    main()
