"""Whether names that a file sorts say which layers come first: encoder and decoder chain either way round."""

import re
from collections.abc import Callable, Sequence
from itertools import groupby, permutations

from netspectra.bindings.readers.selection import TensorRecord
from netspectra.errors import GraphError

__all__ = ["require_one_order"]

_PARTS = re.compile(r"[./]")
_DIGITS = re.compile(r"[0-9]+")
_MOST = 6
"""Groups whose orders are all tried (720)."""


def require_one_order(
    records: Sequence[TensorRecord], chains: Callable[[Sequence[TensorRecord]], bool], label: str
) -> None:
    """Refuse weights in the order of their names where whole groups of names chain in another order, too.

    Groups are what the first parts of the names tell apart. Those that differ by a number alone, or are
    single letters, are in its order.

    Raises
    ------
    GraphError
        If there is another order.
    """
    groups = [(stem, list(own)) for stem, own in groupby(records, key=_stems(records))]
    stems = [stem for stem, _ in groups]
    numbered = len({_DIGITS.sub("", stem) for stem in stems}) == 1 or all(len(stem) == 1 for stem in stems)
    if numbered or not 1 < len(groups) <= _MOST:
        return
    for other in permutations(groups):
        ordered = [stem for stem, _ in other]
        if ordered != stems and chains([record for _, own in other for record in own]):
            msg = (
                f"{label}: the weights chain in more than one order ({', '.join(stems)}, as the names sort, and "
                f"{', '.join(ordered)}), and names do not say which is the network's; name the weights, input side "
                "first, with order=[...]"
            )
            raise GraphError(msg)


def _stems(records: Sequence[TensorRecord]) -> Callable[[TensorRecord], str]:
    """The first part of a name that is not the same in all."""
    parts = [_PARTS.split(record.name) for record in records]
    common = 0
    while all(len(own) > common + 1 and own[common] == parts[0][common] for own in parts):
        common += 1
    stem = {record.name: own[common] for record, own in zip(records, parts, strict=True)}
    return lambda record: stem[record.name]
