"""A question and the sides that answer it; nobody's time is reported before the answer has been checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from netspectra.bindings.bench.records import OURS, Measurement
from netspectra.bindings.bench.timing import take_turns

__all__ = ["OURS", "Contest", "has_sklearn", "missing_peers", "run_contest"]

_INSTALL = 'pip install "netspectra[bench]"'


@dataclass(frozen=True)
class Contest:
    """One question.

    Attributes
    ----------
    question : str
    sides : mapping of str to callable
        Who answers, ours first.
    check : callable
        ``check(side, result)`` raises :class:`~netspectra.bindings.bench.accuracy.AccuracyError`, or returns figures
        (iterations, residual).
    parameters : dict
        Sizes.
    """

    question: str
    sides: Mapping[str, Callable[[], Any]]
    check: Callable[[str, Any], dict[str, Any]]
    parameters: dict[str, Any] = field(default_factory=dict)


def run_contest(
    contest: Contest, repeats: int, budget: float = float("inf"), *, warm_up: bool = True
) -> list[Measurement]:
    """Let the sides take turns, check what each found, and return the figures; `budget` is that of `take_turns`.

    Raises
    ------
    AccuracyError
        If an answer is wrong.
    """
    laps = take_turns(contest.sides, repeats, budget=budget, warm_up=warm_up)
    figures = {side: contest.check(side, each.last) for side, each in laps.items()}
    return [
        Measurement(contest.question, side, each.seconds, parameters=dict(contest.parameters), figures=figures[side])
        for side, each in laps.items()
    ]


def has_sklearn() -> bool:
    """Whether scikit-learn can be asked."""
    return find_spec("sklearn") is not None


def missing_peers() -> dict[str, str]:
    """Peers that are not installed, and how to install them."""
    return {} if has_sklearn() else {"scikit-learn (and the official pipeline, which stands on it)": _INSTALL}
