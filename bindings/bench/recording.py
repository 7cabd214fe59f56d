"""A record in the making: written after every step, and marked complete at the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netspectra.bindings.bench.accuracy import AccuracyError
from netspectra.bindings.bench.records import Goal, Measurement, Record

__all__ = ["Recording"]


@dataclass
class Recording:
    """A record in the making.

    Attributes
    ----------
    record : Record
    say : callable
        Told what is being done.
    path : Path, optional
        Written after every suite, so that a run that is stopped leaves its figures.
    """

    record: Record
    say: Callable[[str], None]
    path: Path | None = None

    def attempt(self, name: str, suite: Callable[[], object]) -> None:
        """Run a suite; a failed check of accuracy is recorded, and the run goes on."""
        self.say(name)
        try:
            suite()
        except AccuracyError as error:
            self.record.failures.append(f"{name}: {error}")
            self.say(f"{name} FAILED: {error}")
        self._write()

    def finish(self) -> None:
        """Mark the record as complete."""
        self.record.complete = True
        self._write()

    def _write(self) -> None:
        if self.path is not None:
            self.record.write(self.path)

    def add(self, found: Sequence[Measurement]) -> None:
        """Keep measurements."""
        self.record.measurements += found

    def goal(self, name: str, value: float, bound: float, *, at_least: bool = False, unit: str = "") -> None:
        """Keep a goal."""
        self.record.goals.append(Goal(name, value, bound, at_least, unit))
