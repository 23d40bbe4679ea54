"""The city from above."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiercel.sim.overhead import OverheadLook, OverheadRenderer, render_overhead
from tiercel.sim.world import Surface, World

CLEAR = OverheadLook(blur=0.0, noise=0.0, haze=0.0, contrast=1.0)


@pytest.fixture(scope="module")
def picture(world: World) -> np.ndarray:
    return render_overhead(world, 0.5, day=1, look=CLEAR)


@pytest.mark.parametrize("resolution", [0.25, 0.48828125, 1.0])
def test_the_picture_covers_the_city_at_any_resolution(world: World, picture: np.ndarray, resolution: float) -> None:
    image = render_overhead(world, resolution, day=1, look=CLEAR)
    pixels = round(world.size / resolution)
    assert image.shape == (pixels, pixels, 3)
    assert image.dtype == np.uint8
    small = [np.asarray(Image.fromarray(a).resize((50, 50), Image.Resampling.BOX), float) for a in (image, picture)]
    assert np.abs(small[0] - small[1]).mean() < 4.0


def test_a_picture_repeats_and_another_day_moves_the_cars(world: World, picture: np.ndarray) -> None:
    assert np.array_equal(picture, render_overhead(world, 0.5, day=1, look=CLEAR))
    other = render_overhead(world, 0.5, day=2, look=CLEAR)
    changed = (picture != other).any(axis=2)
    assert 0.0005 < changed.mean() < 0.1
    road = np.isin(world.surface, (Surface.ROAD, Surface.PARKING, Surface.YARD))
    assert road[changed].mean() > 0.7


def test_shade_is_darker_and_bluer(world: World) -> None:
    tinted = replace(CLEAR, shade_tint=1.0, sun_elevation=30.0)
    low, high = (
        render_overhead(world, 0.5, day=1, look=tinted),
        render_overhead(world, 0.5, day=1, look=replace(tinted, sky=0.9)),
    )
    shaded = high.astype(float).mean(axis=2) - low.astype(float).mean(axis=2) > 40.0
    assert 0.03 < shaded.mean() < 0.7
    ratio = low[shaded].astype(float).sum(axis=0) / high[shaded].astype(float).sum(axis=0)
    assert ratio.max() < 0.75


def test_seasons_and_snow_show(world: World, picture: np.ndarray) -> None:
    grass = (world.surface == Surface.GRASS) | (world.surface == Surface.PARK)
    snow = render_overhead(world, 0.5, day=1, look=replace(CLEAR, season=3.0, snow=0.9))
    assert snow[grass].mean() > picture[grass].mean() + 40.0
    autumn = render_overhead(world, 0.5, day=1, look=replace(CLEAR, season=2.25))
    assert np.abs(autumn.astype(int) - picture.astype(int)).mean() > 1.0


def test_blur_smooths_and_noise_roughens(world: World, picture: np.ndarray) -> None:
    def roughness(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image.astype(float), axis=1)).mean())

    assert roughness(render_overhead(world, 0.5, day=1, look=replace(CLEAR, blur=0.9))) < 0.8 * roughness(picture)
    assert roughness(render_overhead(world, 0.5, day=1, look=replace(CLEAR, noise=6.0))) > roughness(picture) + 2.0


def test_blur_shifts_nothing(world: World, picture: np.ndarray) -> None:
    """The blurred picture is nearest to the sharp one when laid exactly over it, and the border is no exception."""
    blurred = render_overhead(world, 0.5, day=1, look=replace(CLEAR, blur=0.9)).astype(float)
    sharp = picture.astype(float)
    inner = (slice(2, -2), slice(2, -2))
    errors = {
        (dy, dx): np.abs(np.roll(sharp, (dy, dx), (0, 1))[inner] - blurred[inner]).mean()
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    }
    assert min(errors, key=lambda key: errors[key]) == (0, 0)
    assert np.abs(blurred[0] - sharp[0]).mean() < 3.0 * np.abs(blurred[5] - sharp[5]).mean() + 2.0


def test_looks_vary_widely_yet_show_a_city(world: World) -> None:
    means = []
    for seed in range(6):
        image = render_overhead(world, 1.0, day=seed, look=OverheadLook.sample(np.random.default_rng(seed)))
        assert image.std() > 15.0
        means.append(image.mean())
    assert np.ptp(means) > 15.0


@pytest.mark.parametrize("resolution", [0.5, 0.73])
def test_a_window_is_the_crop_of_the_whole(world: World, resolution: float, tmp_path: Path) -> None:
    """Whatever reaches over its edges: shadows, crowns, vehicles, the sensor's blur and noise."""
    look = OverheadLook(blur=0.9, noise=5.0, season=2.3, sun_azimuth=120.0, sun_elevation=31.0)
    whole = render_overhead(world, resolution, day=3, look=look)
    renderer = OverheadRenderer(world, resolution, day=3, look=look, folder=tmp_path)
    size = len(whole)
    assert renderer.pixels == size
    cuts = [0, 1, 170, 171, 333, size]
    for top, bottom in pairwise(cuts):
        for left, right in pairwise(cuts):
            assert np.array_equal(renderer.window(top, bottom, left, right), whole[top:bottom, left:right])
