"""Arrays of a result are as frozen as its fields."""

import numpy as np
import pytest

import netspectra as ns


def test_labels_cannot_be_changed_behind_the_ncut() -> None:
    part = ns.spectral_clustering(ns.LayerGraph.from_weights([np.kron(np.eye(2), np.ones((3, 3))) + 0.01]), 2)
    with pytest.raises(ValueError, match="read-only"):
        part.labels[0] = 1


def test_a_target_that_cannot_be_written_is_named(tmp_path) -> None:
    part = ns.spectral_clustering(ns.LayerGraph.from_weights([np.kron(np.eye(2), np.ones((3, 3))) + 0.01]), 2)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        part.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        part.save(tmp_path / "absent" / "part.npz")
