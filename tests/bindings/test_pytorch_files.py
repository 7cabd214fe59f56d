"""PyTorch's `.pt`: state dicts in place, nothing that could run, hostile archives refused before PyTorch looks."""

from __future__ import annotations

import io
import pickle
import re
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netspectra.bindings.readers import LoadLimits, inspect_file, load
from netspectra.bindings.readers.pytorch_pickle import foreign_globals
from netspectra.errors import FileFormatError, LimitError, NetspectraError

needs_torch = pytest.mark.requires("torch")


def members(data: bytes, **others: bytes) -> dict[str, bytes]:
    return {"archive/data.pkl": data, "archive/version": b"3\n", "archive/byteorder": b"little", **others}


def archive(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as zipped:
        for name, data in content.items():
            zipped.writestr(name, data)
    return path


class Canary:
    """Sings where it is unpickled."""

    path = ""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (open, (self.path, "w"))


# -- refused without PyTorch


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    Canary.path = str(tmp_path / "sang")
    for protocol in (2, 4):
        data = pickle.dumps({"w": Canary()}, protocol)
        archive(tmp_path / "evil.pt", members(data))
        with pytest.raises(FileFormatError, match=r"import io\.open|opcode") as caught:
            load(tmp_path / "evil.pt")
        assert "torch.save(model.state_dict()" in str(caught.value)
        (tmp_path / "legacy.pt").write_bytes(data)
        with pytest.raises(FileFormatError, match="the older format, a plain pickle"):
            load(tmp_path / "legacy.pt")
    assert not (tmp_path / "sang").exists()


@pytest.mark.parametrize("name", ["_rebuild_sparse_tensor", "_rebuild_qtensor"])
def test_globals_beyond_plain_tensors_are_told(name: str) -> None:
    data = b"\x80\x02ctorch._utils\n" + name.encode() + b"\n)R."
    assert foreign_globals(data) == [f"torch._utils.{name}"]
    assert foreign_globals(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.") == []
    for broken in (b"", b"\x80\x02", b"\x80\x02cno newline", b"\x80\x04\x95", b"garbage", b"\x80\x02(ios\nsystem\n."):
        with pytest.raises(ValueError, match=r"\w"):
            foreign_globals(broken)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"archive/constants.pkl": b"."}, "got a TorchScript archive, which holds code"),
        ({"archive/code/__torch__.py": b"."}, "got a TorchScript archive"),
        ({"archive/archive_format": b"pt2"}, r"torch.export \(.pt2\), which holds code"),
        ({"archive/models/model.json": b"{}"}, r"torch.export"),
        ({"other/data.pkl": b"."}, r"expected one data.pkl, .* got 2"),
    ],
)
def test_programs_are_refused(tmp_path: Path, extra: dict[str, bytes], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        load(archive(tmp_path / "program.pt", members(b"\x80\x02}.", **extra)))


def test_archives_that_lie_or_explode_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with pytest.raises(FileFormatError, match=r"expected stored members, as torch\.save writes them"):
        load(archive(path, members(b"\x80\x02}."), zipfile.ZIP_DEFLATED))
    bomb = members(b"\x80\x02}.", **{"archive/data/0": bytes(1 << 27)})
    with pytest.raises(LimitError, match="the factor by which it unpacks"):
        load(archive(path, bomb, zipfile.ZIP_DEFLATED))
    archive(path, members(b"\x80\x02}.", **{"archive/data/0": bytes(4000)}))
    with pytest.raises(LimitError, match="more than the limit max_bytes=1,000"):
        load(path, limits=LoadLimits(max_bytes=1000))
    with pytest.raises(LimitError, match="the number of its members"):
        load(path, limits=LoadLimits(max_tensors=2))
    with pytest.raises(LimitError, match="the length of its pickle"):
        load(archive(path, members(b"\x80\x02" + b"0" * 3000)), limits=LoadLimits(max_header_bytes=1000))
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FileFormatError, match=r"not a valid \.pt file"):
        load(path)
    with pytest.raises(FileFormatError, match=r"expected one data\.pkl"):
        load(archive(path, {"archive/version": b"3"}))
    path.write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"a zip archive made by torch\.save, got an empty file"):
        load(path)


def test_pytorch_is_asked_for_or_to_be_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "net.bin", members(b"\x80\x02}."))
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__version__="2.5.1+cu124"))
    with pytest.raises(
        FileFormatError, match=r"takes torch>=2\.6, got 2\.5\.1\+cu124; pip install 'netspectra\[torch\]'"
    ):
        load(path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(FileFormatError, match=r"takes torch>=2\.6, which is not installed"):
        load(path)


# -- read by PyTorch


@pytest.fixture
def torch(require: Any) -> Any:
    return require("torch")


@needs_torch
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_state_dicts_are_used_in_place(tmp_path: Path, torch: Any, dtype: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3)).to(getattr(torch, dtype))
    torch.save(model.state_dict(), tmp_path / "net.pt")
    graph = load(tmp_path / "net.pt")
    assert [(layer.name, layer.size) for layer in graph.layers] == [("input", 5), ("0", 4), ("2", 3)]
    expected = np.dtype(getattr(ml_dtypes, dtype, dtype))
    assert graph.dtype == expected
    assert not graph.blocks[0].weights.flags.writeable
    values = model[0].weight.detach().double().numpy().T
    np.testing.assert_array_equal(graph.blocks[0].weights.astype(np.float64), values)
    found = inspect_file(tmp_path / "net.pt")
    assert (found.format, found.layers) == ("pytorch", graph.layers)
    assert found.n_edges == graph.n_edges


@needs_torch
def test_checkpoints_are_looked_into(tmp_path: Path, torch: Any) -> None:
    state = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 3)).state_dict()
    optimizer = {"state": {0: {"exp_avg": torch.zeros(4, 5)}}, "param_groups": [{"lr": 0.1}]}
    for content in (
        {"state_dict": state, "epoch": 3, "optimizer": optimizer},
        {"model": {"state_dict": state}, "optimizer_state_dict": optimizer},
        OrderedDict(anything=state),
        {"ema": state, "model_state_dict": state},
    ):
        torch.save(content, tmp_path / "net.pth")
        assert [layer.size for layer in load(tmp_path / "net.pth").layers] == [5, 4, 3]
    torch.save({"a": state, "b": state}, tmp_path / "net.pth")
    with pytest.raises(FileFormatError, match="under a key such as 'state_dict' or 'model', got the keys 'a', 'b'"):
        load(tmp_path / "net.pth")
    for nothing in ([torch.ones(2, 2)], {}, 7):
        torch.save(nothing, tmp_path / "net.pth")
        with pytest.raises(FileFormatError, match="expected tensors by name"):
            load(tmp_path / "net.pth")


@needs_torch
def test_what_is_no_weight_is_skipped_with_the_reason(tmp_path: Path, torch: Any) -> None:
    state = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 3)).state_dict()
    state["phase"], state["note"] = torch.ones(2, 2, dtype=torch.complex64), "hello"
    torch.save(state, tmp_path / "net.pt")
    reasons = {s.name: s.reason for s in inspect_file(tmp_path / "net.pt").report.skipped}
    assert "complex64" in reasons["phase"]
    assert reasons["note"] == "not a tensor"


@needs_torch
def test_the_order_of_the_modules_counts(tmp_path: Path, torch: Any) -> None:
    state = OrderedDict(encoder=torch.ones(3, 9), decoder=torch.ones(9, 3))
    torch.save(state, tmp_path / "net.pt")
    graph = load(tmp_path / "net.pt", orientation="out-in")
    assert [layer.name for layer in graph.layers] == ["input", "encoder", "decoder"]


@needs_torch
def test_whole_modules_and_code_are_refused(tmp_path: Path, torch: Any) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(FileFormatError, match=r"import torch\.nn\.modules\.linear\.Linear.*a whole module"):
        load(tmp_path / "module.pt")
    torch.save({"w": torch.ones(2, 2)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(FileFormatError, match="the older format"):
        load(tmp_path / "legacy.pt")


@needs_torch
def test_tensors_larger_than_the_file_are_refused(tmp_path: Path, torch: Any) -> None:
    """A stride of zero makes any shape from one number."""
    torch.save({"w": torch.ones(1).expand(1 << 20, 1 << 20)}, tmp_path / "net.pt")
    with pytest.raises(FileFormatError, match="a tensor 'w' that the file holds, got"):
        load(tmp_path / "net.pt")
    torch.save({"w": torch.ones((1,) * 9)}, tmp_path / "net.pt")
    with pytest.raises(LimitError, match="dimensions of 'w'"):
        load(tmp_path / "net.pt")


@needs_torch
def test_truncation_anywhere_is_refused(tmp_path: Path, torch: Any) -> None:
    torch.save({"a": torch.ones(3, 2), "b": torch.ones(4, 3)}, tmp_path / "whole.pt")
    content = (tmp_path / "whole.pt").read_bytes()
    for length in range(0, len(content), 61):
        (tmp_path / "part.pt").write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"part\.pt"):
            load(tmp_path / "part.pt")


@needs_torch
def test_mutated_files_give_a_graph_or_an_error(tmp_path_factory: pytest.TempPathFactory, torch: Any) -> None:
    stream = io.BytesIO()
    torch.save({"state_dict": OrderedDict(a=torch.ones(3, 2), b=torch.ones(4, 3)), "epoch": 3}, stream)
    base = stream.getvalue()
    start = base.index(b"\x80\x02")  # the pickle, where changes are not only noticed as wrong checksums
    path = tmp_path_factory.mktemp("fuzz") / "net.pt"

    @settings(max_examples=120)
    @given(st.lists(st.tuples(st.integers(0, 330), st.integers(0, 255)), min_size=1, max_size=3))
    def mutate(changes: list[tuple[int, int]]) -> None:
        with zipfile.ZipFile(io.BytesIO(base)) as whole:
            content = {name: whole.read(name) for name in whole.namelist()}
        name = next(name for name in content if name.endswith("data.pkl"))
        data = bytearray(content[name])
        for where, value in changes:
            data[where % len(data)] = value
        content[name] = bytes(data)
        archive(path, content)
        try:
            load(path, limits=LoadLimits(max_bytes=1 << 20), orientation="out-in")
        except NetspectraError as error:
            assert str(error)  # noqa: PT017

    assert start > 0
    mutate()


@settings(max_examples=150)
@given(data=st.binary(max_size=60))
def test_invented_pickles_are_never_run(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    try:
        names = foreign_globals(b"\x80\x02" + data)
    except ValueError as error:
        assert re.search(r"\w", str(error))  # noqa: PT017
    else:
        assert all(isinstance(name, str) for name in names)
