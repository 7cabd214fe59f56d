"""NVRTC without a driver: kernels to cubins, and what the assembler says of registers and spills.

Answers are kept beside the host compiler's libraries, under a hash of the source, the options and NVRTC's version.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cuda_kernels.host_compiler import CompilationError, cache_folder, kernel_names

from netspectra.kernels.cuda.sources import VARIANTS, Kernel

__all__ = ["ARCHITECTURES", "Cubin", "Usage", "compile_cubin", "load_nvrtc", "variants"]

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
_OPTIONS = ("--std=c++17", "--ptxas-options=-v")
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_FIGURES = {
    "registers": re.compile(r"Used (\d+) registers"),
    "stack": re.compile(r"(\d+) bytes stack frame"),
    "spill_stores": re.compile(r"(\d+) bytes spill stores"),
    "spill_loads": re.compile(r"(\d+) bytes spill loads"),
    "shared": re.compile(r"(\d+) bytes smem"),
}


@dataclass(frozen=True)
class Usage:
    """What one kernel needs: registers of a thread, and bytes."""

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int


@dataclass(frozen=True)
class Cubin:
    """One compiled source.

    Attributes
    ----------
    kernels : dict
        By name, the kernels that the cubin has code of.
    warnings : str
        The log without the assembler's information.
    """

    size: int
    kernels: dict[str, Usage]
    warnings: str


def variants() -> list[Kernel]:
    """Return every source file with every choice of its types; the kernel's name is left open."""
    return [
        Kernel(file, "", tuple(zip(macros, types, strict=True)))
        for file, macros in sorted(VARIANTS.items())
        for types in itertools.product(*macros.values())
    ]


@cache
def load_nvrtc() -> Any:
    """Return NVRTC's Python module; raises ImportError or RuntimeError where it or its library is missing."""
    from cuda.bindings import nvrtc

    _compile(nvrtc, 'extern "C" __global__ void empty() {}', "sm_80")
    return nvrtc


def compile_cubin(source: str, architecture: str) -> Cubin:
    """Compile a source for one architecture, or find the answer of an earlier run."""
    nvrtc = load_nvrtc()
    version = "{}.{}".format(*_checked(nvrtc, nvrtc.nvrtcVersion()))
    key = "\0".join([version, _package_version(), architecture, *_OPTIONS, *_FIGURES, source])
    kept = cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    if kept.exists():
        answer = json.loads(kept.read_text(encoding="utf-8"))
        kernels = {name: Usage(**usage) for name, usage in answer["kernels"].items()}
        return Cubin(answer["size"], kernels, answer["warnings"])
    image, log = _compile(nvrtc, source, architecture)
    usages = _usages(log)
    names = [name for name in kernel_names(source) if f".text.{name}\0".encode() in image]
    notes = [line for line in log.strip("\0\n ").splitlines() if line.strip() and not line.startswith("ptxas ")]
    cubin = Cubin(len(image), {name: usages[name] for name in names}, "\n".join(notes))
    with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False, encoding="utf-8") as file:
        json.dump(asdict(cubin), file)
    Path(file.name).replace(kept)
    return cubin


def _compile(nvrtc: Any, source: str, architecture: str) -> tuple[bytes, str]:
    """Return the cubin and the log."""
    (program,) = _checked(nvrtc, nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, [], []))
    try:
        options = [option.encode() for option in (f"--gpu-architecture={architecture}", *_OPTIONS)]
        outcome = nvrtc.nvrtcCompileProgram(program, len(options), options)
        (size,) = _checked(nvrtc, nvrtc.nvrtcGetProgramLogSize(program))
        log = b" " * size
        _checked(nvrtc, nvrtc.nvrtcGetProgramLog(program, log))
        if outcome[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompilationError(f"NVRTC does not compile the kernel for {architecture}:\n{log.decode()[:4000]}")
        (size,) = _checked(nvrtc, nvrtc.nvrtcGetCUBINSize(program))
        image = b" " * size
        _checked(nvrtc, nvrtc.nvrtcGetCUBIN(program, image))
        return image, log.decode()
    finally:
        _checked(nvrtc, nvrtc.nvrtcDestroyProgram(program))


def _usages(log: str) -> dict[str, Usage]:
    """Read the assembler's report."""
    parts = _ENTRY.split(log)
    found = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        figures = {what: pattern.search(text) for what, pattern in _FIGURES.items()}
        found[name] = Usage(**{what: int(match[1]) if match else 0 for what, match in figures.items()})
    return found


def _checked(nvrtc: Any, answer: tuple[Any, ...]) -> tuple[Any, ...]:
    if answer[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC answers {answer[0]}")
    return answer[1:]


@cache
def _package_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    for name in ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""
