"""The report of a check on a GPU: its tables, its files, and what counts as trouble."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.gpu import __main__ as command  # noqa: E402
from benchmarks.gpu.report import Report, troubles  # noqa: E402

LAPS = {"first": 9.0, "seconds": [0.11, 0.1], "median": 0.1, "repeats": 2, "device_median": 0.09}
CHECK = {"name": "largest |Lx - λx|", "value": 1e-6, "limit": 2e-5, "at_least": False, "ok": True}


def outcome(figures, *checks, status="ok", **more):
    return {"status": status, "seconds": 12.0, "figures": figures, "checks": list(checks), **more}


def ensemble(title, goal):
    plan = {"waves": [[1, 1000]], "reductions": ["free memory (1 GB): 500 replicates per wave, not 1000"]}
    return {
        "title": title,
        "n_nulls": 1000,
        "goal_seconds": goal,
        "median_seconds": 0.1234,
        "whole_test": LAPS,
        "plan": plan,
        "solver": "lobpcg",
        "dtype": "float32",
        "compile_seconds": 5.0,
        "iterations": 21,
        "residual": 3e-6,
        "stages": {"shuffle": LAPS, "eigen": LAPS},
        "stages_wave": 500,
        "cpu": {"equal_ncuts": 0.97, "ks_p": 0.8},
    }


def recorded():
    """Figures that nobody has measured, of the form that a run has."""
    device = {"name": "Test GPU 80GB", "driver": 13000, "runtime": 13000}
    machine = {"cores": 16, "processor": "CPU", "python": "3.12.3", "netspectra": "0.1.0", "commit": "abc1234"}
    ceilings = {"copy_gb_per_s": 2000.0, "read_gb_per_s": 2100.0, "float32_tflop_per_s": 40.0}
    single = {
        "title": "W4: language model",
        "goal_seconds": 1.5,
        "goal_bytes": 2_000_000_000,
        "median_seconds": 2.5,
        "clustering": LAPS,
        "eigenpairs": LAPS,
        "first_seconds": 11.0,
        "memory": {"used": 1, "acquired": 1_900_000_000, "device": 3},
        "iterations": 40,
        "one_product": {
            "shape": [4096, 11008],
            "vectors": 40,
            **{half: {"seconds": 1e-4, "gb_per_s": 900.0} for half in ("both", "|W| x", "|W|^T x")},
        },
    }
    solver = {**LAPS, "iterations": 30, "residual": 1e-5, "at_equal_residual": True}
    return {
        "facts": outcome({"device": device, "machine": machine, "versions": {"torch": "2.11"}, "ceilings": ceilings}),
        "tests": outcome({"status": 0, "passed": 190, "failed": 0, "skipped": 2, "failures": []}),
        "W1": outcome(ensemble("W1: dense", 0.15), CHECK),
        "W2": outcome(ensemble("W2: VGG", 0.05), CHECK),
        "W4": outcome(single, CHECK),
        "official": outcome({"processes": 16, "W1": {"per_null": 0.02}}),
        "peers-torch": outcome(
            {
                "title": "16 layers of 2,048, k = 16",
                "solvers": {"netspectra": solver, "torch.lobpcg, dense": {**solver, "at_equal_residual": False}},
                "not_measured": ["torch.lobpcg, CSR: RuntimeError: not so"],
            }
        ),
        "density": outcome(
            {
                "size": 4096,
                "vectors": 16,
                "densities": [{"density": 0.5, "dense": 1e-4, "csr": 9e-4}],
                "csr_is_faster_from_density": 0.05,
                "left_out": ["density 0.005"],
            }
        ),
        "W3": outcome({}, status="skipped", why="3 s of 480 were left, it needs 15 at least"),
    }


def make_report(folder, stages, **options):
    report = Report([folder], {"budget": 480.0}, **{"trial": False, **options})
    for name, found in stages.items():
        report.add(name, found)
    return report


def test_a_run_becomes_tables(tmp_path):
    report = make_report(tmp_path, recorded())
    text = report.markdown()
    assert text.startswith("# Test GPU 80GB\n")
    assert "commit abc1234" in text
    assert "| W1: dense | 150.0 ms | 123.4 ms | met | 2 | 100.0 ms |  | 9.0 s |  | 21 | 3.0e-06 |" in text
    assert "| W2: VGG | 50.0 ms | 123.4 ms | missed |" in text
    assert "| W4: language model | 1,500.0 ms | 2,500.0 ms | missed | 2 |" in text
    assert "| 1.90 GB (met) | 40 |" in text
    assert "| shuffle | 180.00 | 180.00 |" in text
    assert "| W1 | 16 processes | 20.0 ms | 123.4 µs | 162 |" in text
    assert "| torch.lobpcg, dense | 100.0 ms | 1.0 | 30 | 1.0e-05 (not reached) |" in text
    assert "free memory (1 GB): 500 replicates per wave, not 1000" in text
    assert "Not measured for want of time: W3 (3 s of 480 were left, it needs 15 at least); density: density" in text
    assert text.endswith("No troubles.")
    assert len(text) < 12_000
    assert "| netspectra, beside torch | 100.0 ms | 1.0 |" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| W")}
    assert widths <= {6, 7, 12}


def test_the_report_is_written_after_every_stage(tmp_path):
    make_report(tmp_path, {"facts": recorded()["facts"]})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test-gpu-80gb.json", "test-gpu-80gb.md"]
    found = json.loads((tmp_path / "test-gpu-80gb.json").read_text())
    assert (found["device"], found["commit"], found["troubles"]) == ("Test GPU 80GB", "abc1234", [])


def test_a_trial_leaves_the_published_report_alone(tmp_path):
    make_report(tmp_path, recorded(), trial=True, commit="of the caller")
    assert {path.name for path in tmp_path.iterdir()} == {"test-gpu-80gb.trial.json", "test-gpu-80gb.trial.md"}
    assert json.loads((tmp_path / "test-gpu-80gb.trial.json").read_text())["commit"] == "of the caller"


@pytest.mark.parametrize(
    ("stage", "found", "trouble"),
    [
        ("W1", outcome({}, {**CHECK, "ok": False, "value": 0.5}), "W1: largest |Lx - λx|: 0.5, at most 2e-05 wanted"),
        ("W1", outcome({}, {**CHECK, "ok": False, "value": None}), "W1: largest |Lx - λx|: not a number, at most"),
        ("W3", outcome({"error": "Traceback\nMemoryError: 1"}, status="failed"), "W3: failed: MemoryError: 1"),
        ("W4", outcome({}, status="out of time"), "W4: out of time"),
        ("W2", outcome({"not_measured": ["breakdown: KeyError: 1"]}), "W2: breakdown: KeyError: 1"),
    ],
)
def test_troubles_are_named(tmp_path, stage, found, trouble):
    report = make_report(tmp_path, {**recorded(), stage: found})
    (line,) = troubles(report.data)
    assert line.startswith(trouble)
    assert f"**Troubles:**\n\n- {trouble}" in report.markdown()


def test_failed_tests_are_listed(tmp_path):
    failures = [{"name": f"t.test_{i}", "message": "assert\n 1 == 2" * 100} for i in range(40)]
    check = {"name": "tests that failed", "value": 40.0, "limit": 0.0, "at_least": False, "ok": False}
    tests = outcome({"status": 1, "passed": 150, "failed": 40, "failures": failures}, check)
    report = make_report(tmp_path, {**recorded(), "tests": tests})
    text = report.markdown()
    assert "gpu tests: 150 passed, 40 failed, 0 skipped (status 1)" in text
    assert "- test_0, test_1, test_2 and 37 more: assert 1 == 2assert" in text
    assert len(text) < 12_000
    assert troubles(report.data) == ["tests: tests that failed: 40, at most 0 wanted"]


def test_the_command_prints_the_report_last(tmp_path, monkeypatch, capsys):
    stages = recorded()

    def run_stages(names, budget, *, quick, done):
        assert list(names) == ["facts", "W1"]
        for name in names:
            done(name, stages[name])

    monkeypatch.setattr(command, "no_device", lambda: None)
    monkeypatch.setattr(command, "run_stages", run_stages)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "published")
    assert command.main(["--only", "W1", "--output", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Test GPU 80GB (a trial)")
    assert text.rstrip().endswith(str(tmp_path / "test-gpu-80gb.trial.md"))
    assert not (tmp_path / "published").exists()
    stages["W1"] = outcome({}, status="failed")
    assert command.main(["--only", "W1", "--output", str(tmp_path)]) == 1


def test_a_stage_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["--only", "W9"])
    assert "no such stage: W9; there are facts, tests, W1" in capsys.readouterr().err
