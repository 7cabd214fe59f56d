"""Drawing the progress of a long run: the engine calls ``(done, total, seconds)``, this module decides what is seen.

Rich is imported when there is something to draw, not before. Everything goes to standard error.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from netspectra.errors import GraphError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Report", "progress_drawer"]

Report = Callable[[int, int, float], None]
"""Called with replicates done, replicates in all, and seconds since the first began."""

PATIENCE = 2.0
"""Seconds before anything is drawn unasked."""

_PLAIN_EVERY = 10.0
"""Seconds between lines where nothing can be redrawn."""


@contextmanager
def progress_drawer(setting: bool | Report | None) -> Iterator[Report | None]:
    """Turn the `progress` option of a long run into what the engine calls, and clean up behind it.

    Parameters
    ----------
    setting : bool, callable or None
        None: a bar after two seconds if standard error is a terminal or this is a notebook, nothing otherwise. True: a
        bar at once; where nothing can be redrawn (a log file, a pipe), a plain line every ten seconds. False: nothing.
        A callable is passed through.

    Yields
    ------
    callable or None
        ``(done, total, seconds)``, or None where nothing will ever be shown.

    Raises
    ------
    GraphError
        If `setting` is none of these.
    """
    _require_setting(setting)
    stream: TextIO | None = sys.stderr  # None in a program without a console
    if callable(setting):
        yield setting
    elif setting is False or stream is None or stream.closed:
        yield None
    elif "ipykernel" in sys.modules or stream.isatty():  # told without importing Rich or IPython
        bar = _Bar(0.0 if setting else PATIENCE)
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield _PlainLines(stream) if setting else None


def _require_setting(setting: object) -> None:
    if setting is not None and not isinstance(setting, bool) and not callable(setting):
        msg = f"progress must be None, True, False or a callable (done, total, seconds), got {setting!r}"
        raise GraphError(msg)


class _Bar:
    """A Rich progress bar that appears when a run has taken `patience` seconds and is not over."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._drawn: tuple[Progress, TaskID] | None = None

    def __call__(self, done: int, total: int, seconds: float) -> None:
        """Show that `done` of `total` replicates took `seconds` s."""
        if self._drawn is None:
            if seconds < self._patience or done >= total:
                return
            self._drawn = _start_bar(done, total)
        progress, task = self._drawn
        progress.update(task, completed=done, total=total, rate=_rate(done, seconds))

    def close(self) -> None:
        """Remove the bar; nothing where none was drawn."""
        if self._drawn is not None:
            self._drawn[0].stop()
            self._drawn = None


class _PlainLines:
    """One line of text every ten seconds, and one at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0

    def __call__(self, done: int, total: int, seconds: float) -> None:
        """Write a line if it is time to."""
        if done < total and seconds - self._last < _PLAIN_EVERY:
            return
        self._last = seconds
        line = f"netspectra: {done:,} of {total:,} null networks, {seconds:.0f} s, {_rate(done, seconds)}\n"
        with suppress(OSError, ValueError):  # a log that is gone is no reason to lose the run
            self._stream.write(line)
            self._stream.flush()


def _rate(done: int, seconds: float) -> str:
    return f"{done / seconds:.1f} per second" if done and seconds > 0 else ""


def _start_bar(done: int, total: int) -> "tuple[Progress, TaskID]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("null networks"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    )
    progress.start()
    return progress, progress.add_task("null networks", completed=done, total=total, rate="")
