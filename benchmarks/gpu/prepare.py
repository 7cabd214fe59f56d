"""Make netspectra importable for the check on a GPU, with this interpreter and without a network.

Only the standard library is used, for this runs before anything is known to be there. The package goes to a folder of
its own by ``pip install --no-deps --no-build-isolation --no-index --target``, from a wheel in the folder of wheels if
one is there, else from this checkout; where pip cannot build, the three folders are copied as ``pyproject.toml`` says.

    python -m benchmarks.gpu.prepare --into build/gpu --wheels some/folder
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

__all__ = ["main", "missing", "no_device"]

ROOT = Path(__file__).resolve().parents[2]
ONLY_FOR_THE_TERMINAL = ("rich", "typer")
"""Core dependencies that the check itself can do without."""
FOR_SOME_STAGES = {"scikit-learn": "the official pipeline", "pytest": "the tests", "hypothesis": "the tests"}


def main(arguments: list[str] | None = None) -> int:
    """Prepare the folder; the exit status is 2, after one line, where there is no GPU or something is missing."""
    options = _parse_options(arguments)
    if problem := no_device():
        print(f"gpu-check: {problem}")
        return 2
    shutil.rmtree(options.into, ignore_errors=True)
    options.into.mkdir(parents=True)
    sys.path.insert(0, str(options.into))
    absent = missing(_core_dependencies())
    if absent and options.wheels:
        _pip_install(["--find-links", str(options.wheels), *absent], options.into, one_by_one=True)
        importlib.invalidate_caches()
        absent = missing(absent)
    needed = [name for name in absent if name not in ONLY_FOR_THE_TERMINAL]
    if needed:
        print(
            f"gpu-check: {sys.executable} lacks {', '.join(needed)}; put their wheels into a folder and run "
            "make gpu-check WHEELS=folder"
        )
        return 2
    for name in absent:
        print(f"gpu-check: {name} is not installed; only the command line needs it")
    for name in missing(list(FOR_SOME_STAGES)):
        print(f"gpu-check: {name} is not installed; {FOR_SOME_STAGES[name]} will fail")
    print(f"gpu-check: netspectra {_install_package(options.into, options.wheels)}")
    return 0


def no_device() -> str | None:
    """Say why nothing can be checked on this machine; None where a CUDA device answers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import cupy
    except ImportError as error:
        return f"{sys.executable} cannot import CuPy ({error}); install cupy-cuda13x (or cupy-cuda12x) to check a GPU"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no CUDA device answers ({error}); there is nothing to check on this machine"
    return None if count else "this machine has no CUDA device; there is nothing to check"


def missing(names: list[str]) -> list[str]:
    """Those distributions of `names` that are not installed."""
    absent = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    return absent


def _core_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in project["dependencies"]]


def _install_package(into: Path, wheels: Path | None) -> str:
    """Install netspectra into a folder; return how."""
    if wheels and any(wheels.glob("netspectra-*.whl")):
        failed = _pip_install(["--find-links", str(wheels), "netspectra"], into)
        if not failed:
            return f"installed from a wheel in {wheels}"
    failed = _pip_install(["--no-build-isolation", str(ROOT)], into)
    if not failed:
        return "installed from this checkout by pip"
    _copy_package(into)
    return f"copied from this checkout, for pip could not build it: {failed}"


def _pip_install(what: list[str], into: Path, *, one_by_one: bool = False) -> str:
    """Install without a network; return the most telling line of an error, empty where there was none."""
    if one_by_one:
        options, names = what[:2], what[2:]
        return "; ".join(filter(None, (_pip_install([*options, name], into) for name in names)))
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
    command += ["--no-index", "--upgrade", "--target", str(into), *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if "error" in line.lower()]
    telling = [line for line in lines if "Error: " in line] or lines or [f"pip ended with status {done.returncode}"]
    return telling[-1]


def _copy_package(into: Path) -> None:
    """Lay out the folders as the wheel does."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for name, folder in sorted(tools["package-dir"].items()):  # the package before what lies inside it
        target = into.joinpath(*name.split("."))
        shutil.copytree(ROOT / folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="folder that is made anew")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="wheels of what this interpreter lacks")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
