"""The first Python lines of README.md run as typed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_first_lines_run_as_typed(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None, "README.md has no Python block"
    program = found.group(1)
    statements = [line for line in program.splitlines() if line.strip() and not line.startswith("#")]
    assert len(statements) <= 5, "five lines at most"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "n-cut" in done.stdout
    assert "z " in done.stdout
    assert list(tmp_path.iterdir()) == [], "the lines leave files behind"
