"""Seconds of calls that take turns: whatever else the machine does falls on all sides alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

__all__ = ["Laps", "seconds_of", "spread_of", "take_turns"]


@dataclass
class Laps:
    """Seconds of the counted calls of one side, and the result of its last one."""

    seconds: list[float] = field(default_factory=list)
    last: Any = None

    @property
    def median(self) -> float:
        """The middle lap."""
        return median(self.seconds)

    @property
    def best(self) -> float:
        """The shortest lap: what the machine can do when it does nothing else."""
        return min(self.seconds)


def seconds_of(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Any]:
    """Seconds of a call, by the clock on the wall unless another is given, and its result."""
    start = clock()
    result = call()
    return clock() - start, result


def take_turns(
    calls: Mapping[str, Callable[[], Any]],
    repeats: int,
    *,
    warm_up: bool = True,
    budget: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Laps]:
    """Time several calls in turn: A, B, C, A, B, C ...

    Parameters
    ----------
    calls : mapping of str to callable
    repeats : int
        Counted turns, at least 1.
    warm_up : bool, default True
        Whether a first turn is not counted: it compiles, allocates and fills caches.
    budget : float
        Seconds after which no further turn begins; one is always counted.
    clock : callable
        What laps are timed by; ``time.process_time`` does not count what other processes do meanwhile.
    """
    laps = {name: Laps() for name in calls}
    began = time.perf_counter()
    if warm_up:
        for call in calls.values():
            call()
    for turn in range(repeats):
        if turn and time.perf_counter() - began > budget:
            break
        for name, call in calls.items():
            seconds, laps[name].last = seconds_of(call, clock)
            laps[name].seconds.append(seconds)
    return laps


def spread_of(seconds: list[float]) -> tuple[float, float]:
    """Lower and upper quartile; of a single lap that lap twice."""
    if len(seconds) < 2:
        return seconds[0], seconds[0]
    low, _, high = quantiles(seconds, n=4, method="inclusive")
    return low, high
