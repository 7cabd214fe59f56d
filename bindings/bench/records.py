"""What a run of benchmarks found, as plain JSON: machine, measurements, goals, what is missing and what failed."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from netspectra.bindings.bench.timing import spread_of
from netspectra.errors import FileFormatError
from netspectra.records import plain

__all__ = ["OURS", "Goal", "Measurement", "Record"]

OURS = "netspectra"
KIND, SCHEMA = "netspectra benchmarks", 1


@dataclass
class Measurement:
    """Seconds of one side of one question.

    Attributes
    ----------
    question : str
        What was asked; measurements of one question are compared with each other.
    side : str
        Who answered; :data:`OURS` is this package.
    seconds : list of float
        One per counted lap.
    unit : str
        What the seconds are per, e.g. ``"null network"``; empty: per call.
    parameters : dict
        Sizes: nodes, edges, k, nulls, threads.
    figures : dict
        Work and accuracy: iterations, residual, Kolmogorov-Smirnov p, bytes.
    axis : str, optional
        The parameter that this measurement is one point of a series over.
    finished : bool
        False where a peer was stopped: its seconds are then a lower bound.
    """

    question: str
    side: str
    seconds: list[float]
    unit: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    axis: str | None = None
    finished: bool = True

    @property
    def median(self) -> float:
        """The middle lap."""
        return median(self.seconds)

    @property
    def solved(self) -> bool:
        """Whether it finished, and did not end before its tolerance (SciPy's ``lobpcg`` warns of that)."""
        gave_up = any(str(each).startswith("Exited at iteration") for each in self.figures.get("warnings", ()))
        return self.finished and not gave_up and bool(self.figures.get("at_equal_residual", True))

    def by(self, ours: "Measurement") -> float:
        """How many times as long this took as `ours`: the median over laps taken in turn, else of medians."""
        if len(self.seconds) == len(ours.seconds):
            return median(a / b for a, b in zip(self.seconds, ours.seconds, strict=True))
        return self.median / ours.median


@dataclass
class Goal:
    """A figure, and what it should be at most (or at least)."""

    name: str
    value: float
    bound: float
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass
class Record:
    """One run.

    Attributes
    ----------
    machine : dict
        See :func:`netspectra.bindings.bench.machine.describe_machine`.
    options : dict
        What the run was started with.
    measurements : list of Measurement
    goals : list of Goal
    missing : dict of str to str
        Peers that are not installed, and how to install them.
    failures : list of str
        Checks of accuracy that failed; their times are not among the measurements.
    complete : bool
        False while the run goes on: so says the file of one that was interrupted.
    """

    machine: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    complete: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; every measurement with its median and quartiles."""
        found = {**asdict(self), "measurements": [_with_summary(each) for each in self.measurements]}
        found["goals"] = [{**asdict(goal), "met": goal.met} for goal in self.goals]
        written: dict[str, Any] = plain({"kind": KIND, "schema_version": SCHEMA, **found})
        return written

    def write(self, path: Path) -> None:
        """Write JSON, whole or not at all."""
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read what :meth:`write` wrote.

        Raises
        ------
        FileFormatError
            If it is something else.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            msg = f"{path}: expected JSON of a benchmark, got something else ({error})"
            raise FileFormatError(msg) from error
        if not isinstance(found, dict) or (found.get("kind"), found.get("schema_version")) != (KIND, SCHEMA):
            msg = f"{path}: expected JSON of kind {KIND!r}, schema_version {SCHEMA}; measure anew with this version"
            raise FileFormatError(msg)
        try:
            return cls(
                found["machine"],
                found["options"],
                [Measurement(**_without(each, "median", "quartiles")) for each in found["measurements"]],
                [Goal(**_without(each, "met")) for each in found["goals"]],
                found["missing"],
                found["failures"],
                found.get("complete", True),
            )
        except (KeyError, TypeError) as error:
            msg = f"{path}: this JSON of a benchmark lacks or has too much of something ({error}); measure anew"
            raise FileFormatError(msg) from error


def _with_summary(measurement: Measurement) -> dict[str, Any]:
    low, high = spread_of(measurement.seconds)
    return {**asdict(measurement), "median": measurement.median, "quartiles": [low, high]}


def _without(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}
