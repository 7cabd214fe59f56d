"""The tests marked ``gpu``, run by pytest in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from benchmarks.gpu.record import Record

__all__ = ["gpu_test_files", "read_junit", "run"]

ROOT = Path(__file__).resolve().parents[2]
MARK = "mark.gpu"
MESSAGE = 400
"""Characters of each failure that are kept."""


def run(record: Record, seconds: float, *, quick: bool) -> None:
    """Stage: run the tests, keep counts, failures and the slowest; a failed test is a failed check."""
    files = gpu_test_files()
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", f"--junit-xml={junit}"]
        command += ["--durations=10", "--maxfail=5"] if quick else ["--durations=10"]
        environment = {**os.environ, "NETSPECTRA_REQUIRE": "gpu"}
        try:
            done = subprocess.run(
                [*command, *map(str, files)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
                timeout=max(5.0, seconds - 5),
            )  # fmt: skip
            status, text = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired as late:
            status, text = -1, _text(late.stdout) + _text(late.stderr) + "\nout of time"
        found = read_junit(junit.read_text()) if junit.is_file() else {}
    record.put(status=status, files=[path.name for path in files], tail=text[-3000:], **found)
    record.check("tests that failed", found.get("failed", 1) if status else 0, 0)
    record.check("tests that ran", found.get("passed", 0), 1, at_least=True)


def gpu_test_files() -> list[Path]:
    """Test files that name the marker: the others need not even be imported on a machine that lacks what they need."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path.relative_to(ROOT) for path in files if MARK in path.read_text(encoding="utf-8")]


def read_junit(text: str) -> dict[str, Any]:
    """Counts, and what failed, from pytest's XML report."""
    failures, counts = [], {"passed": 0, "failed": 0, "skipped": 0}
    for case in ET.fromstring(text).iter("testcase"):
        troubles = [child for child in case if child.tag in ("failure", "error")]
        if troubles:
            counts["failed"] += 1
            name = f"{case.get('classname', '')}.{case.get('name', '')}"
            failures.append({"name": name, "message": (troubles[0].get("message") or "")[:MESSAGE]})
        elif any(child.tag == "skipped" for child in case):
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return {**counts, "failures": failures}


def _text(output: str | bytes | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
