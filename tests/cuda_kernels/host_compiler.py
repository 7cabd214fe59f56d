"""A C++ compiler for kernels: CUDA source behind the emulation header, as a shared library.

Libraries are kept in the system's folder for temporary files under a hash of everything that goes into them, so that a
second run of the tests compiles nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["CompilationError", "cache_folder", "compile_library", "find_compiler", "kernel_names"]

_HEADERS = Path(__file__).parent / "emulation"
# No contraction: a * b + c rounds twice, as in the NumPy twin, on every machine; a kernel that wants one rounding says
# fma. No aliasing rules: kernels view their bytes of shared memory as numbers.
_FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-strict-aliasing")
# A thread has 64 KB of stack.
_FRAMES = "-Werror=frame-larger-than=32768"
_BOUNDS = r"(?:__launch_bounds__\s*\(([^()]*)\)\s*)?"
_KERNEL = re.compile(rf"__global__\s+{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


class CompilationError(RuntimeError):
    """The compiler refuses a kernel."""


def find_compiler() -> str | None:
    """Return the C++ compiler: $CXX, else g++ or clang++ on the path."""
    for name in (os.environ.get("CXX", ""), "g++", "clang++"):
        if name and (found := shutil.which(name)):
            return found
    return None


def kernel_names(source: str) -> dict[str, str]:
    """Return the kernels that a source defines, and what stands in their launch bounds."""
    found = _KERNEL.findall(_COMMENT.sub(" ", source))
    return {name: before or after for before, after, name in found}


def compile_library(source: str, flags: tuple[str, ...] = ()) -> Path:
    """Compile a source for the host, or find the library of an earlier run."""
    compiler = find_compiler()
    if compiler is None:
        raise FileNotFoundError("there is no C++ compiler: neither $CXX nor g++ nor clang++")
    entries = "".join(f"EMULATED_KERNEL({name}, {bounds})\n" for name, bounds in kernel_names(source).items())
    kernels = re.sub(r"\bextern\s+__shared__", "extern", source)
    text = f'#include "emulate.h"\nnamespace {{\n#line 1 "kernel.cu"\n{kernels}\n}}\n{entries}'
    headers = "".join(path.read_text(encoding="utf-8") for path in sorted(_HEADERS.glob("*.h")))
    command = [compiler, *_FLAGS, _FRAMES, *flags]
    key = hashlib.sha256("\0".join([_version(compiler), *command, headers, text]).encode()).hexdigest()[:32]
    library = cache_folder() / f"{key}.so"
    if not library.exists():
        _build([*command, f"-I{_HEADERS}"], text, library)
    return library


def _build(command: list[str], text: str, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as work:
        code, built = Path(work) / "kernel.cpp", Path(work) / "kernel.so"
        code.write_text(text, encoding="utf-8")
        done = subprocess.run([*command, "-o", str(built), str(code)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompilationError(f"{command[0]} does not compile the kernel:\n{done.stderr[:4000]}")
        built.replace(library)  # at once, so that a run beside this one sees all of it or nothing


@cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout


@cache
def cache_folder() -> Path:
    """Return the folder for compiled kernels; it belongs to this user and lasts from run to run."""
    folder = Path(tempfile.gettempdir()) / f"netspectra-kernels-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder
