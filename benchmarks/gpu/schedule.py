"""Running stages one after the other within a budget, each in a process of its own.

A kernel that hangs, or one that breaks the CUDA context, then costs its own stage and not those that follow; and no
library finds the device's memory taken by another.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.gpu.record import Record
from benchmarks.gpu.stages import STAGES, Stage

__all__ = ["child", "run_stages"]

ROOT = Path(__file__).resolve().parents[2]
GRACE = 5.0
"""Seconds that a process has to end after it was asked to."""
MARGIN = 3.0
"""Seconds that a stage should be done before it is stopped."""
# JAX would take three quarters of the device's memory at its first array; the others keep what they have to themselves.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONFAULTHANDLER": "1"}


def run_stages(
    names: Iterable[str], budget: float, *, quick: bool, done: Callable[[str, dict[str, Any]], None]
) -> None:
    """Run stages in their order; what no longer fits into `budget` seconds is skipped, and said to be.

    `done` gets the name and the outcome of each: ``status`` ("ok", "failed", "out of time", "skipped"), ``seconds``,
    ``figures`` and ``checks``.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            stage, left = STAGES[name], budget - (time.monotonic() - started)
            if left < stage.least:
                why = f"{left:.0f} s of {budget:.0f} were left, it needs {stage.least:.0f} at least"
                done(name, {"status": "skipped", "seconds": 0.0, "why": why, "figures": {}, "checks": []})
                continue
            _say(f"{time.monotonic() - started:5.0f} s  {name}")
            outcome = _in_child(stage, min(stage.most, left), Path(folder) / f"{name}.json", quick=quick)
            _say(f"{time.monotonic() - started:5.0f} s  {name}: {outcome['status']}")
            done(name, outcome)


def child(name: str, into: Path, seconds: float, *, quick: bool) -> int:
    """Run one stage in this process, and leave its record in a file; the exit status is 1 after an exception."""
    record = Record(into)
    record.put()
    try:
        STAGES[name].run(record, seconds, quick=quick)
    except Exception:  # noqa: BLE001  (the report says what it was)
        text = traceback.format_exc()
        record.put(error=text[-3000:])
        sys.stderr.write(text)
        return 1
    return 0


def _in_child(stage: Stage, seconds: float, into: Path, *, quick: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--stage", stage.name, "--into", str(into)]
    command += ["--budget", f"{max(1.0, seconds - MARGIN):.1f}", *(["--quick"] if quick else [])]
    started = time.monotonic()
    code: int | None = None
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, start_new_session=True) as process:
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                _end(process)
    found = json.loads(into.read_text()) if into.is_file() else {"figures": {}, "checks": []}
    status = "out of time" if code is None else "ok" if code == 0 else "failed"
    if status == "failed" and "error" not in found["figures"]:
        found["figures"]["error"] = f"the process ended with status {code}"
    return {"status": status, "seconds": time.monotonic() - started, **found}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started: they are a session of their own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
