"""What every stage works with: a backend, an array module, a clock, a record, and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gpu.record import Record
from benchmarks.gpu.timing import Clock, DeviceClock, HostClock, Laps, repeat

__all__ = ["Bench", "device_bench", "host_bench"]


@dataclass
class Bench:
    """Tools of one stage.

    Attributes
    ----------
    backend : Backend
        The CUDA backend, or an emulated one.
    lib : module
        CuPy, or NumPy where the backend is emulated.
    clock : Clock
    record : Record
    deadline : float
        By ``time.monotonic``: when the stage should have ended.
    quick : bool
        Small problems and few repeats: a trial.
    """

    backend: Any
    lib: Any
    clock: Clock
    record: Record = field(default_factory=Record)
    deadline: float = float("inf")
    quick: bool = False

    @property
    def xp(self) -> Any:
        """Array namespace of the backend."""
        return self.backend.xp

    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - time.monotonic())

    def repeat(self, call: Callable[[], Any], times: int, share: float = 1.0) -> Laps:
        """Time a call after a warm-up, within a share of the time that is left."""
        return repeat(self.clock, call, times, share * self.left())

    def has_time(self, seconds: float, what: str) -> bool:
        """Whether that much is left; the record says what was left out for want of it."""
        if self.left() >= seconds:
            return True
        left_out = [*self.record.figures.get("left_out", []), what]
        self.record.put(left_out=left_out)
        return False

    def release(self) -> None:
        """Give cached device memory back."""
        self.backend.free_memory()

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Go on after an error in something that the rest of the stage does not need; the record keeps the error."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (whatever a foreign library raises: the report names it)
            failed = [*self.record.figures.get("not_measured", []), f"{what}: {type(error).__name__}: {error}"[:600]]
            self.record.put(not_measured=failed)
            self.say(failed[-1])

    def say(self, text: str) -> None:
        """Tell whoever looks on."""
        print(f"    {text}", file=sys.stderr, flush=True)


def device_bench(record: Record, seconds: float, *, quick: bool) -> Bench:
    """Tools on the current CUDA device, for a stage of that many seconds."""
    import cupy

    import netspectra as ns

    return Bench(ns.get_backend("cuda"), cupy, DeviceClock(cupy), record, time.monotonic() + seconds, quick)


def host_bench(backend: Any) -> Bench:
    """Tools with NumPy in the place of CuPy, for a backend that is emulated."""
    import numpy as np

    return Bench(backend, np, HostClock(), quick=True)
