"""Where compiled kernels are kept. The door is tried on two tiny kernels, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netspectra.kernels.cpu import jit

# The package `kernels.cpu` compiles all its kernels on import: it is replaced by an empty one with the same folder.
SCRIPT = """
import json, logging, sys, types

records = []
handler = logging.Handler()
handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
logging.getLogger("netspectra").addHandler(handler)

import netspectra.kernels
package = types.ModuleType("netspectra.kernels.cpu")
package.__path__ = [sys.argv[1]]
sys.modules["netspectra.kernels.cpu"] = package
from netspectra.kernels.cpu import jit

@jit.compiled("void(const(float64[::1]), float64[::1])")
def double(x, y):
    for i in range(x.shape[0]):
        y[i] = 2 * x[i]

@jit.compiled("float64(float64)", "float32(float32)")
def square(x):
    return x * x

import numpy as np
x = np.arange(3.0)
x.flags.writeable = False
y = np.empty(3)
double(x, y)
hits = [sum(kernel.stats.cache_hits.values()) for kernel in (double, square)]
print(json.dumps({
    "y": y.tolist(), "square": square(3.0), "records": records, "folder": str(jit.cache_folder()),
    "hits": hits, "seconds": jit.compile_seconds(),
}))
"""


def run(script: Path, cache: Path | None, **environment: str):
    """What the script reports of itself."""
    env = {**os.environ, **environment}
    env.pop("NETSPECTRA_CACHE", None)
    if cache is not None:
        env["NETSPECTRA_CACHE"] = str(cache)
    done = subprocess.run(
        [sys.executable, str(script), str(Path(jit.__file__).parent)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "two_kernels.py"
    path.write_text(SCRIPT)
    return path


def test_kernels_are_compiled_once_and_then_loaded(script, tmp_path):
    cache = tmp_path / "cache"
    first, second = (run(script, cache) for _ in range(2))
    for found in (first, second):
        assert (found["y"], found["square"], found["records"]) == ([0, 2, 4], 9, [])
        assert Path(found["folder"]).parent == cache
        assert Path(found["folder"]).name.startswith("kernels-")
    assert first["hits"] == [0, 0]
    assert second["hits"] == [1, 2]
    assert 0 < second["seconds"] < first["seconds"]


def test_an_unwritable_cache_compiles_in_memory_with_one_warning(script, tmp_path):
    """Beneath a regular file nobody, not even root, can make a folder."""
    wall = tmp_path / "file"
    wall.write_text("")
    found = run(script, wall / "cache")
    assert (found["y"], found["square"], found["folder"], found["hits"]) == ([0, 2, 4], 9, "None", [0, 0])
    [(level, message)] = found["records"]
    assert level == "WARNING"
    assert "no writable cache folder" in message
    assert "NETSPECTRA_CACHE" in message
    assert wall.read_text() == ""


def test_an_unwritable_home_is_no_error_either(script, tmp_path):
    wall = tmp_path / "file"
    wall.write_text("")
    found = run(script, None, HOME=str(wall), XDG_CACHE_HOME=str(wall / "cache"), LOCALAPPDATA=str(wall))
    assert (found["square"], found["folder"], len(found["records"])) == (9, "None", 1)


@pytest.mark.parametrize("content", [b"", b"\x80not a kernel"], ids=["empty", "garbage"])
def test_a_damaged_cache_is_compiled_anew(script, tmp_path, content):
    """A file cut short by a crash must not make every later import fail."""
    cache = tmp_path / "cache"
    for entry in Path(run(script, cache)["folder"]).iterdir():
        entry.write_bytes(content)
    for _ in range(2):
        found = run(script, cache)
        assert (found["y"], found["square"]) == ([0, 2, 4], 9)


def test_seconds_of_compilation_are_counted():
    assert jit.compile_seconds() > 0
