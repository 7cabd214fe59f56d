"""The command line: exit codes, one-line errors, JSON that parses, files whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import netspectra.significance
from netspectra.bindings.cli.app import app
from netspectra.bindings.cli.files import parse_bytes
from netspectra.bindings.readers import load
from netspectra.errors import GraphError, NullFailureError
from netspectra.significance import ClusterabilityResult, clusterability_test

Run = Callable[..., Result]
Engine = Callable[..., Any]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, result: SimpleNamespace) -> dict[str, Any]:
    """Put a stand-in where the engine is, and record what it is asked."""
    question: dict[str, Any] = {"calls": 0}

    def stand_in(graph: Any, n_clusters: int = 12, **options: Any) -> SimpleNamespace:
        question.update(options, graph=graph, n_clusters=n_clusters, calls=question["calls"] + 1)
        if isinstance(question.get("raise"), BaseException):
            raise question["raise"]
        return result

    monkeypatch.setattr(netspectra.significance, "clusterability_test", stand_in, raising=False)
    return question


@pytest.fixture
def network(tmp_path: Path) -> Path:
    np.savez(tmp_path / "net.npz", a=np.ones((5, 4)), b=np.ones((4, 3)), bias=np.ones(3))
    return tmp_path / "net.npz"


def is_one_line_error(result: Result) -> bool:
    return (
        result.exit_code == 2
        and result.stderr.startswith("netspectra: error: ")
        and result.stderr.count("\n") == 1
        and not result.stdout
    )


def test_options_reach_the_engine(run: Run, network: Path, asked: dict[str, Any]) -> None:
    assert run("test", network).exit_code == 0
    assert asked["n_clusters"] == 12
    defaults = {"n_nulls": 1000, "null": "shuffle", "seed": 0, "n_init": 25, "select": "inertia", "solver": "auto"}
    assert {key: asked[key] for key in defaults} == defaults
    assert asked["stop"] == "fixed"
    options = "--clusters 3 --nulls 7 --null kde --seed 5 --n-init 4 --select ncut --solver lobpcg --backend cpu"
    done = run(
        "test",
        network,
        *options.split(),
        "--batch-size",
        6,
        "--memory-limit",
        "2GB",
        "--order",
        "a, b",
        "--stop",
        "sequential",
    )
    assert done.exit_code == 0
    expected = {"n_clusters": 3, "n_nulls": 7, "null": "kde", "seed": 5, "n_init": 4, "select": "ncut"}
    expected |= {"stop": "sequential", "solver": "lobpcg", "batch_size": 6, "memory_limit": 2 * 10**9}
    assert {key: asked[key] for key in expected} == expected
    assert asked["backend"].name == "cpu"
    assert len(asked["graph"].blocks) == 2


def test_the_whole_way_with_the_engine(run: Run, network: Path) -> None:
    """No stand-in: what the command line writes is what the engine says, and a saved result reads back."""
    out = network.parent / "result.npz"
    done = run("test", network, "--clusters", 2, "--nulls", 5, "--json", "-", "--save", out)
    assert done.exit_code == 0, done.stderr
    result = clusterability_test(load(network), 2, n_nulls=5)
    told = json.loads(done.stdout)
    assert told["schema_version"] == 1
    assert told["null_ncuts"] == result.null_ncuts.tolist()
    assert done.stderr.rstrip().endswith(result.verdict)
    assert ClusterabilityResult.load(out).ncut == result.ncut
    assert run("test", network, "--clusters", 2, "--nulls", 0).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--clusters", "1"),
        ("--clusters", "500"),
        ("--nulls", "-3"),
        ("--stop", "early"),
        ("--null", "scramble"),
        ("--seed", "-1"),
        ("--backend", "abacus"),
        ("--backend", "cuda"),
        ("--solver", "guess"),
        ("--select", "worst"),
        ("--batch-size", "0"),
        ("--memory-limit", "1"),
    ],
)
def test_questions_that_make_no_sense_are_one_line_errors(run: Run, network: Path, arguments: tuple[str, str]) -> None:
    done = run("test", network, "--clusters", 2, "--nulls", 2, *arguments)
    assert is_one_line_error(done), done.stderr


def test_a_result_is_shown_on_standard_output(run: Run, network: Path, asked: dict[str, Any]) -> None:
    done = run("test", network)
    assert "4.0000 ± 0.1000" in done.stdout
    assert done.stdout.endswith("More modular than chance.\n")
    assert done.stderr == ""


def test_json_to_standard_output_moves_the_tables_away(run: Run, network: Path, asked: dict[str, Any]) -> None:
    done = run("test", network, "--json", "-")
    assert json.loads(done.stdout) == {"schema_version": 1, "ncut": 3.5, "null_ncuts": [4.0, 4.1, None, 3.9]}
    assert "More modular than chance." in done.stderr


def test_files_are_written_whole(run: Run, network: Path, asked: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = run("test", network, "--json", out / "r.json", "--save", out / "r.npz")
    assert done.exit_code == 0
    assert json.loads((out / "r.json").read_text(encoding="utf-8"))["ncut"] == 3.5
    assert sorted(path.name for path in out.iterdir()) == ["r.json", "r.npz"]


def test_a_result_that_could_not_be_written_is_never_begun(run: Run, network: Path, asked: dict[str, Any]) -> None:
    for option, target in (("--json", network.parent / "no" / "r.json"), ("--save", network.parent)):
        done = run("test", network, option, target)
        assert is_one_line_error(done), done.stderr
        assert str(target) in done.stderr
    assert asked["calls"] == 0


def test_examples_are_files_too(run: Run, asked: dict[str, Any]) -> None:
    assert run("test", "example:mnist-mlp").exit_code == 0
    assert asked["graph"].n_nodes == 1818
    assert "the example of that name is example:mnist-mlp" in run("test", "mnist-mlp").stderr
    assert is_one_line_error(run("test", "example:resnet"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("test", "nowhere.npz"),
        ("inspect", "nowhere.safetensors"),
        ("test", "model.pt"),
        ("test", "{network}", "--orientation", "sideways"),
        ("test", "{network}", "--orientation", "out-in"),
        ("test", "{network}", "--order", "a,c"),
        ("test", "{network}", "--memory-limit", "lots"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    run: Run, network: Path, asked: dict[str, Any], arguments: tuple[str, ...]
) -> None:
    done = run(*(argument.format(network=network) for argument in arguments))
    assert is_one_line_error(done), done.stderr
    assert asked["calls"] == 0


def test_errors_of_the_engine_are_one_line(run: Run, network: Path, asked: dict[str, Any]) -> None:
    for error in (GraphError("k must be\nat least 2\x1b[31m"), NullFailureError("3 of 7"), MemoryError("8 GB")):
        asked["raise"] = error
        assert is_one_line_error(run("test", network))
        assert "\x1b" not in run("test", network).stderr
    asked["raise"] = KeyboardInterrupt()
    assert run("test", network).exit_code == 130


@pytest.mark.parametrize("arguments", [(), ("test",), ("nonsense",), ("test", "x.npz", "--clusters", "many")])
def test_wrong_usage_is_exit_2(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert "╭" not in done.stderr


def test_inspect_shows_tensors_and_reasons(run: Run, network: Path) -> None:
    done = run("inspect", network)
    assert done.exit_code == 0
    assert "5 x 4" in done.stdout
    assert "1-D: a bias" in done.stdout
    assert "A network of 3 layers (5-4-3)" in done.stdout
    told = json.loads(run("inspect", network, "--json").stdout)
    assert told["n_edges"] == 32


def test_inspect_of_an_example_shows_what_the_file_says_of_itself(run: Run) -> None:
    assert "test_accuracy: 0.96" in run("inspect", "example:mnist-mlp").stdout


def test_the_demo_tests_both_networks(run: Run, asked: dict[str, Any]) -> None:
    done = run("demo", "--nulls", 9)
    assert done.exit_code == 0
    assert (asked["calls"], asked["n_nulls"], asked["n_clusters"], asked["seed"]) == (2, 9, 12, 0)
    assert done.stdout.count("More modular than chance.") == 2
    assert "of which 2.5 s went to compiling kernels" in done.stdout
    assert "netspectra test example:mnist-mlp --nulls 1000" in done.stdout


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("500 MiB", 500 << 20), ("1e6", 10**6), ("7k", 7000), (None, None)]
)
def test_sizes_are_read(text: str | None, size: int | None) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "nan", "inf", "2XB", "0"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(GraphError, match="--memory-limit: expected a size"):
        parse_bytes(text)


MAIN = "import sys; from netspectra.bindings.cli import main; main()"


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_program_itself(network: Path) -> None:
    version = process("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("netspectra ")
    done = process("inspect", str(network.parent / "nowhere.npz"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("netspectra: error: ")


def test_the_version_needs_nothing_heavy() -> None:
    program = (
        "import sys\nfrom netspectra.bindings.cli import main\n"
        "try: main(['--version'])\n"
        "finally: sys.stderr.write(' '.join(m for m in ('numpy', 'scipy', 'numba', 'rich') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
