"""A city whose rasters lie in files is the same city."""

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tests.sim.conftest import SEED
from tiercel.sim import rasters
from tiercel.sim.city import make_world
from tiercel.sim.rasters import bands, is_mapped, new_raster, release
from tiercel.sim.shadows import cast_shadows
from tiercel.sim.street import StreetLook, StreetRenderer
from tiercel.sim.viewpoints import sample_viewpoints
from tiercel.sim.world import World


@pytest.fixture(autouse=True)
def narrow_bands(monkeypatch) -> None:
    """Seven bands to a city of 400 m, none of them ending where tiles or texels do."""
    monkeypatch.setattr(rasters, "BAND", 130)


@pytest.fixture
def mapped(tmp_path: Path) -> World:
    return make_world(SEED, 400.0, tmp_path)


def test_a_raster_keeps_what_is_written_when_its_memory_is_let_go(tmp_path: Path) -> None:
    raster = new_raster(300, np.int32, tmp_path)
    assert is_mapped(raster) and is_mapped(raster[5:]) and not is_mapped(raster.copy())
    assert not raster.any() and raster.shape == (300, 300)
    raster[:] = np.arange(90_000).reshape(300, 300)
    release(raster, np.zeros(3))
    assert np.array_equal(raster.ravel(), np.arange(90_000))
    assert list(tmp_path.iterdir()) == []  # the file has no name, so nothing is left behind
    assert list(bands(raster)) == [(0, 130), (130, 260), (260, 300)]
    assert list(bands(new_raster(300, np.int32, None))) == [(0, 300)]


def test_the_city_is_the_same(world: World, mapped: World) -> None:
    assert is_mapped(mapped.ground)
    for item in fields(World):
        assert np.array_equal(getattr(world, item.name), getattr(mapped, item.name)), item.name


@pytest.mark.parametrize("azimuth", [10.0, 100.0, 190.0, 280.0], ids=["north", "east", "south", "west"])
def test_shadows_are_the_same_whichever_way_they_are_swept(
    world: World, mapped: World, azimuth: float, tmp_path: Path
) -> None:
    sun = math.radians(azimuth), math.radians(25.0)
    shadow = cast_shadows(mapped, *sun, 2.5, tmp_path)
    assert is_mapped(shadow) and shadow.any()
    assert np.array_equal(cast_shadows(world, *sun, 2.5), shadow)


def test_photos_are_the_same(world: World, mapped: World, tmp_path: Path) -> None:
    place = sample_viewpoints(world, 1, np.random.default_rng(0))[0]
    look = StreetLook(weather="sun")
    one, other = (
        StreetRenderer(city, folder=folder).panorama(place["x"], place["y"], 2.0, 30.0, 48, 96, look)
        for city, folder in ((world, None), (mapped, tmp_path))
    )
    assert np.array_equal(one, other)
