"""What a measurement was made on: processor, cores, versions, commit, date, load."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import threadpoolctl

__all__ = ["describe_machine", "n_cores"]

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("numpy", "scipy", "numba", "scikit-learn")


def n_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine() -> dict[str, Any]:
    """Describe machine, software and moment, as plain JSON types.

    `load` is the load average over the last minute before the run: more than a few tenths means that somebody else was
    at work, and that the figures are not to be published.
    """
    import scipy.linalg  # noqa: F401  (loads the BLAS that is to be named; late, for the measurement of memory)

    import netspectra as ns

    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": n_cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": sorted(
            {f"{p['internal_api']} {p['version']}" for p in threadpoolctl.threadpool_info() if p["version"]}
        ),
        "netspectra": ns.__version__,
        **{name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    found = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    name = found[0] if found else platform.processor() or "unknown"
    return f"{name} (AVX-512)" if " avx512f " in f"{text} " else name


def _commit() -> str | None:
    """Short hash of the checkout, with ``-dirty`` where tracked files differ from it; None outside a checkout."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
