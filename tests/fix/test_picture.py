"""Pictures: what is drawn is where it belongs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiercel.fix import Fix
from tiercel.fix.picture import (
    PICK,
    TRUTH,
    WHITE,
    draw_candidates,
    draw_fix,
    draw_map,
    draw_photo,
    draw_photos,
    draw_steps,
    heat_colours,
    heat_levels,
    heat_over,
)
from tiercel.geo import Square, ZoomTree
from tiercel.photos import Photo


def _overhead(square: Square, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Even grey ground; the map ends 500 m west of the tree's centre."""
    x, _ = square.pixel_centres(pixels)
    covered = np.broadcast_to(x > 390_500, (pixels, pixels))
    return np.full((pixels, pixels, 3), 110, np.uint8), covered.copy()


def _photo(height: int = 300, width: int = 400) -> Photo:
    return Photo.from_array(np.full((height, width, 3), 77, np.uint8), panorama=False, field_of_view=70, name="ü.jpg")


def _near(image: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Pixels of about that colour, as (row, col)."""
    return np.argwhere(np.abs(np.asarray(image).astype(int) - colour).max(-1) < 12)


def test_heat_levels_run_from_chance_to_the_likeliest() -> None:
    heat = np.full((10, 10), 0.2 / 98, np.float32)
    heat[3, 4], heat[0, 0] = 0.8, np.nan
    levels = heat_levels(heat)
    assert levels[3, 4] == 1 and levels[0, 0] == 0 and levels[5, 5] == 0
    assert heat_levels(np.full((4, 4), 1 / 16)).max() == 0
    assert heat_levels(np.full((4, 4), np.nan)).max() == 0
    # Twice as likely as chance is not hot, however flat the rest is.
    flat = np.full((10, 10), 0.01)
    flat[0, 0] = 0.02
    assert 0 < heat_levels(flat)[0, 0] < 0.4


def test_heat_colours_run_from_clear_to_bright() -> None:
    colours = heat_colours(np.linspace(0, 1, 20)).astype(int)
    assert colours[0, 3] == 0 and (np.diff(colours[:, 3]) >= 0).all()
    assert (np.diff(colours[:, :3].sum(-1)) > 0).all()


def test_heat_lies_over_its_cell_only() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 1
    ground = np.full((80, 80, 3), 110, np.uint8)
    image = np.asarray(heat_over(ground, heat)).astype(int)
    cold = np.asarray(heat_over(ground, np.full((4, 4), 1 / 16))).astype(int)
    changed = np.abs(image - cold).max(-1) > 60
    rows, cols = np.nonzero(changed)
    assert rows.min() >= 18 and rows.max() <= 41 and cols.min() >= 38 and cols.max() <= 61
    assert changed[25:35, 45:55].all()


def test_uncovered_ground_is_hatched_not_black() -> None:
    covered = np.ones((60, 60), bool)
    covered[:, :30] = False
    image = np.asarray(heat_over(np.zeros((60, 60, 3), np.uint8), np.full((2, 2), 0.25), covered))
    assert image[:, :30].min() > 150 and image[:, 30:].max() < 60


def test_map_marks_stand_on_their_places(fix: Fix) -> None:
    covered = replace(fix, heat=np.nan_to_num(fix.heat))
    truth = (fix.x + 500, fix.y - 400)
    image = draw_map(covered, _overhead, 640, truth)
    assert image.size == (640, 640)
    scale = 640 / 2000
    row, col = (fix.tree.root.north - truth[1]) * scale, (truth[0] - fix.tree.root.west) * scale
    assert _near(image, TRUTH).mean(0) == pytest.approx((row, col), abs=1.5)
    without = np.asarray(draw_map(covered, _overhead, 640)).astype(int)
    changed = np.argwhere(np.abs(without - np.asarray(image)).max(-1) > 30)
    assert np.abs(changed - (row, col)).max() < 16
    disc = _near(image, (236, 88, 24))
    expected = ((fix.tree.root.north - fix.y) * scale, (fix.x - fix.tree.root.west) * scale)
    assert np.median(disc, 0) == pytest.approx(expected, abs=1.5)


def test_circles_have_their_radius_on_the_map(fix: Fix) -> None:
    centred = replace(fix, x=391_000.0, y=5_820_000.0, radius_50_m=400.0, radius_90_m=float("inf"), heading=None,
                      heat=np.nan_to_num(fix.heat))  # fmt: skip
    image = np.asarray(draw_map(centred, _overhead, 500)).astype(int)
    along = image[250, 300:420]
    (white,) = np.nonzero(np.abs(along - WHITE).max(-1) < 40)
    assert 300 + white.mean() == pytest.approx(250 + 400 * 500 / 2000, abs=1.5)


def test_the_map_shows_what_is_covered_closely(fix: Fix) -> None:
    heat = np.full((64, 64), np.nan, np.float32)
    heat[40:48, 8:16] = 1 / 64
    squares: list[Square] = []

    def reading(square: Square, pixels: int) -> tuple[np.ndarray, np.ndarray]:
        squares.append(square)
        return _overhead(square, pixels)

    draw_map(replace(fix, heat=heat), reading, 300)
    covered = Square(fix.tree.root.west + 12 * 31.25, fix.tree.root.north - 44 * 31.25, 8 * 31.25)
    (seen,) = squares
    assert seen.contains([covered.west, covered.east - 1], [covered.south + 1, covered.north]).all()
    assert seen.side <= covered.side + 3 * 31.25


def test_steps_outline_the_picked_child(fix: Fix) -> None:
    image = draw_steps(fix.steps, _overhead, 200, gap=40)
    assert image.size == (4 * 240 - 40, 234)
    first = image.crop((0, 0, 200, 200))
    outline = _near(first, PICK)
    # Child (1, 1) of four by four: pixels 50 to 100; the beams leave it for the right edge.
    assert outline[:, 0].min() <= 51 and outline[:, 1].min() == pytest.approx(50, abs=3)
    last = image.crop((720, 0, 920, 200))
    assert len(_near(last, PICK)) < 40


def test_candidates_in_a_row(fix: Fix) -> None:
    best = (fix.x, fix.y)
    image = draw_candidates(fix.candidates, _overhead, 150, 125, best=best, truth=(fix.x + 31.25, fix.y), gap=10)
    assert image.width == 310 and image.height > 150
    assert _near(image, TRUTH).mean(0) == pytest.approx((75, 75 + 31.25 / 125 * 150), abs=1.5)


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (200, 400), (3, 900)])
def test_photos_of_any_shape_fit_their_mat(height: int, width: int) -> None:
    image = draw_photo(_photo(height, width), 500, 300)
    assert image.size == (500, 300)
    shown = _near(image, (77, 77, 77))
    assert np.ptp(shown, axis=0).max() >= 250
    assert shown.mean(0) == pytest.approx((149.5, 249.5), abs=1)


def test_the_whole_figure(fix: Fix, tmp_path: Path) -> None:
    fix.to_png(tmp_path / "fix.png", photo=_photo(), overhead=_overhead, truth=(fix.x + 60, fix.y))
    with Image.open(tmp_path / "fix.png") as image:
        assert image.size[0] == 1600 and image.mode == "RGB"
        assert len(_near(image, TRUTH)) > 200 and len(_near(image, PICK)) > 500
    assert [path.name for path in tmp_path.iterdir()] == ["fix.png"]


def test_a_figure_of_the_least_there_can_be(fix: Fix) -> None:
    tree = ZoomTree(Square(391_000, 5_820_000, 31.25), 4, 0)
    least = replace(fix, tree=tree, heat=np.ones((1, 1), np.float32), steps=[], candidates=[], heading=None,
                    radius_90_m=float("inf"), photo="", x=391_000.0, y=5_820_000.0)  # fmt: skip
    assert draw_fix(least, _photo(1, 1), _overhead).size[0] == 1600


def test_photos_from_one_spot_fill_the_place_of_one_as_large_as_fits() -> None:
    tones = (40, 90, 140, 190)
    four = [
        Photo.from_array(np.full((300, 400, 3), tone, np.uint8), panorama=False, field_of_view=70) for tone in tones
    ]
    assert np.array_equal(np.asarray(draw_photos(four[:1], 792, 500)), np.asarray(draw_photo(four[0], 792, 500)))
    image = np.asarray(draw_photos(four, 792, 500))[..., 0]
    assert image.shape == (500, 792)
    at = {tone: np.argwhere(image == tone).mean(0) / (500, 792) for tone in tones}
    for tone, place in zip(tones, ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)), strict=True):
        assert at[tone] == pytest.approx(place, abs=0.01) and (image == tone).sum() > 300 * 240
    wide = [
        Photo.from_array(np.full((200, 400, 3), tone, np.uint8), panorama=True, field_of_view=360) for tone in (9, 8)
    ]
    rows = np.asarray(draw_photos(wide, 700, 500))[..., 0]  # panoramas lie better one above the other
    assert np.argwhere(rows == 9)[:, 0].max() < np.argwhere(rows == 8)[:, 0].min()


def test_a_fix_of_photos_from_one_spot_shows_all_of_them(fix: Fix) -> None:
    one, other = _photo(), Photo.from_array(np.full((300, 400, 3), 33, np.uint8), panorama=False, field_of_view=70)
    image = draw_fix(replace(fix, together=("other.jpg",)), one, _overhead, None, [other])
    for tone in (77, 33):
        assert len(_near(image, (tone, tone, tone))) > 20_000
