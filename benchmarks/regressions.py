"""A short check that no stage has become slower than it was, on any machine and on a busy one.

What is compared is never a time but a *ratio*: a stage by a reference operation (a GEMM, a copy) measured in turn with
it in the same run. So that other processes at work are not taken for a regression, both sides run on one thread and are
timed by the seconds that the processor spent on them, the shortest of many laps counts, and a stage whose ratio is more
than twice the recorded one is measured again, twice, before it fails.

    python -m benchmarks.regressions            # check; the exit status is 1 where a stage has become slower
    python -m benchmarks.regressions --record   # write benchmarks/regressions.json anew, on a quiet machine

Record anew where a stage was made faster, and commit the file with the change.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from netspectra.bindings.bench.contests import OURS
from netspectra.bindings.bench.machine import describe_machine
from netspectra.bindings.bench.references import copy, gemm
from netspectra.bindings.bench.stages import StageContests, one_thread
from netspectra.bindings.bench.timing import take_turns
from netspectra.bindings.bench.workloads import WORKLOADS

__all__ = ["FILE", "Stage", "check", "main", "measure", "ratio", "stages"]

FILE = Path(__file__).with_suffix(".json")
WORST = 2.0
"""How many times its recorded ratio a stage may take."""
ATTEMPTS = 3
REPEATS, SECONDS = 40, 1.0
"""Laps of a stage and of its reference, in turn, and after how many seconds no further one begins."""
REFERENCES = {
    "shuffle": "copy",
    "build": "GEMM",
    "operator": "GEMM",
    "dense eigenpairs": "GEMM",
    "eigen": "GEMM",
    "k-means": "GEMM",
    "n-cut": "copy",
    "whole null": "GEMM",
}


@dataclass(frozen=True)
class Stage:
    """Something to be timed, and what it is timed against."""

    reference: str
    call: Callable[[], Any]


def main(arguments: list[str] | None = None) -> int:
    """Check or record, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help=f"write {FILE.name} anew")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    with one_thread():
        found = stages()
        if options.record:
            longer = ATTEMPTS * REPEATS, ATTEMPTS * SECONDS
            ratios = {name: ratio(measure(stage, *longer)) for name, stage in found.items()}
            content = {"machine": describe_machine(), "worst": WORST, "ratios": ratios}
            FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            print(f"recorded {len(ratios)} ratios")
            return 0
        slower = check(found, json.loads(FILE.read_text(encoding="utf-8"))["ratios"], print)
    print(f"{len(found)} stages, {len(slower)} slower than they may be, {time.perf_counter() - began:.0f} s")
    return 1 if slower else 0


def check(
    found: Mapping[str, Stage], recorded: Mapping[str, float], say: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Return the stages that are more than :data:`WORST` times as slow as recorded, whenever they are measured.

    A stage that is not recorded, or recorded but no longer there, counts as one: the file has to be made anew.
    """
    slower = [f"{name} (recorded, but there is no such stage: record anew)" for name in recorded.keys() - found.keys()]
    for name, stage in found.items():
        if name not in recorded:
            slower.append(f"{name} (not recorded: record anew)")
            continue
        best, worse = (inf, inf), inf
        for _ in range(ATTEMPTS):
            again = measure(stage)
            best = min(best[0], again[0]), min(best[1], again[1])
            worse = ratio(best) / recorded[name]
            if worse <= WORST:
                break
        verdict = "ok" if worse <= WORST else "SLOWER"
        say(f"{name:24} {worse:5.2f} times its recorded ratio to a {stage.reference}  {verdict}")
        if worse > WORST:
            slower.append(name)
    return slower


def measure(stage: Stage, repeats: int = REPEATS, seconds: float = SECONDS) -> tuple[float, float]:
    """The shortest lap of a stage, and the shortest of its reference, measured in turn."""
    calls = {"stage": stage.call, "reference": _reference(stage.reference)}
    laps = take_turns(calls, repeats, budget=seconds, clock=time.process_time)
    return laps["stage"].best, laps["reference"].best


def ratio(laps: tuple[float, float]) -> float:
    """A stage by its reference."""
    return laps[0] / laps[1]


def stages() -> dict[str, Stage]:
    """Every stage of a null network of W1, and of W1p those that differ where most weights are zero."""
    found = {}
    for name, contests in {w.name: StageContests(w) for w in WORKLOADS.values()}.items():
        for stage in contests.names:
            if name == "W1" or stage in ("shuffle", "eigen", "whole null"):
                found[f"{name} {stage}"] = Stage(REFERENCES[stage], contests.contest(stage).sides[OURS])
    return found


def _reference(name: str) -> Callable[[], object]:
    """A product of 512 x 512 float32 matrices on one thread, or a copy of 8 MB."""
    return gemm(512) if name == "GEMM" else copy(1 << 23)


if __name__ == "__main__":
    raise SystemExit(main())
