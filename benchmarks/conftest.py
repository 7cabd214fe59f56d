"""What the suites share: both workloads, how many null networks, and the folder they are imported from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:  # plain `pytest` does not add it; `python -m pytest` and the scripts do
    sys.path.insert(0, ROOT)

from benchmarks.official_pool import PeerSamples  # noqa: E402
from benchmarks.workloads import WORKLOADS, Workload  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many null networks each side of an ensemble scores."""
    group = parser.getgroup("netspectra")
    group.addoption("--nulls", type=int, default=200, help="null networks of netspectra per ensemble (default 200)")
    group.addoption("--peer-nulls", type=int, default=40, help="null networks of the official pipeline (default 40)")


@pytest.fixture(scope="session", params=WORKLOADS)
def workload(request: pytest.FixtureRequest) -> Workload:
    """Run on W1 and on W1p."""
    return WORKLOADS[request.param]


@pytest.fixture
def one_core() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, for both sides alike."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def peer_samples(request: pytest.FixtureRequest) -> PeerSamples:
    """Return the sample of null n-cuts that ours are compared with."""
    return PeerSamples(request.config.getoption("--peer-nulls"))


@pytest.fixture(scope="session")
def n_nulls(request: pytest.FixtureRequest) -> int:
    """Return the number of null networks of one of our ensembles."""
    return int(request.config.getoption("--nulls"))
