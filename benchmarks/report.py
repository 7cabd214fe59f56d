"""JSON files of runs as a Markdown page with log-log plots of how cost grows, and the exponents of the lines.

    python -m benchmarks.report benchmarks/results/cpu/*.json --into benchmarks/results/cpu

Files that are not of this kind are named and left out. Where several answer one question, the last file named counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from netspectra.bindings.bench.records import Record
from netspectra.bindings.bench.report import write_report
from netspectra.errors import FileFormatError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Write the page; the exit status is 2 where no file could be used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.json")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="folder of README.md and the plots")
    parser.add_argument("--title", default="Results on a CPU")
    options = parser.parse_args(arguments)
    records = []
    for path in options.files:
        try:
            records.append(Record.read(path))
        except (FileFormatError, OSError) as error:
            print(f"left out: {error}")
    if not records:
        print("no file of benchmarks among these")
        return 2
    print(write_report(records, options.into, options.title))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
