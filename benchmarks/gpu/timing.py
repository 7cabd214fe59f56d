"""Seconds of a call, by the clock on the wall and by events on the device, after a warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

__all__ = ["Clock", "DeviceClock", "HostClock", "Lap", "Laps", "repeat"]


@dataclass(frozen=True)
class Lap:
    """One call: its result, wall-clock seconds, seconds between two device events (None without a device)."""

    result: Any
    seconds: float
    device_seconds: float | None


class Clock(Protocol):
    """Times a call, from an idle device to an idle device."""

    def time(self, call: Callable[[], Any]) -> Lap:
        """Call and time."""
        ...


class DeviceClock:
    """Events on the current stream, and the clock on the wall around them.

    Parameters
    ----------
    cupy : module
    """

    def __init__(self, cupy: Any) -> None:
        self._cuda = cupy.cuda

    def time(self, call: Callable[[], Any]) -> Lap:
        """Wait for the device, call, wait for it again."""
        begin, end = self._cuda.Event(), self._cuda.Event()
        self._cuda.Device().synchronize()
        started = time.perf_counter()
        begin.record(self._cuda.get_current_stream())  # the null stream by default, whichever is current
        result = call()
        end.record(self._cuda.get_current_stream())
        self._cuda.Device().synchronize()
        seconds = time.perf_counter() - started
        return Lap(result, seconds, self._cuda.get_elapsed_time(begin, end) / 1e3)


class HostClock:
    """The clock on the wall alone."""

    def time(self, call: Callable[[], Any]) -> Lap:
        """Call and time."""
        started = time.perf_counter()
        result = call()
        return Lap(result, time.perf_counter() - started, None)


@dataclass
class Laps:
    """A first call, which compiles and allocates, and repeats of it.

    Attributes
    ----------
    first : float
        Wall-clock seconds of the first call.
    seconds, device_seconds : list of float
        Of the repeats.
    last : object
        Result of the last call; earlier ones are dropped, for they may hold device memory.
    """

    first: float
    last: Any
    seconds: list[float] = field(default_factory=list)
    device_seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of the repeats; of the first call where there are none."""
        return median(self.seconds) if self.seconds else self.first

    def as_dict(self) -> dict[str, Any]:
        """Plain figures."""
        figures: dict[str, Any] = {"first": self.first, "seconds": self.seconds, "median": self.median}
        figures["repeats"] = len(self.seconds)
        if self.device_seconds:
            figures["device_seconds"] = self.device_seconds
            figures["device_median"] = median(self.device_seconds)
        return figures


def repeat(clock: Clock, call: Callable[[], Any], times: int, budget: float = float("inf")) -> Laps:
    """Call once, once more, and then up to `times` while all but the first are expected to take `budget` seconds.

    The first call compiles and allocates, so it says little about the others.
    """
    lap = clock.time(call)
    laps = Laps(lap.seconds, lap.result)
    spent = longest = 0.0
    while len(laps.seconds) < times and spent + longest <= budget:
        del lap
        laps.last = None
        lap = clock.time(call)
        laps.last = lap.result
        laps.seconds.append(lap.seconds)
        if lap.device_seconds is not None:
            laps.device_seconds.append(lap.device_seconds)
        spent += lap.seconds
        longest = max(laps.seconds)
    return laps
