"""One run as a dictionary, a JSON file and a Markdown page; and whether it has proved what it set out to prove."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from benchmarks.gpu.facts import slug
from benchmarks.gpu.tables import as_markdown

__all__ = ["Report", "troubles"]


class Report:
    """Collects the outcomes of stages.

    Parameters
    ----------
    folders : list of Path
        The report is written to each of them, after every stage.
    options : dict
        What the run was asked for.
    trial : bool
        A run that is not to be published: its file says so by its name.
    commit : str, optional
        Of the checkout, where there is no git to ask.
    """

    def __init__(self, folders: list[Path], options: dict[str, Any], *, trial: bool, commit: str | None = None) -> None:
        self._folders, self._commit = folders, commit
        self.data: dict[str, Any] = {
            "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "commit": commit,
            "trial": trial,
            "options": options,
            "device": None,
            "stages": {},
        }

    def add(self, name: str, outcome: dict[str, Any]) -> None:
        """Keep the outcome of a stage, and write the files."""
        self.data["stages"][name] = outcome
        figures = outcome["figures"]
        if name == "facts":
            self.data["device"] = figures.get("device", {}).get("name")
            self.data["commit"] = self._commit or (figures.get("machine") or {}).get("commit")
        self.data["troubles"] = troubles(self.data)
        self.write()

    def write(self) -> list[Path]:
        """Write ``<device>.json`` and ``<device>.md`` into each folder."""
        name = slug(self.data["device"] or "unknown") + (".trial" if self.data["trial"] else "")
        written = []
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            for suffix, text in ((".json", json.dumps(self.data, indent=1)), (".md", self.markdown())):
                path = folder / (name + suffix)
                path.write_text(text + "\n", encoding="utf-8")
                written.append(path)
        return written

    def markdown(self) -> str:
        """Tables and troubles."""
        return as_markdown(self.data)


def troubles(data: dict[str, Any]) -> list[str]:
    """Everything that went wrong in a run, one line each; none means that it proves what it is for.

    A goal that is missed, a peer or a ceiling that cannot be measured and a stage that was skipped are in the report,
    but are no fault.
    """
    found = []
    for name, outcome in data["stages"].items():
        if outcome["status"] not in ("ok", "skipped"):
            why = outcome["figures"].get("error", "").strip().splitlines()
            found.append(f"{name}: {outcome['status']}" + (f": {why[-1][:300]}" if why else ""))
        for check in outcome["checks"]:
            if not check["ok"]:
                wanted = "at least" if check["at_least"] else "at most"
                found.append(f"{name}: {check['name']}: {_number(check['value'])}, {wanted} {check['limit']:g} wanted")
        if not name.startswith(("facts", "peers")):
            found += [f"{name}: {text}" for text in outcome["figures"].get("not_measured", [])]
    return found


def _number(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.3g}"
