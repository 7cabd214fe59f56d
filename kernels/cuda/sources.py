"""The CUDA C++ sources: which kernels there are, and the one self-contained text that a compiler gets for each.

Includes of our own are expanded here, because compilation caches hash the text they are given and not the headers it
names. Types are macros defined in front of the text, so that only what a run needs is compiled.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["INDEX_TYPES", "STORE_TYPES", "VARIANTS", "WORK_TYPES", "Kernel"]

STORE_TYPES = ("float16", "bfloat16", "float32", "float64")
"""Storage dtypes of weights."""
WORK_TYPES = ("float32", "float64")
INDEX_TYPES = ("int32", "int64")
BITS_TYPES = ("uint16", "uint32", "uint64")
VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "csr.cu": {"STORE": STORE_TYPES, "INDEX": INDEX_TYPES, "WORK": WORK_TYPES},
    "draws.cu": {"STORE": STORE_TYPES, "WORK": WORK_TYPES},
    "eigh.cu": {"WORK": WORK_TYPES},
    "kmeans.cu": {"WORK": WORK_TYPES},
    "products.cu": {"STORE": STORE_TYPES, "WORK": WORK_TYPES, "WIDTH": ("4", "8", "16", "24", "32")},
    "scaled.cu": {"STORE": STORE_TYPES, "INDEX": INDEX_TYPES, "WORK": WORK_TYPES},
    "shuffle.cu": {"BITS": BITS_TYPES},
    "sums.cu": {"STORE": STORE_TYPES, "INDEX": INDEX_TYPES},
}
"""Each source file, and what each of its macros may stand for: what the tests compile and run."""

_C_NAME = {"float32": "float", "float64": "double"}
_INCLUDE = re.compile(r'^#include "([a-z_]+\.cuh)"$', re.MULTILINE)


@dataclass(frozen=True)
class Kernel:
    """One kernel of one source file, for given dtypes.

    Attributes
    ----------
    file : str
        E.g. ``"shuffle.cu"``.
    name : str
        Its ``extern "C"`` name.
    types : tuple of (macro, dtype name)
    """

    file: str
    name: str
    types: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> str:
        """Self-contained CUDA C++, equal for all kernels of a file with the same types."""
        return _translation_unit(self.file, self.types)


@cache
def _translation_unit(file: str, types: tuple[tuple[str, str], ...]) -> str:
    defines = "".join(f"#define {macro} {_C_NAME.get(dtype, dtype)}\n" for macro, dtype in types)
    return defines + _expanded(file, set())


def _expanded(file: str, seen: set[str]) -> str:
    """Text of a file with its own includes in place, each once."""
    seen.add(file)
    text = files("netspectra.kernels.cuda").joinpath(file).read_text(encoding="utf-8").replace("#pragma once\n", "")

    def put(match: "re.Match[str]") -> str:
        return "" if match[1] in seen else _expanded(match[1], seen)

    return _INCLUDE.sub(put, text)
