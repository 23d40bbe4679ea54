import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.geo import Square

squares = st.builds(
    Square,
    st.floats(-1e7, 1e7, allow_subnormal=False),
    st.floats(-1e7, 1e7, allow_subnormal=False),
    st.floats(1.0, 1e5, allow_subnormal=False),
)


def test_edges() -> None:
    square = Square(100.0, 200.0, 20.0)
    assert square.bounds == (90.0, 190.0, 110.0, 210.0)
    assert (square.west, square.south, square.east, square.north) == square.bounds


def test_north_west_edge_belongs_south_east_does_not() -> None:
    square = Square(0.0, 0.0, 2.0)
    inside = square.contains([-1.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, -1.0, 0.0])
    assert inside.tolist() == [True, True, False, False, True]


def test_first_pixel_is_north_west() -> None:
    x, y = Square(0.0, 0.0, 4.0).pixel_centres(4)
    assert x.tolist() == [-1.5, -0.5, 0.5, 1.5]
    assert y.tolist() == [1.5, 0.5, -0.5, -1.5]


@given(squares, st.integers(1, 50))
def test_pixel_centres_lie_inside_and_evenly(square: Square, pixels: int) -> None:
    x, y = square.pixel_centres(pixels)
    assert x.shape == y.shape == (pixels,)
    assert square.contains(x, y).all()
    assert np.isclose(x.mean(), square.x) and np.isclose(y.mean(), square.y)
    assert np.allclose(np.diff(x), square.side / pixels, atol=1e-6) and (np.diff(y) < 0).all()


@given(squares, st.floats(0.0, 1e4))
def test_expanding_and_shrinking_cancel(square: Square, margin: float) -> None:
    grown = square.expanded(margin)
    assert grown.side == square.side + 2 * margin
    assert math.isclose(grown.expanded(-margin).side, square.side, abs_tol=1e-9)


@pytest.mark.parametrize(("x", "side"), [(math.nan, 1.0), (0.0, 0.0), (0.0, -1.0), (math.inf, 1.0)])
def test_no_square_without_place_or_size(x: float, side: float) -> None:
    with pytest.raises(ValueError, match="positive side"):
        Square(x, 0.0, side)
