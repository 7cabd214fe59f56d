"""A run as Markdown: what an operator reads, short enough for the end of a terminal's output."""

from __future__ import annotations

from typing import Any

__all__ = ["as_markdown"]

WORKLOADS = ("W1", "W1p", "W2", "W3", "W4")
LONGEST_MESSAGE = 300
MOST_MESSAGES = 12
"""Failures of tests that are shown, those with the same message as one; all are in the JSON file."""


def as_markdown(data: dict[str, Any]) -> str:
    """All tables that the stages of a run gave something for, and at the end what went wrong."""
    stages = {name: outcome["figures"] for name, outcome in data["stages"].items()}
    parts = [
        _heading(data, stages.get("facts", {})),
        _goals(stages),
        _breakdown(stages),
        _products(stages),
        _official(stages),
        _peers(stages),
        _densities(stages.get("density", {})),
        _tests(stages.get("tests", {})),
        _accuracy(data),
        _outcome(data),
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(data: dict[str, Any], facts: dict[str, Any]) -> str:
    device, machine, top = (facts.get(name) or {} for name in ("device", "machine", "ceilings"))
    versions = ", ".join(f"{name} {release}" for name, release in (facts.get("versions") or {}).items())
    lines = [f"# {device.get('name', 'Unknown device')}{' (a trial)' if data['trial'] else ''}", ""]
    lines.append(
        f"{data['date'][:10]}, commit {data['commit'] or 'unknown'}; {machine.get('cores', '?')} cores, "
        f"{machine.get('processor', '?')}; CUDA driver {device.get('driver', '?')}, runtime "
        f"{device.get('runtime', '?')}; Python {machine.get('python', '?')}, netspectra "
        f"{machine.get('netspectra', '?')}, {versions or 'versions unknown'}."
    )
    if top:
        named = {
            "copy_gb_per_s": "copy {:.0f} GB/s",
            "read_gb_per_s": "read {:.0f} GB/s",
            "float32_tflop_per_s": "float32 GEMM {:.1f} TFLOP/s",
            "bfloat16_tflop_per_s": "bfloat16 GEMM {:.0f} TFLOP/s",
        }
        lines.append("Measured ceilings: " + ", ".join(form.format(top[n]) for n, form in named.items() if n in top))
    return "\n".join(lines)


def _goals(stages: dict[str, Any]) -> str:
    rows = []
    for name in WORKLOADS:
        found = stages.get(name, {})
        if "median_seconds" not in found:
            continue
        memory, goal = found.get("memory") or {}, found.get("goal_seconds")
        whole = found.get("whole_test") or found.get("clustering") or {}
        solve = found.get("eigenpairs", {}).get("median")
        rows.append(
            [
                found["title"],
                _ms(goal),
                _ms(found["median_seconds"]),
                _verdict(found["median_seconds"], goal),
                str(whole.get("repeats", "")),
                _ms(whole.get("median")),
                _ms(solve),
                f"{whole.get('first', found.get('first_seconds', 0)):.1f} s",
                _beyond(memory.get("acquired"), found.get("goal_bytes")),
                str(found.get("iterations", "")),
                _power(found.get("residual")),
            ]
        )
    head = ["workload", "goal", "measured", "", "repeats", "whole call", "eigenpairs", "first call"]
    head += ["beyond weights", "iterations", "residual"]
    return _table(head, rows) + _also(stages) if rows else ""


def _also(stages: dict[str, Any]) -> str:
    lines = []
    for name in ("W1", "W1p", "W2"):
        found = stages.get(name, {})
        if "plan" in found:
            plan = found["plan"]
            lines.append(
                f"{name}: {found['n_nulls']} nulls in waves {plan['waves']}, {found['solver']}, {found['dtype']}, "
                f"compiled in {found['compile_seconds']:.1f} s{''.join('; ' + why for why in plan['reductions'])}"
            )
        if "cpu" in found:
            cpu = found["cpu"]
            lines[-1] += f"; n-cuts equal to the CPU's: {cpu['equal_ncuts']:.0%}, KS p {cpu['ks_p'] or 0:.2f}"
        if "seconds_nulls_more_restarts" in found:
            lines[-1] += f"; with 100 restarts {_ms(found['seconds_nulls_more_restarts'])}"
    return "\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _breakdown(stages: dict[str, Any]) -> str:
    """Milliseconds per 1,000 null networks."""
    columns = {name: stages[name] for name in ("W1", "W1p", "W2") if "stages" in stages.get(name, {})}
    if not columns:
        return ""
    rows = []
    for stage in dict.fromkeys(stage for found in columns.values() for stage in found["stages"]):
        cells = []
        for found in columns.values():
            laps = found["stages"].get(stage)
            seconds = None if laps is None else laps.get("device_median", laps["median"])
            cells.append("" if seconds is None else f"{1e6 * seconds / max(found['stages_wave'], 1):.2f}")
        rows.append([stage, *cells])
    waves = ", ".join(f"{name} {found['stages_wave']}" for name, found in columns.items())
    return f"ms per 1,000 nulls, measured on one wave ({waves})\n\n" + _table(["stage", *columns], rows)


def _products(stages: dict[str, Any]) -> str:
    rows = []
    for name in ("W3", "W4"):
        found = stages.get(name, {}).get("one_product")
        if found:
            shape = " x ".join(f"{size:,}" for size in found["shape"])
            halves = [f"{found[half]['gb_per_s']:.0f}" for half in ("both", "|W| x", "|W|^T x")]
            rows.append([name, shape, str(found["vectors"]), *halves])
    head = ["one block, GB/s of weights", "shape", "vectors", "both halves", "W x", "W^T x"]
    return _table(head, rows) if rows else ""


def _official(stages: dict[str, Any]) -> str:
    found, rows = stages.get("official", {}), []
    for name in ("W1", "W1p"):
        ours = stages.get(name, {})
        if name in found and "median_seconds" in ours:
            theirs, mine = found[name]["per_null"], ours["median_seconds"] / ours["n_nulls"]
            processes = f"{found['processes']} processes"
            rows.append([name, processes, _ms(theirs), f"{mine * 1e6:.1f} µs", f"{theirs / mine:,.0f}"])
    head = ["per null", "official pipeline on", "official", "ours", "ratio"]
    return _table(head, rows) if rows else ""


def _peers(stages: dict[str, Any]) -> str:
    rows, title = [], ""
    for stage in ("peers-cupyx", "peers-torch", "peers-jax"):
        found = stages.get(stage, {})
        solvers = found.get("solvers", {})
        title = found.get("title", title)
        ours = solvers.get("netspectra", {}).get("median")
        for name, figures in solvers.items():
            reached = "" if figures.get("at_equal_residual") else " (not reached)"
            iterations = str(figures["iterations"]) if figures["iterations"] >= 0 else ""
            ratio = f"{figures['median'] / ours:.1f}" if ours else ""
            residual = _power(figures.get("residual")) + reached
            label = f"{name}, beside {stage.removeprefix('peers-')}" if name == "netspectra" else name
            rows.append([label, _ms(figures["median"]), ratio, iterations, residual])
        rows += [[text[:80], "failed", "", "", ""] for text in found.get("not_measured", [])]
    head = [f"eigensolver, {title}", "median", "by ours", "iterations", "residual"]
    return _table(head, rows) if rows else ""


def _densities(found: dict[str, Any]) -> str:
    rows = [
        [f"{row['density']:g}", f"{row['dense'] * 1e6:.0f}", f"{row['csr'] * 1e6:.0f}"]
        for row in found.get("densities", [])
    ]
    if not rows:
        return ""
    crossing = found.get("csr_is_faster_from_density")
    title = f"density ({found['size']} x {found['size']}, {found['vectors']} vectors)"
    return _table([title, "dense, µs", "CSR, µs"], rows) + f"\n\nCSR is faster from density {crossing} down."


def _tests(found: dict[str, Any]) -> str:
    if "status" not in found:
        return ""
    counts = ", ".join(f"{found.get(name, 0)} {name}" for name in ("passed", "failed", "skipped"))
    lines = [f"gpu tests: {counts} (status {found['status']})"]
    alike: dict[str, list[str]] = {}
    for failure in found.get("failures", []):
        message = " ".join(failure["message"].split())[:LONGEST_MESSAGE]
        alike.setdefault(message, []).append(failure["name"].rpartition(".")[2])
    for message, names in list(alike.items())[:MOST_MESSAGES]:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        lines.append(f"- {', '.join(names[:3])}{more}: {message}")
    if found["status"] and not found.get("failures"):
        lines += ["", *found.get("tail", "").splitlines()[-10:]]
    return "\n".join(lines)


def _accuracy(data: dict[str, Any]) -> str:
    checks = [check for outcome in data["stages"].values() for check in outcome["checks"]]
    passed = sum(check["ok"] for check in checks)
    return f"Checks of accuracy: {passed} of {len(checks)} passed." if checks else ""


def _outcome(data: dict[str, Any]) -> str:
    lines = [f"{name}: {o['status']}, {o['seconds']:.0f} s" for name, o in data["stages"].items()]
    text = "Stages: " + "; ".join(lines) + "."
    skipped = [f"{name} ({o['why']})" for name, o in data["stages"].items() if o["status"] == "skipped"]
    left_out = [f"{name}: {what}" for name, o in data["stages"].items() for what in o["figures"].get("left_out", [])]
    if skipped or left_out:
        text += "\n\nNot measured for want of time: " + "; ".join([*skipped, *left_out]) + "."
    if ceilings := data["stages"].get("facts", {}).get("figures", {}).get("not_measured"):
        text += "\n\nNot measured: " + "; ".join(ceilings) + "."
    found = data.get("troubles", [])
    text += "\n\n" + ("**Troubles:**\n\n" + "\n".join(f"- {line}" for line in found) if found else "No troubles.")
    return text


# -- cells


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:,.1f} ms"


def _power(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def _beyond(n_bytes: int | None, goal: int | None) -> str:
    """Memory beyond the weights, and whether that is within the goal."""
    if n_bytes is None:
        return ""
    return f"{n_bytes / 1e9:.2f} GB" + (f" ({_verdict(n_bytes, goal)})" if goal else "")


def _verdict(seconds: float, goal: float | None) -> str:
    return "" if goal is None else "met" if seconds <= goal else "missed"


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)
