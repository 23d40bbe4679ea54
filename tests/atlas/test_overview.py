import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tiercel.atlas.overview import crop, to_png
from tiercel.geo import Square

GROUND = Square(1000.0, 2000.0, 100.0)


def ramp(square, pixels) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose red grows to the east and whose green grows to the south; the north-east is not covered."""
    x, y = np.meshgrid(*square.pixel_centres(pixels))
    rgb = np.stack([2 * (x - 950), 2 * (2050 - y), np.full_like(x, 50)], -1).clip(0, 255).astype(np.uint8)
    inside = GROUND.contains(x, y)
    covered = inside & ~((x > 1000) & (y > 2000))
    return rgb * covered[..., None].astype(np.uint8), covered


def test_a_picture_comes_back_with_its_coverage() -> None:
    rgb, covered = ramp(GROUND, 200)
    image = Image.open(io.BytesIO(to_png(rgb, covered)))
    assert image.mode == "RGBA"
    again, inside = crop(image, GROUND, GROUND, 200)
    np.testing.assert_array_equal(inside, covered)
    np.testing.assert_array_equal(again, rgb)


@settings(deadline=None)
@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(5, 250), st.integers(1, 120))
def test_any_square_shows_its_own_ground(dx, dy, side, pixels) -> None:
    image = Image.open(io.BytesIO(to_png(*ramp(GROUND, 200))))
    square = Square(1000 + dx, 2000 + dy, side)
    rgb, covered = crop(image, GROUND, square, pixels)
    assert rgb.shape == (pixels, pixels, 3)
    expected, inside = ramp(square, pixels)
    # Away from edges of the coverage, by more than a pixel of either picture.
    blur = 2 * max(side / pixels, 0.5)
    x, y = np.meshgrid(*square.pixel_centres(pixels))
    edges = np.minimum.reduce([abs(x - 950), abs(x - 1050), abs(y - 1950), abs(y - 2050), abs(x - 1000), abs(y - 2000)])
    clear = edges > blur
    np.testing.assert_array_equal(covered[clear], inside[clear])
    both = clear & inside
    np.testing.assert_allclose(rgb[both].astype(float), expected[both], atol=2.5)


@pytest.mark.parametrize("pixels", [1, 7, 64])
def test_colours_do_not_darken_towards_what_is_not_covered(pixels) -> None:
    rgb = np.full((64, 64, 3), 200, np.uint8)
    covered = np.indices((64, 64)).sum(0) % 4 > 0
    image = Image.open(io.BytesIO(to_png(rgb * covered[..., None].astype(np.uint8), covered)))
    shown, inside = crop(image, GROUND, GROUND, pixels)
    assert inside.any()
    np.testing.assert_allclose(shown[inside].astype(float), 200, atol=3)
