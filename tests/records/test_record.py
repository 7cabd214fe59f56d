"""Saving and loading: every result comes back as it was, and nothing else comes back at all."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clustering.planted import random_chain
from numpy.testing import assert_array_equal

import netspectra as ns
from netspectra.clustering import ClusterSummary
from netspectra.errors import FileFormatError
from netspectra.records import Record
from netspectra.significance import RunPlan, SeedSensitivity


def make_all() -> dict[str, Record]:
    """Return one result of every class, with what is hard to store: NaN, None, tuples, numbers of 64 bits."""
    graph = random_chain(dtype=np.float32)
    result = ns.clusterability_test(graph, 3, n_nulls=4, n_init=2, seed=2**64 - 1)
    failed = dataclasses.replace(result, null_ncuts=np.array([1.0, np.nan]), z_score=float("nan"), p_interval=None)
    return {
        "result": result,
        "failed": failed,
        "untested": ns.clusterability_test(graph, 3, n_nulls=0, n_init=2),
        "partition": result.partition,
        "eigenpairs": ns.eigenpairs(graph, 3),
        "cluster": result.partition.clusters[0],
        "sensitivity": result.seed_sensitivity,
        "plan": result.plan,
    }


RECORDS = make_all()


def same(one: Any, other: Any) -> None:
    """Assert that two values are of one type and equal, NaN and all, down to the last field."""
    assert type(one) is type(other)
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert_array_equal(one, other)
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            same(mine, theirs)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    else:
        assert_array_equal(one, other)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the file of a saved result."""
    RECORDS["result"].save(tmp_path / "result.npz")
    return tmp_path / "result.npz"


@pytest.mark.parametrize("name", RECORDS)
def test_everything_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    record = RECORDS[name]
    record.save(tmp_path / "record.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["record.npz"]
    same(type(record).load(tmp_path / "record.npz"), record)
    same(Record.load(tmp_path / "record.npz"), record)


def test_what_comes_back_reads_the_same(saved: Path) -> None:
    loaded, given = ns.ClusterabilityResult.load(saved), RECORDS["result"]
    assert isinstance(given, ns.ClusterabilityResult)
    assert loaded.summary() == given.summary()
    assert loaded.to_dict() == given.to_dict()
    assert loaded.partition.by_layer() == given.partition.by_layer()
    assert loaded.partition.to_records() == given.partition.to_records()


@pytest.mark.parametrize("name", ["plain", "result.json", "a.b.npz", "näme with space.npz"])
def test_the_name_is_kept_as_given(name: str, tmp_path: Path) -> None:
    RECORDS["plan"].save(str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    same(RunPlan.load(str(tmp_path / name)), RECORDS["plan"])


def test_a_file_is_a_plain_npz_without_pickle(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        assert header["schema_version"] == 1
        assert {archive[name].dtype.kind for name in archive.files} <= set("uif")


@pytest.mark.parametrize("cls", [ns.Partition, ns.Eigenpairs, ClusterSummary, SeedSensitivity, RunPlan])
def test_another_class_is_refused_by_name(cls: type[Record], saved: Path) -> None:
    message = f"holds a ClusterabilityResult, expected a {cls.__name__}; load it with that class"
    with pytest.raises(FileFormatError, match=message):
        cls.load(saved)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.npz", tmp_path):
        with pytest.raises(FileFormatError, match="no such file; expected a result saved with") as caught:
            ns.Partition.load(path)
        assert str(path) in str(caught.value)


def test_a_truncated_file_is_refused_wherever_it_ends(saved: Path) -> None:
    content = saved.read_bytes()
    for length in [0, 1, 4, 30, *range(50, len(content), len(content) // 40), len(content) - 1]:
        saved.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match="not a netspectra result"):
            ns.ClusterabilityResult.load(saved)


def test_a_damaged_file_is_refused_or_unharmed(saved: Path) -> None:
    content, rng, refused = saved.read_bytes(), np.random.default_rng(0), []
    for place in rng.choice(len(content), 400, replace=False):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        saved.write_bytes(damaged)
        try:
            same(ns.ClusterabilityResult.load(saved), RECORDS["result"])
        except FileFormatError as error:
            refused.append(str(error))
    assert len(refused) > 200
    assert all(str(saved) in message for message in refused)


def npy(array: Any) -> bytes:
    """Return an array as the content of a `.npy` file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive_of(header: Any, **members: bytes) -> bytes:
    """Return an archive with a header of any kind, and members as they are given."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("header.npy", npy(np.frombuffer(text, np.uint8)))
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def plan(**fields: Any) -> dict[str, Any]:
    """Return the header of a plan with some fields replaced."""
    own = {"bytes_per_replicate": 1, "batch_size": 2, "in_flight": 1, "memory_limit": 9}
    return {"schema_version": 1, "record": {"__record__": "RunPlan", "fields": {**own, **fields}}}


LIES = b"\x93NUMPY\x01\x00\x46\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(70)

FOREIGN = {
    "empty": b"",
    "text": b"Clusterability of 48 neurons",
    "npy": npy(np.zeros(3)),
    "zip of text": archive_of({})[:-1] + b"x",
    "no header": archive_of({"a": 1}).replace(b"header.npy", b"footer.npy"),
    "header is no JSON": archive_of(b"{'schema_version': 1}"),
    "header is no text": archive_of(b"\xff\xfe"),
    "header is a list": archive_of([1, 2]),
    "header is a number": archive_of(3),
    "header is too deep": archive_of(b"[" * 200_000 + b"]" * 200_000),
    "no version": archive_of({"record": plan()["record"]}),
    "version is text": archive_of({**plan(), "schema_version": "1"}),
    "no record": archive_of({"schema_version": 1}),
    "record is a number": archive_of({"schema_version": 1, "record": 4}),
    "unknown class": archive_of({"schema_version": 1, "record": {"__record__": "Path", "fields": {}}}),
    "unmarked": archive_of({"schema_version": 1, "record": {"fields": {}}}),
    "fields are a list": archive_of({"schema_version": 1, "record": {"__record__": "RunPlan", "fields": [1]}}),
    "field is missing": archive_of({"schema_version": 1, "record": {"__record__": "RunPlan", "fields": {}}}),
    "field is unknown": archive_of(plan(colour=1)),
    "array is missing": archive_of(plan(batch_size={"__array__": "array7"})),
    "array by number": archive_of(plan(batch_size={"__array__": [0]})),
    "dict is no pairs": archive_of(plan(batch_size={"__dict__": [1, 2]})),
    "tuple is a number": archive_of(plan(batch_size={"__tuple__": 3})),
    "array lies about its size": archive_of(plan(batch_size={"__array__": "a"}), a=LIES),
    "array is a pickle": archive_of(plan(batch_size={"__array__": "a"}), a=npy(np.array([None, {}]))),
    "array is no npy": archive_of(plan(batch_size={"__array__": "a"}), a=b"abc"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_result_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.npz"
    path.write_bytes(FOREIGN[name])
    with pytest.raises(FileFormatError) as caught:
        RunPlan.load(path)
    assert str(path) in str(caught.value)


def test_a_newer_schema_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "new.npz").write_bytes(archive_of({**plan(), "schema_version": 2}))
    with pytest.raises(FileFormatError, match="schema version 2, this netspectra reads up to 1; upgrade netspectra"):
        RunPlan.load(tmp_path / "new.npz")
