import numpy as np
import pytest

from tiercel.sim.facades import facade_colour, wall_table
from tiercel.sim.world import PART


def wall(facade: int, **fields: float) -> np.ndarray:
    part = np.zeros(1, PART)
    part["eave"], part["floor_height"], part["bay"], part["window_share"] = 12.0, 3.0, 3.0, 0.5
    part["wall"], part["window"], part["shop"], part["facade"] = (200, 190, 180), (40, 50, 60), (60, 120, 90), facade
    for name, value in fields.items():
        part[name] = value
    return wall_table(part)[0]


def glass_share(row: np.ndarray, low: float, high: float, detail: float = 0.02) -> float:
    points = [
        facade_colour(row, float(along), 24.0, float(height), detail)[3]
        for along in np.linspace(0.1, 23.9, 120)
        for height in np.linspace(low, high, 60)
    ]
    return float(np.mean(np.array(points) > 0.04))


def test_a_blank_wall_has_no_windows() -> None:
    assert glass_share(wall(0), 0.0, 12.0) == 0.0


@pytest.mark.parametrize(("facade", "low", "high"), [(1, 0.1, 0.35), (2, 0.3, 0.6), (3, 0.6, 1.0), (7, 0.05, 0.35)])
def test_each_facade_has_its_share_of_glass(facade: int, low: float, high: float) -> None:
    assert low < glass_share(wall(facade), 0.0, 12.0) < high


def test_shops_have_more_glass_at_the_ground_than_above() -> None:
    row = wall(4)
    assert glass_share(row, 0.6, 2.2) > 1.3 * glass_share(row, 4.5, 11.5)


def test_windows_are_fitted_to_the_wall() -> None:
    row = wall(1)
    for length in (11.0, 24.0):
        half = [facade_colour(row, x, length, 7.0, 0.02)[3] > 0.04 for x in np.linspace(0, length, 401)]
        edge = np.flatnonzero(half)
        assert edge[0] == pytest.approx(400 - edge[-1], abs=3)  # as far from the one corner as from the other


def test_far_walls_are_plain() -> None:
    row = wall(1)

    def spread(detail: float) -> float:
        return float(np.std([facade_colour(row, x, 24.0, 7.0, detail)[0] for x in np.linspace(0.5, 23.5, 200)]))

    assert spread(5.0) < 0.2 * spread(0.02)


def test_a_hedge_is_leafy_and_a_fence_has_boards() -> None:
    hedge, fence = wall(8, eave=1.2, wall=(60, 100, 50)), wall(8, eave=1.2, wall=(140, 110, 80), material=5)
    assert facade_colour(hedge, 3.0, 24.0, 0.6, 0.02)[1] > facade_colour(hedge, 3.0, 24.0, 0.6, 0.02)[0]
    boards = np.array([facade_colour(fence, x, 24.0, 0.6, 0.01)[0] for x in np.linspace(1.0, 2.4, 281)])
    assert np.count_nonzero(np.diff((boards < 0.75 * np.median(boards)).astype(int)) == 1) == pytest.approx(10, abs=1)
