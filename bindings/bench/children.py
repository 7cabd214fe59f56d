"""Measurements in a process of their own, and its memory: what a clustering needs, construction and imports apart.

RssAnon counts what a process holds in memory of its own; pages of memory-mapped files do not count. The parent reads
it from ``/proc/PID/status`` of the child every 5 ms, so no interpreter lock hides a peak (Linux only). *After import*
is right after ``import netspectra``: NumPy, Numba and the compiled kernels, which load at first use, count as ours.
"""

import json
import os
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["main", "resident_anonymous", "run_child"]

EVERY = 0.005
TASKS = "netspectra.bindings.bench.tasks"


def run_child(task: str, options: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """Run a function of :mod:`netspectra.bindings.bench.tasks` in a child process.

    Parameters
    ----------
    task : str
        Name of the function; it returns plain figures, the moments ``started`` and ``ended`` (``time.monotonic``) of
        what counts and the bytes of the caller's weights, ``weights``, among them.
    options : dict
        Its keyword arguments, plain JSON types.
    timeout : float, optional
        Seconds, start and imports included, after which the child is ended.

    Returns
    -------
    dict
        Its figures, and where RssAnon can be read ``peak`` (between the two moments), ``beyond_weights`` and
        ``samples``;
        ``{"finished": False, "seconds": timeout}`` where it was ended.

    Raises
    ------
    RuntimeError
        If the child fails.
    """
    command = [sys.executable, "-m", "netspectra.bindings.bench.children", str(os.getpid()), task, json.dumps(options)]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        samples = []
        while child.poll() is None:
            if timeout is not None and time.monotonic() - began > timeout:
                child.kill()
                return {"finished": False, "seconds": timeout}
            if (resident := resident_anonymous(child.pid)) is not None:
                samples.append((time.monotonic(), resident))
            time.sleep(EVERY)
        text = "" if child.stdout is None else child.stdout.read()
    if child.returncode != 0:
        msg = f"the measured process ({task}) ended with status {child.returncode}"
        raise RuntimeError(msg)
    figures: dict[str, Any] = {"finished": True, **json.loads(text.splitlines()[-1])}
    return figures | _memory(figures, samples)


def resident_anonymous(pid: int | str = "self") -> int | None:
    """RssAnon of a process in bytes; None where it has ended or the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), None)


def _memory(figures: dict[str, Any], samples: list[tuple[float, int]]) -> dict[str, Any]:
    during = [resident for moment, resident in samples if figures["started"] <= moment <= figures["ended"]]
    at_end = figures.get("at_end")
    if at_end is None or figures["after_import"] is None:
        return {}
    peak = max([*during, at_end])
    beyond = peak - figures["after_import"] - figures["weights"]
    return {"samples": len(during), "peak": peak, "beyond_weights": beyond}


def _end_with_parent(parent: int) -> None:
    """A parent that is killed cannot end its child, which may hold gigabytes for minutes."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main(arguments: list[str]) -> None:
    """Be the child: run a task and write its figures to standard output."""
    after_import = resident_anonymous()
    parent, task, options = arguments
    threading.Thread(target=_end_with_parent, args=(int(parent),), daemon=True).start()
    figures = getattr(import_module(TASKS), task)(**json.loads(options))
    sys.stdout.write(json.dumps({"after_import": after_import, **figures}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
