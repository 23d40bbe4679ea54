import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.sim.columns import BLOCK, CELL, ground_height, make_scene, shadow_height, sun_share


def test_open_cells_are_as_far_from_walls_as_they_say() -> None:
    scene = make_scene(handmade([(90.0, 95.0, 110.0, 105.0, 9.0), (20.0, 20.0, 23.0, 22.0, 4.0)]))
    occupied = scene.building.reshape(160, 2, 160, 2).max(axis=(1, 3)) > 0
    rows, columns = np.nonzero(occupied)
    for row, column in np.random.default_rng(0).integers(0, 160, (100, 2)):
        nearest = np.maximum(np.abs(rows - row), np.abs(columns - column)).min()
        assert scene.clearance[row, column] == max(0, nearest - 1)


def test_tops_and_peaks_bound_every_roof() -> None:
    scene = make_scene(handmade([(90.0, 95.0, 110.0, 105.0, 9.0)]))
    assert scene.tops[(160 - 100) // CELL, 100 // CELL] == pytest.approx(14.0)
    assert scene.peaks[(160 - 100) // BLOCK, 100 // BLOCK] == pytest.approx(14.0)
    assert scene.tops[0, 0] == pytest.approx(5.0)


def test_heights_between_texels_are_interpolated() -> None:
    ground = np.array([[3.0, 5.0], [1.0, 3.0]], np.float32)
    assert ground_height(ground, 1.0, 0.5, 0.5) == pytest.approx(3.0)
    assert ground_height(ground, 1.0, 0.25, 0.75) == pytest.approx(3.0, abs=0.01)
    assert shadow_height(np.zeros((1, 1), np.float32), 1.0, 0.5, 0.5) == 0.0


def test_sunlight_starts_where_the_shadow_ends() -> None:
    assert sun_share(0.0, 4.0, 0.5) == 0.0
    assert sun_share(9.0, 4.0, 0.5) == 1.0
    assert 0.0 < sun_share(4.0, 4.0, 0.5) < 1.0
