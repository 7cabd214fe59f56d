"""The wheel holds what git tracks: a subpackage missing from pyproject.toml's list imports here, but not elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import pytest

import netspectra

ROOT = Path(__file__).resolve().parents[1]

#: Folder of the checkout -> where the wheel has it.
FOLDERS = {"engine": "netspectra", "kernels": "netspectra/kernels", "bindings": "netspectra/bindings"}

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def tracked() -> list[PurePosixPath]:
    """Return the files that git tracks or would track: untracked ones count, ignored ones do not."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("git: not a checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [PurePosixPath(name) for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tracked: list[PurePosixPath], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, since setuptools packs whatever an earlier build left in `build/`."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked:
        if name.parts[0] in FOLDERS or len(name.parts) == 1:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(out), str(copy)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.iterdir()
    return built


def test_wheel_holds_every_tracked_file(wheel: Path, tracked: list[PurePosixPath]) -> None:
    expected = {
        str(PurePosixPath(FOLDERS[name.parts[0]], *name.parts[1:])) for name in tracked if name.parts[0] in FOLDERS
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert sorted(expected - packed) == [], "tracked, but not in the wheel: see [tool.setuptools] in pyproject.toml"
    assert sorted(packed - expected) == [], "in the wheel, but not tracked"


def test_wheel_is_pure_python_and_carries_the_licence(wheel: Path) -> None:
    assert wheel.name == f"netspectra-{version('netspectra')}-py3-none-any.whl"
    notes = {name.partition(".dist-info/")[2] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" in name}
    assert {"licenses/LICENSE", "entry_points.txt", "METADATA"} <= notes


def test_version_is_the_same_everywhere() -> None:
    assert netspectra.__version__ == version("netspectra")
    assert f"## [{netspectra.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
