"""Bare trees: wood that starts at the foot, forks outwards, and lets the sky through."""

import numpy as np
import pytest

from tiercel.sim.trees import _twigs

CROWN, HIGH = 4.0, 4.5


def wood(seed, detail=0.02) -> np.ndarray:
    """(rows from the top, columns) bool over the square around a crown, 5 cm a cell."""
    above = np.arange(2 * HIGH, 0, -0.05)
    aside = np.arange(-CROWN, CROWN, 0.05)
    return np.array([[_twigs(seed, x, y, CROWN, HIGH, 12.0, detail)[0] > 0 for x in aside] for y in above])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_branches_start_at_the_foot_and_spread(seed) -> None:
    tree = wood(seed)
    middle = tree.shape[1] // 2
    assert tree[-4:, middle - 1 : middle + 1].all()
    assert not tree[-10:, : middle - 30].any() and not tree[-10:, middle + 30 :].any()
    widths = [np.ptp(np.flatnonzero(band.any(0))) for band in np.array_split(tree[len(tree) // 4 :], 4)]
    assert widths[0] > 2 * widths[-1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sky_shows_between_them(seed) -> None:
    tree = wood(seed)
    assert 0.03 < tree.mean() < 0.35
    assert np.diff(tree[len(tree) // 3].astype(int)).clip(0).sum() >= 4  # so many branches side by side


def test_no_two_trees_are_alike() -> None:
    assert (wood(1) != wood(2)).mean() > 0.03


def test_far_ones_are_as_dense_as_near_ones_and_coarser() -> None:
    near, far = wood(4), wood(4, detail=0.25)
    assert near.mean() < far.mean() < 4 * near.mean()
