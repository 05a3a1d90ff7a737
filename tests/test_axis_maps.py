"""Maps along an axis as matrices: lists and transposes, and what padding and resizing take."""

import numpy as np
import pytest

from numbacnn.axis_maps import AxisMap, copying, identity, linear, nearest, padding


def matrix(map: AxisMap) -> np.ndarray:
    """The map as a matrix (outputs, inputs)."""
    full = np.zeros((map.outputs, map.inputs))
    np.add.at(full, (np.repeat(np.arange(map.outputs), np.diff(map.bounds)), map.sources), map.weights)
    return full


MAPS = [
    copying(4, np.array([3, -1, 0, 3, 3])),
    identity(3),
    nearest(5, 13, None),
    nearest(7, 3, 2.1),
    linear(4, 9, False, None),
    linear(6, 4, True, None),
    linear(5, 8, False, 0.7),
    padding(4, 2, 3, "constant"),
    padding(4, 3, 3, "reflect"),
    padding(2, 5, 1, "replicate"),
    padding(3, 3, 2, "circular"),
]


@pytest.mark.parametrize("map", MAPS, ids=lambda map: f"{map.inputs}-{map.outputs}")
def test_the_transpose_is_the_matrix_transposed(map):
    np.testing.assert_array_equal(matrix(map.transposed), matrix(map).T)


def test_entries_of_a_target_stay_in_order():
    targets, sources = np.array([1, 0, 1, 1]), np.array([4, 2, 0, 3])
    map = AxisMap.of(5, 3, targets, sources, np.arange(4.0))
    assert map.bounds.tolist() == [0, 1, 4, 4]
    assert map.sources.tolist() == [2, 4, 0, 3]
    assert map.weights.tolist() == [1.0, 0.0, 2.0, 3.0]


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap", "constant"])
def test_padding_is_numpys(mode):
    x = np.array([3.0, 1.0, 4.0, 1.5])
    name = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
    np.testing.assert_array_equal(matrix(padding(4, 3, 2, name)) @ x, np.pad(x, (3, 2), mode))


@pytest.mark.parametrize(
    ("size", "out", "align_corners"), [(4, 9, False), (7, 3, False), (5, 8, True), (1, 3, True)]
)
def test_linear_rows_are_averages_at_their_places(size, out, align_corners):
    weights = matrix(linear(size, out, align_corners, None))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    if align_corners:
        places = np.linspace(0, size - 1, out)
    else:
        places = ((np.arange(out) + 0.5) * size / out - 0.5).clip(0, size - 1)
    np.testing.assert_allclose(weights @ np.arange(size), places, atol=1e-12)
