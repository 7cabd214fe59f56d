"""`import netspectra` is quick, names nothing heavy, and is safe from threads and fresh processes.

Each test asks a fresh interpreter, since this one has long imported everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

#: Loaded at first use, never by the import itself.
HEAVY = (
    "array_api_strict",
    "click",
    "cupy",
    "hypothesis",
    "jax",
    "llvmlite",
    "matplotlib",
    "networkx",
    "numba",
    "pandas",
    "pydantic",
    "rich",
    "safetensors",
    "sklearn",
    "torch",
    "typer",
)

SECONDS = 0.3

TIMED = """
import sys, time
start = time.process_time()
import {module}
seconds = time.process_time() - start
import json
print(json.dumps({{"seconds": seconds, "modules": sorted(sys.modules)}}))
"""

EVERY_NAME = """
import json, threading
import netspectra

names, failures = netspectra.__all__, []
start = threading.Barrier(8)

def look() -> None:
    start.wait()
    for name in names:
        try:
            getattr(netspectra, name)
        except BaseException as error:
            failures.append(f"{name}: {error!r}")

threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"names": list(names), "listed": dir(netspectra), "failures": failures}))
"""

FRESH_PROCESS = """
import json, multiprocessing
from concurrent.futures import ProcessPoolExecutor

if __name__ == "__main__":
    import netspectra

    question = "[getattr(__import__('netspectra'), name) is not None for name in __import__('netspectra').__all__]"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({method!r})) as pool:
        print(json.dumps(pool.submit(eval, question).result(timeout=60)))
"""


def ask(program: str) -> Any:
    """Run `program` in a fresh interpreter and return the JSON that it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_is_quick() -> None:
    ours, numpys = (
        min(ask(TIMED.format(module=module))["seconds"] for _ in range(5)) for module in ("netspectra", "numpy")
    )
    assert ours < SECONDS, f"import netspectra takes {ours:.3f} s of processor time, NumPy alone {numpys:.3f} s"


def test_import_loads_nothing_heavy() -> None:
    loaded = {name.partition(".")[0] for name in ask(TIMED.format(module="netspectra"))["modules"]}
    assert not loaded.intersection(HEAVY)


def test_every_public_name_resolves_from_several_threads() -> None:
    facade = ask(EVERY_NAME)
    assert facade["failures"] == []
    assert len(set(facade["names"])) == len(facade["names"])
    assert set(facade["names"]) <= set(facade["listed"]), "dir(netspectra) hides public names"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_imports_in_a_fresh_process(method: str) -> None:
    if method == "forkserver" and sys.platform == "win32":
        pytest.skip("forkserver: Windows has none")
    assert all(ask(FRESH_PROCESS.format(method=method)))
