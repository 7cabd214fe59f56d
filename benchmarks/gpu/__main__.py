"""The check on a GPU: its tests, W1 to W4 timed and held against the CPU, peers, and where CSR begins to pay.

``make gpu-check`` prepares and runs it. One process per stage, at most eight minutes in all; the report goes to
``benchmarks/results/gpu/<device>.json`` and ``.md``, and is printed last. The exit status is 0 where every test and
every check of accuracy passed, 1 where not, 2 where there is no GPU to check.

    python -m benchmarks.gpu                         # everything
    python -m benchmarks.gpu --only W1,W3 --quick    # a trial, which leaves the published report alone
    python -m benchmarks.gpu --output some/folder    # the report also there
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from benchmarks.gpu.prepare import no_device
from benchmarks.gpu.report import Report, troubles
from benchmarks.gpu.schedule import child, run_stages
from benchmarks.gpu.stages import STAGES

__all__ = ["main"]

RESULTS = Path(__file__).resolve().parents[1] / "results" / "gpu"
BUDGET = 480.0


def main(arguments: list[str] | None = None) -> int:
    """Run the check, print the report, and return the exit status."""
    options = _parse_options(arguments)
    if options.stage:
        return child(options.stage, options.into, options.budget, quick=options.quick)
    if problem := no_device():
        print(f"gpu-check: {problem}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended and the report is printed
    names = [name for name in STAGES if name in options.only or name == "facts"] if options.only else list(STAGES)
    trial = bool(options.only or options.quick)
    folders = [folder for folder in (None if trial and options.output else RESULTS, options.output) if folder]
    asked = {"budget": options.budget, "quick": options.quick, "only": options.only}
    report = Report(folders, asked, trial=trial, commit=options.commit)
    started = time.monotonic()
    try:
        run_stages(names, options.budget, quick=options.quick, done=report.add)
    finally:
        report.data["seconds"] = time.monotonic() - started
        written = report.write()
        print(f"{report.markdown()}\n\n{time.monotonic() - started:.0f} s; written: {', '.join(map(str, written))}")
    return 1 if troubles(report.data) else 0


def _parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu-check", description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=_stage_names, metavar="A,B", help=f"some stages of: {', '.join(STAGES)}")
    parser.add_argument("--quick", action="store_true", help="small problems and few repeats: a trial")
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="SECONDS", help="in all (default 480)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write the report there too")
    parser.add_argument("--commit", help="what the report shall name where there is no git to ask")
    parser.add_argument("--stage", choices=list(STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _stage_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in STAGES]:
        message = f"no such stage: {', '.join(unknown)}; there are {', '.join(STAGES)}"
        raise argparse.ArgumentTypeError(message)
    return names


if __name__ == "__main__":
    raise SystemExit(main())
