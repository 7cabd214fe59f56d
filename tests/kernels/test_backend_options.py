"""Threads and working dtype live on the backend object and nowhere else."""

from typing import Any

import numpy as np
import pytest

from netspectra.clustering import spectral_clustering
from netspectra.errors import GraphError
from netspectra.graph import LayerGraph
from netspectra.kernels import get_backend


@pytest.mark.parametrize("name", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64])
def test_the_working_dtype_is_the_backends(name: str, dtype: Any) -> None:
    weights = np.kron(np.eye(2), np.ones((3, 3))).astype(np.float32) + np.float32(0.01)
    part = spectral_clustering(LayerGraph.from_weights([weights]), 2, backend=get_backend(name, dtype=dtype))
    assert part.dtype == np.dtype(dtype).name
    assert part.by_layer()[0]["counts"] == [3, 3]


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_another_dtype_is_refused(name: str) -> None:
    with pytest.raises(GraphError, match=r"dtype must be 'float32', 'float64' or None .*got 'float16'"):
        get_backend(name, dtype="float16")
