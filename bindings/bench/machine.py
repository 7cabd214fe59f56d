"""What a measurement was made on: processor, cores, versions, commit, date, load."""

import datetime as dt
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import threadpoolctl

__all__ = ["describe_machine", "n_cores"]

PACKAGES = ("numpy", "scipy", "numba", "scikit-learn")
_WHERE_THIS_IS = Path("bindings", "bench", "machine.py")


def n_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine(checkout: Path | None = None) -> dict[str, Any]:
    """Describe machine, software and moment, as plain JSON types.

    `load` is the load average over the last minute before the run: more than a few tenths means that somebody else was
    at work, and that the figures are not to be published.

    Parameters
    ----------
    checkout : Path, optional
        Folder whose commit is named; by default the checkout that this very file is in, if it is in one.
    """
    import scipy.linalg  # noqa: F401  (loads the BLAS that is to be named; late, for the measurement of memory)

    from netspectra.kernels.memory import available_bytes
    from netspectra.records.version import installed_version

    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": _commit(checkout or _own_checkout()),
        "processor": _processor(),
        "cores": n_cores(),
        "free_memory_gb": round(available_bytes() / 1e9, 1),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": sorted(
            {f"{p['internal_api']} {p['version']}" for p in threadpoolctl.threadpool_info() if p["version"]}
        ),
        "netspectra": installed_version(),
        **{name: _release(name) for name in PACKAGES},
    }


def _release(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    found = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    name = found[0] if found else platform.processor() or "unknown"
    return f"{name} (AVX-512)" if " avx512f " in f"{text} " else name


def _own_checkout() -> Path | None:
    """Folder of the repository that this file belongs to, through links too; None for an installed copy.

    A copy may lie *inside* a checkout (in its virtual environment), whose commit would say nothing about it.
    """
    here = Path(__file__)
    for folder in here.resolve().parents:
        twin = folder / _WHERE_THIS_IS
        if twin.is_file() and twin.samefile(here):
            return folder
    return None


def _commit(checkout: Path | None) -> str | None:
    """Short hash of a checkout, with ``-dirty`` where tracked files differ from it; None outside one."""
    if checkout is None:
        return None
    git = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
