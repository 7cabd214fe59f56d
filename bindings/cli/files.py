"""The files a command names: networks to read (or examples), results to write whole or not at all."""

import json
import math
import os
from pathlib import Path
from typing import Any

from netspectra.bindings.examples import EXAMPLES, example_path
from netspectra.errors import FileFormatError, GraphError

__all__ = ["EXAMPLE_PREFIX", "as_json", "network_path", "parse_bytes", "require_writable", "write_text"]

EXAMPLE_PREFIX = "example:"

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}


def network_path(text: str) -> Path:
    """Return the path that FILE means, ``example:NAME`` being a network inside the package.

    Raises
    ------
    GraphError
        If there is no example of that name.
    FileFormatError
        If it is the bare name of an example, and no file.
    """
    if text.startswith(EXAMPLE_PREFIX):
        return example_path(text.removeprefix(EXAMPLE_PREFIX))
    path = Path(text)
    if text in EXAMPLES and not path.exists():
        msg = f"{text}: expected a file, but there is none; the example of that name is {EXAMPLE_PREFIX}{text}"
        raise FileFormatError(msg)
    return path


def parse_bytes(text: str | None) -> int | None:
    """Read a size such as ``2GB``, ``500 MiB`` or ``1e9``.

    Raises
    ------
    GraphError
        If it is none.
    """
    if text is None:
        return None
    number = text.strip().lower().removesuffix("b")
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if number.endswith(unit)), "")
    try:
        size = float(number.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        size = math.nan
    if not 1 <= size < 1 << 62:
        msg = f"--memory-limit: expected a size such as 2GB or 500MB, got {text!r}"
        raise GraphError(msg)
    return int(size)


def require_writable(path: Path | None) -> None:
    """Find out before a long run that its result could not be written.

    Raises
    ------
    OSError
    """
    if path is None:
        return
    if path.is_dir():
        raise IsADirectoryError(0, "expected a file to write, got a folder", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(0, "cannot be written: its folder does not exist", str(path))
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(0, "cannot be written: its folder is read-only", str(path))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: under a temporary name beside it, then renamed.

    Raises
    ------
    OSError
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def as_json(content: dict[str, Any]) -> str:
    """Return JSON that every parser reads and every encoding carries; `content` holds no NaN."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
