"""The page that is made of records: tables, plots with fitted lines, losses; the command line of both."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from netspectra.bindings.bench import selection
from netspectra.bindings.bench.contests import OURS
from netspectra.bindings.bench.ensembles import EnsembleSizes
from netspectra.bindings.bench.records import Goal, Measurement, Record
from netspectra.bindings.bench.report import write_report
from netspectra.bindings.bench.stages import one_thread
from netspectra.bindings.bench.workloads import RandomWorkload
from netspectra.bindings.cli import bench as command
from netspectra.bindings.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import regressions, report  # noqa: E402
from benchmarks import run as runs  # noqa: E402

TINY = RandomWorkload("tiny", "tiny: 40-30-20", (40, 30, 20), k=3, n_init=4)


def record(scale: float = 1.0) -> Record:
    """Return figures that nobody has measured, of the form that a run has."""
    compared = [Measurement("sorting", side, [scale * s]) for side, s in ((OURS, 2.0), ("NumPy", 1.0))]
    points = [
        Measurement(
            "more edges",
            OURS,
            [scale * 1e-6 * n**1.02, scale * 1.1e-6 * n**1.02],
            parameters={"edges": n},
            axis="edges",
        )
        for n in (1000, 10_000, 100_000)
    ]
    compared[0].figures["floor"] = 0.5 * scale
    compared.append(Measurement("sorting", "lazy", [0.1 * scale], figures={"at_equal_residual": False}))
    machine = {"date": "2000-01-01T00:00:00", "commit": "abc", "cores": 2, "processor": "CPU", "blas": ["x"]}
    return Record(machine, {}, compared + points, [Goal("fast", 19.0, 18.0, at_least=True)], {}, ["W9: residual 1"])


@pytest.mark.requires("matplotlib")
def test_a_page_has_goals_comparisons_losses_and_plots(tmp_path: Path) -> None:
    path = write_report([record(3.0), record()], tmp_path / "page")
    text = path.read_text()
    assert "| fast | 19 | at least 18 | met |" in text
    assert "| sorting | 2 s | NumPy | 1 s | 0.5 |" in text  # the last record counts
    assert "| sorting | NumPy | 0.50 |" in text
    assert "| sorting | 2 s | lazy | 100 ms | not solved |" in text
    assert "| sorting | lazy" not in text
    assert "| sorting | 2 s | 500 ms | 4.0 |" in text
    assert "Fitted exponent 1.020." in text
    assert "- W9: residual 1" in text
    assert "commit abc" in text
    assert [each.name for each in path.parent.glob("*.svg")] == ["edges-more-edges.svg"]
    assert "![more edges](edges-more-edges.svg)" in text


@pytest.mark.requires("matplotlib")
def test_a_plot_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = (write_report([record()], tmp_path / name).parent for name in "ab")
    assert (first / "edges-more-edges.svg").read_bytes() == (second / "edges-more-edges.svg").read_bytes()
    assert b"slope 1.02" in (first / "edges-more-edges.svg").read_bytes()


def test_a_page_without_series_needs_no_plot(tmp_path: Path) -> None:
    alone = Record({}, measurements=[Measurement("start-up", OURS, [0.1])])
    text = write_report([alone], tmp_path).read_text()
    assert "| start-up | 100 ms |" in text
    assert "Nowhere among these sizes." in text
    assert "Growth" not in text


def test_the_script_leaves_other_files_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, good = tmp_path / "other.json", tmp_path / "good.json"
    other.write_text("{}")
    Record({}, measurements=[Measurement("start-up", OURS, [0.1])]).write(good)
    assert report.main([str(other), str(good), "--into", str(tmp_path / "page")]) == 0
    assert "left out" in capsys.readouterr().out
    assert report.main([str(other), "--into", str(tmp_path / "none")]) == 2


# -- regressions


@pytest.fixture
def spinning(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], regressions.Stage]:
    """Return stages that take a multiple of their reference by a clock of their own."""
    now = [0.0]

    def spend(seconds: float) -> Callable[[], None]:
        return lambda: now.__setitem__(0, now[0] + seconds)

    monkeypatch.setattr(regressions.time, "process_time", lambda: now[0])
    monkeypatch.setattr(regressions, "_reference", lambda _: spend(1.0))
    return lambda seconds: regressions.Stage("GEMM", spend(seconds))


def test_a_regression_is_found(spinning: Callable[[float], regressions.Stage]) -> None:
    stages, said = {"fine": spinning(3.9), "worse": spinning(4.1)}, []
    assert regressions.check(stages, {"fine": 2.0, "worse": 2.0}, said.append) == ["worse"]
    assert "2.05 times its recorded ratio to a GEMM  SLOWER" in said[1]


def test_one_busy_moment_is_no_regression(spinning: Callable[[float], regressions.Stage]) -> None:
    costs = iter([50.0] * 60 + [2.0] * 100)
    stage = regressions.Stage("GEMM", lambda: spinning(next(costs)).call())
    assert regressions.check({"stage": stage}, {"stage": 2.0}) == []


def test_what_is_not_recorded_fails(spinning: Callable[[float], regressions.Stage]) -> None:
    slower = regressions.check({"new": spinning(1.0)}, {"gone": 1.0})
    assert len(slower) == 2
    assert all("record anew" in each for each in slower)


def test_every_stage_is_recorded() -> None:
    content = json.loads(regressions.FILE.read_text())
    assert {name.partition(" ")[2] for name in content["ratios"]} <= regressions.REFERENCES.keys()
    assert all(ratio > 0 for ratio in content["ratios"].values())


# -- benchmarks.run


def test_suites_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.main(["--list"]) == 0
    assert runs.main([]) == 0
    assert capsys.readouterr().out.count("ensembles ") == 2


@pytest.mark.parametrize(
    ("asked", "said"), [(["none"], "no suite 'none'"), (["stages", "--only", "no"], "nothing to do")]
)
def test_a_run_of_nothing_is_an_error(asked: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.main(asked) == 2
    assert said in capsys.readouterr().err


# -- netspectra bench


@pytest.mark.usefixtures("tiny")
def test_an_interrupted_bench_shows_what_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netspectra.bindings.bench.suites.Run.planted", interrupt)
    done = CliRunner().invoke(app, ["bench", "--json", str(tmp_path / "x.json")])
    assert done.exit_code == 130
    assert "Interrupted" in done.stdout
    assert "tiny shuffle" in done.stdout
    assert not Record.read(tmp_path / "x.json").complete


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ask tiny questions, of one thread each: OpenMP's threads wait for each other for seconds on a busy machine."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    chosen = selection.Selection(
        (TINY,),
        EnsembleSizes(nulls=4, peer_nulls=0, repeats=1, one_core=False),
        stage_seconds=0.5,
        clustering_seconds=0.5,
        stage_repeats=1,
        chain=(),
        nodes=800,
        peer_seconds=0.0,
        nulls=(),
    )
    monkeypatch.setattr(selection, "select", lambda *, quick: chosen)
    with one_thread():
        yield


@pytest.mark.usefixtures("tiny")
def test_bench_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    done = CliRunner().invoke(app, ["bench", "--quick", "--json", str(path)])
    assert done.exit_code == 0, done.output
    for text in ("question", "ratio", "tiny shuffle", "NumPy permutation"):
        assert text in done.stdout
    found = Record.read(path)
    assert found.options == {"quick": True}
    assert found.machine["cores"] >= 1
    questions = {each.question for each in found.measurements}
    assert {"tiny eigen", "tiny whole null"} <= questions
    assert any(question.startswith("planted partition of 800 nodes") for question in questions)
    assert found.failures == []


@pytest.mark.usefixtures("tiny")
def test_bench_names_peers_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("contests", "stages", "clusterings", "ensembles", "suites"):
        monkeypatch.setattr(f"netspectra.bindings.bench.{module}.has_sklearn", lambda: False)
    done = CliRunner().invoke(app, ["bench"])
    assert done.exit_code == 0, done.output
    assert "Not installed, so not asked: scikit-learn" in done.stdout
    assert "KMeans" not in done.stdout


def test_bench_refuses_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "--json", str(tmp_path / "none" / "x.json")])
    assert done.exit_code == 2
    assert "its folder does not exist" in done.stderr


@pytest.mark.usefixtures("tiny")
def test_a_failed_check_is_an_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspectra.bindings.bench.stages.RESIDUAL_LIMIT", -1.0)
    done = CliRunner().invoke(app, ["bench", "--quick"])
    assert done.exit_code == 1
    assert "CHECK FAILED" in done.stdout
    assert command.run_bench.__doc__


def test_a_selection_suits_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_seconds_per_null", lambda _: 0.5)
    slow = selection.select(quick=True)
    monkeypatch.setattr(selection, "_seconds_per_null", lambda _: 0.005)
    quick, full = selection.select(quick=True), selection.select(quick=False)
    assert slow.ensemble.nulls < quick.ensemble.nulls < full.ensemble.nulls <= 1000
    assert len(quick.workloads) == 1
    assert len(full.nulls) == 3
    monkeypatch.setattr(selection, "available_bytes", lambda: 10**6)
    assert selection.select(quick=True).chain[0] < quick.chain[0]
