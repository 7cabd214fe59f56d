"""What the suites share: the workloads, the sizes, and the folder they are imported from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:  # plain `pytest` does not add it; `python -m pytest` and the scripts do
    sys.path.insert(0, ROOT)

from benchmarks.peer_samples import PeerSamples  # noqa: E402
from netspectra.bindings.bench.stages import one_thread  # noqa: E402
from netspectra.bindings.bench.workloads import VGG16, WORKLOADS, ChainWorkload  # noqa: E402

EVERY: dict[str, ChainWorkload] = {**WORKLOADS, VGG16.name: VGG16}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Sizes: how many null networks each side of an ensemble scores, how large the large graphs are."""
    group = parser.getgroup("netspectra")
    group.addoption("--nulls", type=int, default=200, help="null networks of netspectra per ensemble (default 200)")
    group.addoption("--peer-nulls", type=int, default=40, help="null networks of the official pipeline (default 40)")
    group.addoption("--width", type=int, default=1024, help="of the 16 layers of W3 (default 1024; W3 itself: 8192)")
    group.addoption("--nodes", type=int, default=20_000, help="of the planted partition (default 20,000)")


@pytest.fixture(scope="session", params=EVERY)
def workload(request: pytest.FixtureRequest) -> ChainWorkload:
    """Run on W1, W1p and W2."""
    return EVERY[request.param]


@pytest.fixture
def one_core() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, for both sides alike."""
    with one_thread():
        yield


@pytest.fixture(scope="session")
def peer_samples(request: pytest.FixtureRequest) -> PeerSamples:
    """Return the sample of null n-cuts that ours are compared with."""
    return PeerSamples(request.config.getoption("--peer-nulls"))


@pytest.fixture(scope="session")
def n_nulls(request: pytest.FixtureRequest) -> int:
    """Return the number of null networks of one of our ensembles."""
    return int(request.config.getoption("--nulls"))
