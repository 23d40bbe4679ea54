"""The picture of the ways down the map."""

from __future__ import annotations

import numpy as np
import pytest

from tests.demo.conftest import overhead
from tests.models.tiny import photo_of_scene
from tests.search.town import NORTH, WEST, prepared
from tiercel.demo.zooming import draw_zooming, leaves_on_the_way, siblings_on_the_way
from tiercel.geo import Square, ZoomTree
from tiercel.locate import Locator
from tiercel.photos import Photo
from tiercel.search import LevelScores, Posterior

TREE = ZoomTree(Square(0.0, 0.0, 16.0), 4, 2)


def test_what_is_drawn_over_the_squares() -> None:
    """Two cells of the first level share; all of the leaves' probability lies in two leaves."""
    top = np.full(16, -np.inf)
    top[5], top[6] = np.log(3.0), 0.0
    leaves = np.full(256, -np.inf)
    first, second = int(TREE.flat(2, 4, 4)), int(TREE.flat(2, 7, 10))  # in cells 5 and 6
    leaves[first], leaves[second] = 0.0, np.log(4.0)
    siblings = siblings_on_the_way(LevelScores(TREE, {1: top, 2: leaves}), first)
    assert siblings[0].shape == (4, 4) and siblings[0][1, 1] == pytest.approx(0.75)
    assert siblings[1][0, 0] == pytest.approx(1.0)
    held = leaves_on_the_way(Posterior.from_scores(TREE, leaves), second)
    assert held[0][1, 2] == pytest.approx(0.8) and held[0][1, 1] == pytest.approx(0.2)
    assert held[1][3, 2] == pytest.approx(1.0)


def test_the_picture_shows_both_ways() -> None:
    model, atlas = prepared()
    photo = Photo.from_array(photo_of_scene(20.0, 90), panorama=False, field_of_view=90.0, heading=20.0)
    analysis = Locator(atlas, model).analyse(photo)
    page = np.asarray(draw_zooming(analysis, photo, overhead, (WEST + 200, NORTH - 200)))
    assert page.shape[1] == 1600 and page.shape[0] > 1000
    cyan = (page[..., 2].astype(int) - page[..., 0] > 100).any(1)
    rows = np.flatnonzero(cyan)
    assert rows.min() < page.shape[0] * 0.6 < rows.max()  # the truth is marked in both rows of squares
