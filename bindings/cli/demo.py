"""``netspectra demo``: both networks inside the package, tested in front of your eyes."""

import time
from typing import Annotated

import typer

from netspectra.bindings.cli.failures import one_line_errors

__all__ = ["run_demo"]


def run_demo(
    nulls: Annotated[int, typer.Option("--nulls", "-n", help="Number of null networks for each.")] = 200,
) -> None:
    """Test the two networks that come with netspectra."""
    with one_line_errors():
        start = time.perf_counter()
        from netspectra.bindings.cli.files import EXAMPLE_PREFIX
        from netspectra.bindings.cli.terminal import open_console, ready_backend, show, show_result
        from netspectra.bindings.examples import EXAMPLES, example_graph
        from netspectra.significance import clusterability_test

        console = open_console()
        show(
            console,
            f"Two networks trained on handwritten digits, each against {nulls:,} shuffled copies of itself.",
            "",
        )
        backend = ready_backend("auto")
        for name in EXAMPLES:
            graph = example_graph(name)
            result = clusterability_test(graph, n_clusters=12, n_nulls=nulls, seed=0, backend=backend)
            sizes = "-".join(str(layer.size) for layer in graph.layers)
            show_result(console, f"{name}: {sizes}, {graph.n_edges:,} edges", result)
            show(console, "")
        seconds = time.perf_counter() - start
        ready = result.timings["compile"]
        paid = f", of which {ready:.1f} s went to compiling kernels or loading them once compiled" if ready else ""
        show(console, f"Both tests took {seconds:.1f} s{paid}.", "The full test, or one of a network of your own:")
        show(
            console,
            f"  netspectra test {EXAMPLE_PREFIX}{EXAMPLES[0]} --nulls 1000",
            "  netspectra test FILE --nulls 1000",
        )
