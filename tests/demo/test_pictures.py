"""The pictures of a card."""

from __future__ import annotations

import numpy as np

from tests.demo.conftest import overhead
from tiercel.demo.pictures import CROP_PIXELS, MAP_PIXELS, draw
from tiercel.demo.results import Located


def test_every_picture_has_its_size(four: list[Located]) -> None:
    shown = draw(four[1], overhead)
    assert shown.photo.shape == (64, 128, 3)
    assert shown.heat.shape == (MAP_PIXELS, MAP_PIXELS, 3)
    crops = shown.steps + shown.candidates
    assert [crop.shape for crop in crops] == [(CROP_PIXELS, CROP_PIXELS, 3)] * (3 + 1)


def test_truth_is_marked_where_it_lies(four: list[Located]) -> None:
    """Grey ground everywhere: cyan is the truth, in the middle of the map."""
    red, _, blue = (draw(four[3], overhead).heat[..., channel].astype(int) for channel in range(3))
    rows, cols = np.nonzero(blue - red > 100)
    assert abs(rows.mean() - MAP_PIXELS / 2) < 4 and abs(cols.mean() - MAP_PIXELS / 2) < 4
