"""What all families share: blocks of attention and a perceptron around a residual stream, known by their names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from netspectra.bindings.readers.families.hints import Hints
from netspectra.bindings.readers.families.writer import Writer
from netspectra.bindings.readers.tensors import Tensor
from netspectra.errors import GraphError

__all__ = ["Found", "Scheme", "find", "write_block"]


@dataclass(frozen=True)
class Scheme:
    r"""How one program calls the tensors of its transformers.

    Attributes
    ----------
    block : str
        Regular expression of what stands before the names inside block number ``(?P<i>\d+)``.
    roles : mapping of str to tuple of str
        Role inside a block to its names, the first that is there counts: ``query key value`` or ``qkv``, ``out``,
        ``up``, ``gate``, ``gate_up``, ``down``, ``norm1``, ``norm2``, ``query_norm``, ``key_norm``.
    outer : mapping of str to tuple of str
        Role outside of blocks to its names, without the prefix of the model.
    """

    block: str
    roles: Mapping[str, tuple[str, ...]]
    outer: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Found:
    """A transformer among tensors: names by role, in each block and outside of them."""

    blocks: tuple[Mapping[str, str], ...]
    outer: Mapping[str, str]
    prefix: str


_NEEDED = ({"query", "key", "value", "out"}, {"qkv", "out"}), ({"up", "down"}, {"gate_up", "down"})


def find(scheme: Scheme, tensors: Mapping[str, Tensor], label: str) -> Found | None:
    """Return where a scheme finds a transformer, None where it does not.

    Raises
    ------
    GraphError
        If it finds one that is not whole: blocks are missing, or a block lacks what the first one has.
    """
    pattern = re.compile(rf"(?P<prefix>(?:.*[./])?){scheme.block}(?P<rest>.+)")
    blocks: dict[int, dict[str, str]] = {}
    prefixes = set()
    roles = {name: role for role, names in scheme.roles.items() for name in names}
    for name in tensors:
        match = pattern.fullmatch(name)
        if match is not None and match["rest"] in roles:
            blocks.setdefault(int(match["i"][:9]), {}).setdefault(roles[match["rest"]], name)
            prefixes.add(match["prefix"])
    whole = any(all(any(need <= set(found) for need in needs) for needs in _NEEDED) for found in blocks.values())
    if not whole or len(prefixes) != 1:
        return None
    _require_whole(blocks, tensors, label)
    prefix = prefixes.pop()
    heads = {role: next((n for n in names if n in tensors), None) for role, names in scheme.outer.items()}
    inner = {
        role: next((prefix + n for n in names if prefix + n in tensors), None) for role, names in scheme.outer.items()
    }
    outer = {role: inner[role] or heads[role] for role in scheme.outer}
    return Found(
        tuple(blocks[i] for i in range(len(blocks))), {r: n for r, n in outer.items() if n is not None}, prefix
    )


def write_block(writer: Writer, names: Mapping[str, str], stream: str, hints: Hints, *, pre_norm: bool) -> str:
    """Write one block: attention and a perceptron, each added to the residual stream, normalised before or after."""
    norm1, norm2 = names.get("norm1"), names.get("norm2")
    read = writer.norm(norm1, stream) if pre_norm else stream
    stream = _add(writer, names["out"], stream, _attend(writer, names, read, hints))
    stream = stream if pre_norm else writer.norm(norm1, stream)
    read = writer.norm(norm2, stream) if pre_norm else stream
    stream = _add(writer, names["down"], stream, _perceive(writer, names, read))
    return stream if pre_norm else writer.norm(norm2, stream)


def _attend(writer: Writer, names: Mapping[str, str], read: str, hints: Hints) -> str:
    if "qkv" in names:
        n_all, n_query = writer.n_out(names["qkv"]), _n_in(writer, names["out"])
        n_key = (n_all - n_query) // 2
        mixed = writer.dense(names["qkv"], read)
        query, key, value = writer.split(names["qkv"], mixed, (n_query, n_key, n_key))
    else:
        query, key, value = (writer.dense(names[role], read) for role in ("query", "key", "value"))
        n_query, n_key = writer.n_out(names["query"]), writer.n_out(names["key"])
    norms = names.get("query_norm"), names.get("key_norm")
    name = names["out"].rpartition(".")[0].rpartition(".")[0] or names["out"]
    mixed = writer.attention(name, query, key, value, (n_query, n_key), hints, norms)
    return writer.dense(names["out"], mixed)


def _perceive(writer: Writer, names: Mapping[str, str], read: str) -> str:
    if "gate_up" in names:
        half = writer.n_out(names["gate_up"]) // 2
        gate, up = writer.split(names["gate_up"], writer.dense(names["gate_up"], read), (half, half))
        hidden = writer.write("multiply", names["gate_up"], (gate, up))
    elif "gate" in names:
        gate, up = writer.dense(names["gate"], read), writer.dense(names["up"], read)
        hidden = writer.write("multiply", names["gate"], (gate, up))
    else:
        hidden = writer.dense(names["up"], read)
    return writer.dense(names["down"], hidden)


def _add(writer: Writer, name: str, stream: str, made: str) -> str:
    return writer.write("add", name.rpartition(".")[0], (stream, made))


def _n_in(writer: Writer, key: str) -> int:
    return writer.tensors[key].shape[1 if writer.orientation == "out-in" else 0]


def _require_whole(blocks: Mapping[int, Mapping[str, str]], tensors: Mapping[str, Tensor], label: str) -> None:
    if sorted(blocks) != list(range(len(blocks))):
        listed = ", ".join(map(str, sorted(blocks)[:8]))
        expected = f"expected blocks 0 to {len(blocks) - 1}, got {listed} …"
        msg = f"{label}: {expected}; is it one part of several? merge them first"
        raise GraphError(msg)
    for i, names in blocks.items():
        missing = set(blocks[0]) - set(names)
        if missing:
            msg = f"{label}: block {i} lacks {', '.join(sorted(missing))}, which block 0 has; is the file complete?"
            raise GraphError(msg)
        matrices = [names[role] for role in names if "norm" not in role]
        flat = [name for name in matrices if len(tensors[name].shape) != 2 or tensors[name].dtype is None]
        if flat:
            tensor = tensors[flat[0]]
            msg = f"{label}: expected a matrix {flat[0]!r}, got {tensor.stored} of shape {tensor.shape}"
            raise GraphError(msg)
