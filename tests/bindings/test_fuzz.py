"""Whatever the bytes, a reader returns a graph or raises a NetspectraError; it never hangs and never warns."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from netspectra.bindings.readers import LoadLimits, inspect_file, load
from netspectra.errors import NetspectraError

LIMITS = LoadLimits(max_bytes=1 << 20, max_header_bytes=1 << 20)


def _npz(save: Callable[..., None]) -> bytes:
    stream = io.BytesIO()
    save(stream, a=np.ones((3, 2), np.float32), b=np.zeros((2, 4)), bias=np.ones(2))
    return stream.getvalue()


BASES = {
    "stored.npz": _npz(np.savez),
    "packed.npz": _npz(np.savez_compressed),
    "net.safetensors": save({"a": np.ones((3, 2), np.float32), "b": np.zeros((2, 4), np.float16)}, {"format": "pt"}),
}

bits = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
edits = st.tuples(st.lists(bits, max_size=4), st.floats(0, 1), st.binary(max_size=6), st.booleans())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def never_anything_else(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for reader in (load, inspect_file):
        try:
            reader(path, limits=LIMITS)
        except NetspectraError as error:
            assert str(error)  # noqa: PT017


@pytest.mark.parametrize("name", BASES)
@settings(max_examples=250)
@given(edit=edits)
def test_mutated_files(folder: Path, name: str, edit: tuple[list[tuple[float, int]], float, bytes, bool]) -> None:
    changes, place, inserted, cut = edit
    content = bytearray(BASES[name])
    for where, value in changes:
        content[int(where * len(content))] = value
    position = int(place * len(content))
    content[position:position] = inserted
    never_anything_else(folder / name, bytes(content[:position] if cut and not inserted else content))


sides = st.one_of(st.integers(-2, 9), st.integers(0, 1 << 70), st.booleans(), st.none(), st.floats())
records = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "F16", "BF16", "F4", "I8", "BOOL", "C64", "X", "", 3]),
            "shape": st.one_of(st.lists(sides, max_size=9), st.just("ab")),
            "data_offsets": st.lists(sides, max_size=3),
        }
    ),
)


@settings(max_examples=300)
@given(header=st.dictionaries(st.text(max_size=3), records, max_size=3), data=st.binary(max_size=40))
def test_invented_headers(folder: Path, header: dict[str, object], data: bytes) -> None:
    text = json.dumps(header).encode()
    never_anything_else(folder / "net.safetensors", len(text).to_bytes(8, "little") + text + data)
