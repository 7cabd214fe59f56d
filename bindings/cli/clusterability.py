"""``netspectra test FILE``: the n-cut of a network, null networks, z-score, p-value and the partition."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from netspectra.bindings.cli import reading
from netspectra.bindings.cli.failures import one_line_errors

__all__ = ["run_test"]


def run_test(
    file: reading.File,
    *,
    clusters: Annotated[int, typer.Option("--clusters", "-k", help="Number of clusters.")] = 12,
    nulls: Annotated[int, typer.Option("--nulls", "-n", help="Number of null networks.")] = 1000,
    stop: Annotated[str, typer.Option(help="fixed, or sequential: --nulls at most, fewer if p is clear.")] = "fixed",
    null: Annotated[str, typer.Option(help="shuffle, shuffle-nonzero, kde or kde-nonzero.")] = "shuffle",
    seed: Annotated[int, typer.Option(help="Every null network is a function of it.")] = 0,
    backend: Annotated[str, typer.Option(help="auto, cuda, cpu, reference")] = "auto",
    solver: Annotated[str, typer.Option(help="auto, dense or lobpcg.")] = "auto",
    select: Annotated[str, typer.Option(help="Which k-means restart counts: inertia or ncut.")] = "inertia",
    n_init: Annotated[int, typer.Option("--n-init", help="k-means restarts.")] = 25,
    orientation: reading.Side = "auto",
    order: reading.Order = None,
    architecture: reading.Architecture = None,
    n_heads: reading.Heads = None,
    n_kv_heads: reading.KeyHeads = None,
    norm: reading.Norm = "l1",
    input_layer: reading.InputLayer = True,
    dense_head: reading.DenseHead = True,
    residual: reading.Residual = "shared",
    attention: reading.Attention = "dimensions",
    normalisation: reading.Normalisation = "fold",
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Null networks solved together.")] = None,
    memory_limit: Annotated[str | None, typer.Option("--memory-limit", help="For example 2GB.")] = None,
    json: Annotated[str | None, typer.Option(metavar="OUT.json", help="Write JSON; - is standard output.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="OUT.npz", help="Save the whole result.")] = None,
) -> None:
    """Test whether a trained network is more modular than chance."""
    given = locals()
    with one_line_errors():
        from netspectra.bindings.cli.files import network_path, parse_bytes, require_writable
        from netspectra.bindings.cli.terminal import open_console, ready_backend, show_result
        from netspectra.bindings.readers.loading import load

        require_writable(save)
        require_writable(None if json in (None, "-") else Path(json))
        asked = reading.asked(given)
        graph = load(network_path(file), **asked)
        question: dict[str, Any] = {
            "n_nulls": nulls,
            "stop": stop,
            "null": null,
            "seed": seed,
            "n_init": n_init,
            "select": select,
            "solver": solver,
            "backend": ready_backend(backend),
            "batch_size": batch_size,
            "memory_limit": parse_bytes(memory_limit),
        }
        from netspectra.significance import clusterability_test

        result = clusterability_test(graph, clusters, **question)
        _write(result, json, save)
        show_result(open_console(on_stderr=json == "-"), file, result)


def _write(result: Any, json: str | None, save: Path | None) -> None:
    from netspectra.bindings.cli.files import as_json, write_text

    if save is not None:
        result.save(save)
    if json == "-":
        sys.stdout.write(as_json(result.to_dict()))
    elif json is not None:
        write_text(Path(json), as_json(result.to_dict()))
