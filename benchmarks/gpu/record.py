"""What a stage found out: figures and checks, on disk after every change, so that a killed stage leaves them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Record", "as_json"]


class Record:
    """Figures and checks of one stage.

    Parameters
    ----------
    path : Path, optional
        JSON file that is written after every change.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.figures: dict[str, Any] = {}
        self.checks: list[dict[str, Any]] = []
        self._path = path

    def put(self, **figures: Any) -> None:
        """Keep some figures."""
        self.figures |= figures
        self._write()

    def check(self, name: str, value: float, limit: float, *, at_least: bool = False) -> bool:
        """Keep the outcome of a test of accuracy: `value` at most (or at least) `limit`; NaN fails."""
        value, limit = float(value), float(limit)
        ok = value >= limit if at_least else value <= limit
        self.checks.append({"name": name, "value": value, "limit": limit, "at_least": at_least, "ok": bool(ok)})
        self._write()
        return bool(ok)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        found: dict[str, Any] = as_json({"figures": self.figures, "checks": self.checks})
        return found

    def _write(self) -> None:
        if self._path is not None:
            partial = self._path.with_suffix(".partial")
            partial.write_text(json.dumps(self.as_dict()) + "\n")
            partial.replace(self._path)


def as_json(value: Any) -> Any:
    """Plain JSON types: NumPy scalars and arrays unpacked, numbers that JSON does not have as None."""
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [as_json(item) for item in value]
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, np.generic):
        return as_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
