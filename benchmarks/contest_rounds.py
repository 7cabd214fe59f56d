"""One side of a contest under pytest-benchmark: timed after a warm-up, its answer checked, its figures recorded."""

from __future__ import annotations

from typing import Any

import pytest

from netspectra.bindings.bench.contests import Contest

__all__ = ["time_side"]


def time_side(benchmark: Any, contest: Contest, side: str, rounds: int) -> Any:
    """Time a side, check and record what it found, and return it; skip where the side does not exist here."""
    if side not in contest.sides:
        pytest.skip(f"{contest.question}: {side} is not asked on this workload, or not installed")
    benchmark.group = contest.question
    result = benchmark.pedantic(contest.sides[side], rounds=rounds, warmup_rounds=1)
    benchmark.extra_info.update(contest.parameters | contest.check(side, result))
    return result
