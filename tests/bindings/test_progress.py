"""Progress is drawn where it can be seen, after two seconds, and nowhere else."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr

import pytest

from netspectra.bindings.progress import progress_drawer
from netspectra.errors import GraphError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_nothing_is_drawn_into_a_pipe_unasked() -> None:
    pipe = io.StringIO()
    for setting in (None, False):
        with redirect_stderr(pipe), progress_drawer(setting) as report:
            assert report is None
    assert pipe.getvalue() == ""


def test_a_pipe_gets_plain_lines_when_asked() -> None:
    pipe = io.StringIO()
    with redirect_stderr(pipe), progress_drawer(True) as report:
        assert report is not None
        for done in range(1, 101):
            report(done, 100, done / 4)
    lines = pipe.getvalue().splitlines()
    assert lines[0] == "netspectra: 40 of 100 null networks, 10 s, 4.0 per second"
    assert lines[-1] == "netspectra: 100 of 100 null networks, 25 s, 4.0 per second"
    assert len(lines) == 3


def test_a_pipe_that_breaks_does_not_stop_the_run() -> None:
    pipe = io.StringIO()
    with redirect_stderr(pipe), progress_drawer(True) as report:
        pipe.close()
        assert report is not None
        report(1, 1, 20.0)
    with redirect_stderr(pipe), progress_drawer(True) as report:
        assert report is None


def test_a_terminal_sees_a_bar_after_two_seconds() -> None:
    terminal = Terminal()
    with redirect_stderr(terminal), progress_drawer(None) as report:
        assert report is not None
        report(1, 10, 0.5)
        report(3, 10, 1.9)
        assert terminal.getvalue() == ""
        report(4, 10, 2.1)
        report(9, 10, 3.0)
    assert "null networks" in terminal.getvalue()


def test_a_short_run_is_never_drawn() -> None:
    terminal = Terminal()
    with redirect_stderr(terminal), progress_drawer(None) as report:
        assert report is not None
        report(10, 10, 5.0)
    assert terminal.getvalue() == ""


def test_the_bar_is_removed_after_an_error() -> None:
    terminal = Terminal()

    def interrupted() -> None:
        with redirect_stderr(terminal), progress_drawer(True) as report:
            assert report is not None
            report(0, 10, 0.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.getvalue().endswith(("\x1b[?25h", "\x1b[2K")), "the cursor is shown again, the line erased"


def test_a_callable_is_passed_through_and_nonsense_refused() -> None:
    def report(done: int, total: int, seconds: float) -> None: ...

    with progress_drawer(report) as passed:
        assert passed is report
    with pytest.raises(GraphError, match="progress must be None, True, False or a callable"), progress_drawer(7):  # type: ignore[arg-type]
        pass


def test_rich_is_not_imported_until_something_is_drawn() -> None:
    program = (
        "import sys\n"
        "from netspectra.bindings.progress import progress_drawer\n"
        "with progress_drawer(None) as report: pass\n"
        "with progress_drawer(True) as report: report(1, 2, 11.0)\n"
        "sys.exit('rich' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
