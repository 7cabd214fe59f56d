"""The benchmark for a GPU as a program: stages within a budget, in processes that may hang, and no GPU at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.gpu import __main__ as command  # noqa: E402
from benchmarks.gpu import device_tests, prepare, schedule  # noqa: E402
from benchmarks.gpu.record import Record  # noqa: E402

# -- plan, processes


def test_what_no_longer_fits_is_skipped(monkeypatch):
    monkeypatch.setattr(schedule, "_in_child", lambda *_, **__: {"status": "ok"})
    outcomes = {}
    schedule.run_stages(["facts", "tests", "density"], 15.0, quick=True, done=outcomes.__setitem__)
    assert {name: o["status"] for name, o in outcomes.items()} == {"facts": "ok", "tests": "skipped", "density": "ok"}
    assert outcomes["tests"]["why"] == "15 s of 15 were left, it needs 20 at least"


def test_a_stage_that_hangs_is_ended_with_all_that_it_started(monkeypatch, tmp_path):
    script, pids = tmp_path / "python", tmp_path / "pids"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 60 &\necho $$ $! > {pids}\nwait\n")
    script.chmod(0o755)
    monkeypatch.setattr(schedule, "GRACE", 0.1)
    monkeypatch.setattr(schedule.sys, "executable", str(script))
    outcome = schedule._in_child(schedule.STAGES["density"], 1.0, tmp_path / "out.json", quick=True)
    assert outcome["status"] == "out of time"
    assert outcome["seconds"] < 10
    for pid in map(int, pids.read_text().split()):
        assert not _is_running(pid)


def _is_running(pid):
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_stage_that_fails_leaves_its_error(monkeypatch, tmp_path, capsys):
    def run(record, seconds, *, quick):
        record.put(so_far=1)
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setitem(schedule.STAGES, "density", SimpleNamespace(run=run))
    assert schedule.child("density", tmp_path / "out.json", 1.0, quick=True) == 1
    found = json.loads((tmp_path / "out.json").read_text())["figures"]
    assert found["so_far"] == 1
    assert found["error"].splitlines()[-1] == "RuntimeError: CUDA_ERROR_ILLEGAL_ADDRESS"
    capsys.readouterr()


def test_checks_hold_numbers_only():
    record = Record()
    assert record.check("a", np.float32(1.0), 2)
    assert record.check("b", 3, 2, at_least=True)
    assert not record.check("c", float("nan"), 2)
    assert json.loads(json.dumps(record.as_dict()))["checks"][2]["value"] is None


def test_marked_tests_are_found_and_their_report_read():
    assert Path("tests/cuda_kernels/test_gpu_device.py") in device_tests.gpu_test_files()
    assert Path("tests/cuda_kernels/test_gpu_stages.py") not in device_tests.gpu_test_files()
    text = (
        '<testsuites><testsuite><testcase classname="t" name="a"/><testcase classname="t" name="b"><failure message='
        '"assert 1 == 2">long</failure></testcase><testcase name="c"><skipped/></testcase></testsuite></testsuites>'
    )
    found = device_tests.read_junit(text)
    assert (found["passed"], found["failed"], found["skipped"]) == (1, 1, 1)
    assert found["failures"] == [{"name": "t.b", "message": "assert 1 == 2"}]


# -- without a GPU


@pytest.mark.parametrize("entry", [command.main, lambda _: prepare.main(["--into", "nowhere"])])
def test_without_cupy_one_line_says_so(monkeypatch, capsys, entry):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert entry([]) == 2
    text = capsys.readouterr().out
    assert text.startswith("gpu-check: ")
    assert "cannot import CuPy" in text
    assert text.count("\n") == 1
    assert not Path("nowhere").exists()


def test_without_a_device_one_line_says_so(monkeypatch, capsys):
    def count():
        raise OSError("cudaErrorNoDevice: no CUDA-capable device is detected")

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=OSError)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    assert command.main([]) == 2
    assert capsys.readouterr().out == (
        "gpu-check: no CUDA device answers (cudaErrorNoDevice: no CUDA-capable device is detected); there is nothing "
        "to check on this machine\n"
    )


def test_a_missing_dependency_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(prepare, "no_device", lambda: None)
    monkeypatch.setattr(prepare, "_core_dependencies", lambda: ["numpy", "no-such-array-api", "rich"])
    assert prepare.main(["--into", str(tmp_path / "into")]) == 2
    text = capsys.readouterr().out
    assert "lacks no-such-array-api; put their wheels into a folder and run make gpu-check WHEELS=folder" in text


def test_the_copied_package_can_be_imported(tmp_path):
    prepare._copy_package(tmp_path)
    program = "import netspectra as ns, netspectra.kernels.cuda.sources as s; print(ns.__file__, len(s.VARIANTS))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program + "; s.Kernel('shuffle.cu', 'scatter', (('BITS', 'uint32'),)).source"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path))
