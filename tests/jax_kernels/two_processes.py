"""Two processes of four host devices each that share a graph through JAX's distributed runtime, on this machine.

``python two_processes.py RANK PORT`` is one of them; it writes what it found to standard output, as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import netspectra as ns

__all__ = ["K", "graph", "run"]

K, N_LOCAL, LIMIT = 3, 4, 120


def graph() -> ns.LayerGraph:
    """A chain whose sizes are no multiples of eight."""
    rng = np.random.default_rng(0)
    return ns.LayerGraph.from_weights([rng.standard_normal(s).astype(np.float32) for s in ((37, 23), (23, 11))])


def run() -> list[dict[str, Any]]:
    """What both processes found; raises where one fails or takes too long, and leaves none behind."""
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={N_LOCAL}"}
    environment |= {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "0", "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo"}
    port = _free_port()
    children = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(rank), str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [child.communicate(timeout=LIMIT) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    for child, (_, errors) in zip(children, outputs, strict=True):
        if child.returncode:
            raise RuntimeError(errors[-3000:])
    return [json.loads(text.splitlines()[-1]) for text, _ in outputs]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _take_part(rank: int, port: int) -> None:
    import jax

    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=rank)
    backend = ns.get_backend("jax", mesh=jax.make_mesh((2 * N_LOCAL,), ("devices",)))
    block = backend.load_block([graph().blocks[0].weights], symmetric=False)
    part = ns.spectral_clustering(graph(), K, n_init=2, solver="lobpcg", backend=backend)
    found = {
        "devices": part.device,
        "local": jax.local_device_count(),
        "shards": [shard.data.size for shard in block.values.addressable_shards],
        "eigenvalues": part.eigenvalues.tolist(),
        "labels": part.labels.tolist(),
        "ncut": part.ncut,
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")
    sys.stdout.flush()
    jax.distributed.shutdown()


if __name__ == "__main__":
    _take_part(int(sys.argv[1]), int(sys.argv[2]))
