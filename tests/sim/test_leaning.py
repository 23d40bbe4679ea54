"""Maps on which what stands high leans away from the nadir."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.sim.leaning import CELL, survey
from tiercel.sim.overhead import OverheadLook, OverheadRenderer, render_overhead
from tiercel.sim.world import World

CLEAR = OverheadLook(
    blur=0.0, noise=0.0, haze=0.0, contrast=1.0, saturation=1.0, sky=1.0, shade_tint=0.0, gains=(1, 1, 1)
)
LEAN = replace(CLEAR, lean=0.3, nadir=(0.0, 0.5))
HOUSE = (110.0, 70.0, 122.0, 90.0, 20.0)  # west, south, east, north, height


def red(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(int) - picture[..., 1] > 40


def extent(mask: np.ndarray) -> tuple[float, float, float, float]:
    """West, south, east and north of what is marked, metres, in a city of 160 m at a quarter of a metre."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return cols[0] / 4, 160 - (rows[-1] + 1) / 4, (cols[-1] + 1) / 4, 160 - rows[0] / 4


def test_a_roof_is_displaced_by_its_height_and_the_foot_of_its_wall_is_not() -> None:
    world = handmade([HOUSE])
    straight, leaning = (render_overhead(world, 0.25, day=1, look=look) for look in (CLEAR, LEAN))
    assert extent(red(straight)) == pytest.approx(HOUSE[:4], abs=0.5)
    west, _, east, north = extent(red(leaning))
    # The nadir is in the middle of the western edge, so the lean is 0.3 at either eastern corner.
    share = 0.3 / np.hypot(160.0, 80.0)
    assert west == pytest.approx(HOUSE[0], abs=0.5)  # the foot of the wall that faces the nadir
    assert east == pytest.approx(HOUSE[2] + 20.0 * share * HOUSE[2] / (1.0 - 20.0 * share), abs=1.0)
    assert north == pytest.approx(HOUSE[3] + 20.0 * share * 10.0, abs=0.8)


def test_the_far_wall_is_hidden_and_the_near_one_shows() -> None:
    world = handmade([HOUSE])
    world.parts["roof_colour"] = (60, 60, 220)
    picture = render_overhead(world, 0.25, day=1, look=LEAN)
    wall = red(picture)
    roof = picture[..., 2].astype(int) - picture[..., 0] > 60
    across = wall[320], roof[320]  # the row through the middle of the house
    first, last = np.flatnonzero(across[0])[[0, -1]] / 4
    assert first == pytest.approx(110.0, abs=0.75)
    share = 0.3 / np.hypot(160.0, 80.0)
    assert last == pytest.approx(110.0 + 20.0 * share * 113.0, abs=1.0)
    assert np.flatnonzero(across[1])[0] / 4 >= last
    assert roof.sum() / 16 == pytest.approx(240.0, rel=0.12)


def clear_of(world: World, table: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Pixels of half a metre that are further than `reach` from all rows of a table of places."""
    clear = np.ones(world.building.shape, bool)
    for x, y, far in zip(table[:, 0], world.size - table[:, 1], reach, strict=True):
        rows, cols = (slice(max(0, int(2 * (at - far))), int(2 * (at + far)) + 1) for at in (y, x))
        clear[rows, cols] = False
    return clear


def test_the_ground_is_in_place(world: World) -> None:
    straight, leaning = (render_overhead(world, 0.5, day=1, look=look) for look in (CLEAR, replace(CLEAR, lean=0.3)))
    differing = (straight != leaning).any(axis=2)
    parts, plants, slots = world.parts, world.plants, world.slots
    tall = parts["eave"] + parts["rise"] - parts["base"]
    open_ground = clear_of(
        world, parts["centre"], np.hypot(parts["half_length"], parts["half_width"]) + 0.35 * tall + 3
    )
    open_ground &= clear_of(
        world, np.stack([plants["x"], plants["y"]], axis=1), plants["crown"] + 0.35 * plants["height"] + 2
    )
    open_ground &= clear_of(world, np.stack([slots["x"], slots["y"]], axis=1), np.full(len(slots), 8.0))
    assert open_ground.mean() > 0.01
    assert not differing[open_ground].any()
    assert differing.mean() > 0.1


def test_hardly_any_lean_is_hardly_any_difference(world: World) -> None:
    straight, leaning = (render_overhead(world, 0.5, day=1, look=look) for look in (CLEAR, replace(CLEAR, lean=1e-4)))
    difference = np.abs(straight.astype(int) - leaning)
    assert np.median(difference) == 0 and difference.mean() < 1.5


def test_a_crown_leans_with_its_height() -> None:
    tree = (120.0, 80.0, 5.0, 16.0, 4.0, 6.0, 0, 0.5, 7)
    empty, full = handmade(), handmade(plants=[tree])
    middles = []
    for look in (CLEAR, LEAN):
        shown = [render_overhead(one, 0.25, day=1, look=replace(look, sky=0.999)) for one in (empty, full)]
        rows, cols = np.nonzero(np.abs(shown[0].astype(int) - shown[1]).max(axis=2) > 12)
        middles.append((cols.mean() / 4, 160 - rows.mean() / 4))
    share = 0.3 / np.hypot(160.0, 80.0)
    assert middles[1][0] - middles[0][0] == pytest.approx(11.0 * share * 120.0, abs=1.2)
    assert abs(middles[1][1] - middles[0][1]) < 0.5


def test_a_house_hides_the_tree_and_the_car_that_it_leans_over() -> None:
    behind = {
        "plants": [(124.0, 80.0, 5.0, 3.0, 1.0, 1.0, 0, 0.5, 7)],
        "slots": [(123.5, 74.0 + 2 * k, 5.0, 0.0, 0) for k in range(6)],
    }
    for look, hidden in ((CLEAR, False), (LEAN, True)):
        pictures = [
            render_overhead(one, 0.25, day=1, look=look) for one in (handmade([HOUSE]), handmade([HOUSE], **behind))
        ]
        assert (np.abs(pictures[0].astype(int) - pictures[1]).max() <= 2) == hidden


@pytest.mark.parametrize("resolution", [0.5, 0.73])
def test_a_window_is_the_crop_of_the_whole(world: World, resolution: float, tmp_path: Path) -> None:
    look = OverheadLook(blur=0.9, noise=5.0, season=2.3, lean=0.35, nadir=(0.3, 0.7))
    whole = render_overhead(world, resolution, day=3, look=look)
    renderer = OverheadRenderer(world, resolution, day=3, look=look, folder=tmp_path)
    cuts = [0, 1, 170, 171, 333, len(whole)]
    for top, bottom in pairwise(cuts):
        for left, right in pairwise(cuts):
            assert np.array_equal(renderer.window(top, bottom, left, right), whole[top:bottom, left:right])


def test_the_survey_knows_how_high_a_ray_may_meet_something() -> None:
    reach = survey(handmade([HOUSE]), 0.3)
    assert reach[int((160 - 80) / CELL), int(115 / CELL)] == pytest.approx(20.0, abs=0.1)
    assert reach[int((160 - 80) / CELL), int(127 / CELL)] == pytest.approx(20.0, abs=0.1)  # it leans over that one
    assert reach[1, 1] == 0.0
