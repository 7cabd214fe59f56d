"""Records of benchmarks: there and back, compared, tabled; laps that take turns; checks that fail."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from netspectra.bindings.bench.accuracy import (
    AccuracyError,
    adjusted_rand_index,
    require,
    require_same_distribution,
)
from netspectra.bindings.bench.contests import OURS, Contest, run_contest
from netspectra.bindings.bench.machine import describe_machine, n_cores
from netspectra.bindings.bench.records import Goal, Measurement, Record
from netspectra.bindings.bench.suites import Run
from netspectra.bindings.bench.tables import COLUMNS, as_time, comparison_rows, goal_rows, losses, markdown
from netspectra.bindings.bench.timing import spread_of, take_turns
from netspectra.errors import FileFormatError


@pytest.fixture
def record() -> Record:
    ours = Measurement("sorting", OURS, [1.0, 2.0, 3.0], "null network", {"edges": 10}, {"iterations": 7})
    peer = Measurement("sorting", "a|peer", [4.0, 5.0, 6.0], figures={"residual": float("nan")})
    slow = Measurement("adding", OURS, [0.002])
    fast = Measurement("adding", "NumPy", [0.001])
    stopped = Measurement("adding", "SciPy", [0.0005], finished=False)
    alone = Measurement("start-up", OURS, [0.5])
    point = Measurement("more nulls", OURS, [0.5], parameters={"nulls": 10}, axis="nulls")
    goals = [Goal("fast", 20.0, 18.0, at_least=True), Goal("short", 61.0, 60.0, unit=" s")]
    return Record(
        {"cores": 2}, {"quick": True}, [ours, peer, slow, fast, stopped, alone, point], goals, {"sklearn": "pip"}, ["x"]
    )


def test_a_record_comes_back_from_its_file(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    record.write(path)
    found = Record.read(path)
    record.measurements[1].figures["residual"] = None  # JSON has no NaN
    assert found == record
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    first = json.loads(path.read_text())["measurements"][0]
    assert first["median"] == 2
    assert first["quartiles"] == [1.5, 2.5]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"kind": "other"}', '{"kind": "netspectra benchmarks", "schema_version": 1}'],
    ids=["empty", "list", "other kind", "no content"],
)
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"run\.json: .*benchmark"):
        Record.read(path)


def test_rows_compare_every_peer_with_ours(record: Record) -> None:
    rows = comparison_rows(record.measurements)
    assert [row[0] for row in rows] == ["sorting", "adding", "adding", "start-up"]
    assert rows[0][2:] == ("a|peer", "5 s ± 10%", "2.5", "7 iterations")
    assert rows[1][4] == "0.5"
    assert rows[2][3:5] == ("> 500 µs", "> 0.2")
    assert losses(record.measurements) == [("adding", "NumPy", "0.50")]  # who was stopped was not faster


def test_a_peer_that_gave_up_has_no_ratio() -> None:
    said = {"warnings": ["Exited at iteration 2000 with accuracies "]}
    found = [Measurement("sorting", OURS, [2.0]), Measurement("sorting", "lazy", [1.0], figures=said)]
    assert comparison_rows(found)[0][4] == "not solved"
    assert losses(found) == []


def test_a_record_is_incomplete_until_it_is_finished(record: Record, tmp_path: Path) -> None:
    run = Run(record, lambda _: None, tmp_path / "run.json")
    run.attempt("nothing", lambda: None)
    assert not Record.read(tmp_path / "run.json").complete
    run.finish()
    assert Record.read(tmp_path / "run.json").complete


def test_laps_in_turn_are_compared_within_a_turn() -> None:
    ours, peer = Measurement("q", OURS, [1.0, 10.0, 2.0]), Measurement("q", "p", [3.0, 30.0, 6.0])
    assert peer.by(ours) == 3
    assert Measurement("q", "p", [8.0]).by(ours) == 4


def test_goals_are_met_or_missed(record: Record) -> None:
    assert [goal.met for goal in record.goals] == [True, False]
    assert [row[-1] for row in goal_rows(record.goals)] == ["met", "**missed**"]


def test_markdown_escapes_bars(record: Record) -> None:
    lines = markdown(COLUMNS, comparison_rows(record.measurements)).splitlines()
    assert len(lines) == 6
    assert all(line.replace("\\|", "").count("|") == len(COLUMNS) + 1 for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"), [(123.4, "123 s"), (1.234, "1.23 s"), (0.0124, "12.4 ms"), (3e-7, "0.3 µs")]
)
def test_times_are_told_in_three_digits(seconds: float, text: str) -> None:
    assert as_time(seconds) == text


def test_sides_take_turns() -> None:
    order: list[str] = []
    laps = take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3  # the first turn warms up
    assert [len(laps[side].seconds) for side in "ab"] == [2, 2]
    assert spread_of([1.0]) == (1.0, 1.0)


def test_no_turn_begins_once_the_budget_is_spent() -> None:
    ticks = iter(range(100))
    laps = take_turns({"a": lambda: None}, 50, budget=-1.0, clock=lambda: next(ticks))["a"]
    assert laps.seconds == [1]  # by the clock it was given, and one turn is always counted


def test_a_contest_reports_nothing_that_was_not_checked() -> None:
    def check(side: str, result: int) -> dict[str, int]:
        require(result == 1, f"{side} is wrong")
        return {"iterations": result}

    right = run_contest(Contest("q", {OURS: lambda: 1, "peer": lambda: 1}, check, {"k": 2}), 3)
    assert [(each.side, each.figures, each.parameters) for each in right] == [
        (side, {"iterations": 1}, {"k": 2}) for side in (OURS, "peer")
    ]
    with pytest.raises(AccuracyError, match="peer is wrong"):
        run_contest(Contest("q", {OURS: lambda: 1, "peer": lambda: 2}, check), 1)


def test_samples_of_different_distributions_fail() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 300))
    assert require_same_distribution(first, second) > 0.01
    with pytest.raises(AccuracyError, match="null n-cuts differ"):
        require_same_distribution(first, second + 0.5)
    with pytest.raises(AccuracyError, match="1 of our null networks failed"):
        require_same_distribution(np.append(first, np.nan), second)


def test_rand_index_by_pairs() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(-1, 3, 40), rng.integers(0, 4, 40)
    together = [x[:, None] == x[None, :] for x in (a, b)]
    upper = np.triu_indices(40, 1)
    both, first, second = (np.sum(m[upper]) for m in (together[0] & together[1], *together))
    expected = first * second / upper[0].size
    assert adjusted_rand_index(a, b) == pytest.approx((both - expected) / ((first + second) / 2 - expected))
    assert adjusted_rand_index(a, 3 - a) == 1
    assert adjusted_rand_index(a, np.zeros(40, int)) == 0


def test_the_machine_is_described_in_plain_json() -> None:
    found = describe_machine()
    assert json.loads(json.dumps(found)) == found
    assert found["cores"] == n_cores() >= 1
    assert {"processor", "python", "numpy", "scipy", "numba", "commit", "load", "date"} <= found.keys()
    assert describe_machine(Path("/"))["commit"] is None
