import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel.geo import Square, ZoomTree
from tiercel.search import Disc, Posterior, Region, posterior
from tiercel.search.disc import KNOTS

# No deadline: other work on the machine must not fail a test.
QUICK = settings(deadline=None, max_examples=40)
TREE = ZoomTree(Square(1000.0, 500.0, 80.0), 2, 3)  # 8 x 8 leaves of 10 m


def leaves(*cells: tuple[int, int, float]) -> np.ndarray:
    """(row, col, probability) and nothing elsewhere."""
    values = np.zeros(64)
    for row, col, probability in cells:
        values[row * 8 + col] = probability
    return values


def test_the_bell_by_hand() -> None:
    # All in one leaf, matched at its centre to 2 m: r^2 / (r^2 + 4), cut off at 10 m where it has come to 100 / 104.
    disc = Disc(TREE, leaves((2, 2, 1.0)), (985.0, 515.0), 2.0)
    assert disc.mass(2.0) == pytest.approx(0.5 * 1.04)
    assert disc.mass(6.0) == pytest.approx(0.9 * 1.04)
    assert disc.mass(10.0) == pytest.approx(1.0) and disc.mass(11.0) == pytest.approx(1.0)
    assert disc.radius(0.52) == pytest.approx(2.0)
    assert disc.radius(1.0) == 10.0
    assert Disc(TREE, leaves((2, 2, 1.0)), (985.0, 515.0)).radius(0.5) == pytest.approx(math.sqrt(50 / math.pi))


def test_only_leaves_that_the_place_almost_lies_in_are_drawn_together() -> None:
    # 2 m from the eastern border of leaf (2, 2): its neighbour to the east is one place with it, the one to the south,
    # 5 m away, and the far one are not. A quarter of a leaf is 2.5 m.
    probability = leaves((2, 2, 0.4), (2, 3, 0.2), (3, 2, 0.3), (7, 7, 0.1))
    disc = Disc(TREE, probability, (988.0, 515.0), 0.5)
    assert disc.mass(4.99) == pytest.approx(0.6 * 24.9 / 25.15 * 1.0025, abs=1e-4)
    assert disc.mass(5.0) < disc.mass(9.0) < 0.9
    assert disc.mass(20.0) == pytest.approx(0.9)
    assert disc.radius(1.0) == pytest.approx(math.hypot(52, 55))


def test_a_place_far_from_all_that_is_probable_has_no_bell() -> None:
    probability = leaves((7, 7, 1.0))
    spread, matched = (Disc(TREE, probability, (965.0, 535.0), scale) for scale in (0.0, 1.0))
    assert matched.mass(3.0) == 0
    assert matched.radius(0.5) == spread.radius(0.5)


@QUICK
@given(
    st.data(),
    st.lists(st.floats(1e-3, 1), min_size=2, max_size=6),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.floats(0.01, 300),
    st.booleans(),
)
def test_mass_and_radius_are_inverse_and_grow(cases, data, shares, x, y, scale, recalibrated) -> None:
    answer = posterior(data.draw(cases).policy)
    root = answer.tree.root
    disc = Disc(answer.tree, answer.probability, (root.x + x, root.y + y), scale)
    rng = np.random.default_rng(0)
    region = Region(disc, tuple(np.sort(rng.random(len(KNOTS)))) if recalibrated else ())
    shares = sorted(shares)
    radii = [region.radius(share) for share in shares]
    assert radii == sorted(radii)
    for share, radius in zip(shares, radii, strict=True):
        assert region.mass_within(radius) == pytest.approx(share, abs=1e-5)
    masses = [region.mass_within(radius) for radius in np.linspace(0, 1.1 * region.radius(1.0), 20)]
    assert (np.diff(masses) > -1e-9).all()
    assert masses[0] >= 0 and masses[-1] == pytest.approx(1)


def test_the_recalibration_asks_for_the_share_that_held_the_truth() -> None:
    answer = Posterior.from_scores(TREE, np.zeros(64))
    disc = Disc(TREE, answer.probability, answer.centre)
    shares = [0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8]
    region = Region(disc, shares)
    for knot, share in zip(KNOTS, shares, strict=True):
        assert region.radius(knot) == disc.radius(share)
        assert region.mass_within(disc.radius(share)) == pytest.approx(knot, abs=1e-6)
    assert region.radius(0.05) == disc.radius(0.1)  # half way from nothing to the first knot
    assert region.radius(0.975) == pytest.approx(disc.radius(0.9))
    assert region.radius(1.0) == disc.radius(1.0)
    assert Region(disc).radius(0.3) == disc.radius(0.3)
    with pytest.raises(ValueError, match="share"):
        region.radius(0.0)
