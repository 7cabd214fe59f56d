"""The equations of ``Einsum``: their axes, their shapes, and the matrix products that they are."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from netspectra.bindings.onnx.constants import UnrepresentableError
from netspectra.bindings.onnx.nodes import Node, malformed, mismatch
from netspectra.networks.network import Shape

__all__ = ["ProductPlan", "einsum_cost", "einsum_shape", "einsum_terms", "product_plan"]

_EQUATION = re.compile(r"[A-Za-z.,]*(->[A-Za-z.]*)?")
_MOST_PRODUCTS = 1 << 34

_SPARE = "".join(map(chr, range(0x3B1, 0x3C9)))
"""Letters that no equation may use, for the axes under an ellipsis."""


@dataclass(frozen=True, slots=True)
class ProductPlan:
    """A product of two tensors as one of stacks of matrices.

    Attributes
    ----------
    orders : two tuples of int
        Permutations of the axes of each.
    sides : two tuples of int
        Shapes of each thereafter, (batch, own, common) and (batch, common, own).
    sides_after : tuple of int
        Shape of the product, each axis by itself again.
    order_after : tuple of int
        Permutation of those into the order of the output.
    """

    orders: tuple[tuple[int, ...], tuple[int, ...]]
    sides: tuple[tuple[int, ...], tuple[int, ...]]
    sides_after: tuple[int, ...]
    order_after: tuple[int, ...]


def einsum_terms(node: Node) -> list[str]:
    """Letters of the axes of each input and, last, of the output."""
    equation = node.text("equation", "").replace(" ", "")
    if not _EQUATION.fullmatch(equation) or len(equation) > 200:
        raise malformed(node, "an equation", equation)
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(node.inputs):
        raise malformed(node, f"an equation of {len(node.inputs)} inputs", equation)
    n_hidden = [_n_hidden(node, number, term) for number, term in enumerate(terms)]
    spare = _SPARE[: max(n_hidden, default=0)]
    full = [term.replace("...", spare[len(spare) - n :]) for term, n in zip(terms, n_hidden, strict=True)]
    if not arrow:
        letters = "".join(full)
        right = spare + "".join(sorted(letter for letter in set(letters) - set(spare) if letters.count(letter) == 1))
    output = right.replace("...", spare)
    if set(output) - set("".join(full)) or len(set(output)) < len(output) or "." in "".join([*full, output]):
        raise malformed(node, "an equation", equation)
    return [*full, output]


def _n_hidden(node: Node, number: int, term: str) -> int:
    """Axes under the ellipsis of a term."""
    n_axes, n_named = len(node.ranked(number)), len(term.replace("...", ""))
    n = n_axes - n_named
    if n < 0 or n > len(_SPARE) or (n > 0 and "..." not in term):
        raise mismatch(node, f"{n_named} axes as {term!r} says", n_axes)
    return n


def einsum_shape(node: Node) -> Shape:
    """Of ``Einsum`` of constants."""
    *_, output = einsum_terms(node)
    sizes = _sizes(node)
    if math.prod(sizes.values()) > _MOST_PRODUCTS:
        msg = f"an equation of {math.prod(sizes.values()):,} products of constants"
        raise UnrepresentableError(msg)
    return tuple(sizes[letter] for letter in output)


def einsum_cost(node: Node) -> int:
    """Number of products, if none is shared."""
    return math.prod(_sizes(node).values())


def _sizes(node: Node) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for number, term in enumerate(einsum_terms(node)[:-1]):
        for letter, side in zip(term, node.known_shape(number), strict=True):
            if sizes.setdefault(letter, side) not in (side, 1) and side != 1:
                raise mismatch(node, f"one size of {letter!r}", (sizes[letter], side))
            sizes[letter] = max(sizes[letter], side)
    return sizes


def product_plan(node: Node, terms: Sequence[str]) -> ProductPlan | None:
    """How an equation of two inputs is a product of stacks of matrices, None where it is none."""
    if len(terms) != 3 or any(len(set(term)) < len(term) for term in terms):
        return None
    first, second, output = terms
    sizes = _sizes(node)
    batch = [letter for letter in first if letter in second and letter in output]
    common = [letter for letter in first if letter in second and letter not in output]
    own = [[letter for letter in term if letter not in other] for term, other in ((first, second), (second, first))]
    exact = all(
        sizes[letter] == side
        for n, term in enumerate(terms[:2])
        for letter, side in zip(term, node.known_shape(n), strict=True)
    )
    if not exact or any(letter not in output for letter in (*own[0], *own[1])):
        return None
    left, right = [*batch, *own[0], *common], [*batch, *common, *own[1]]
    together = [math.prod(sizes[letter] for letter in letters) for letters in (batch, own[0], common, own[1])]
    stack = (together[0],) if batch else ()
    after = [*batch, *own[0], *own[1]]
    return ProductPlan(
        (tuple(map(first.index, left)), tuple(map(second.index, right))),
        ((*stack, together[1], together[2]), (*stack, together[2], together[3])),
        tuple(sizes[letter] for letter in after),
        tuple(map(after.index, output)),
    )
