"""From a seed to a city."""

from dataclasses import fields

import numpy as np
import pytest

from tiercel.sim.city import make_world
from tiercel.sim.world import FEATURE, FURNITURE, PART, PLANT, SLOT, World


def test_the_same_seed_makes_the_same_city() -> None:
    first, again = make_world(11, 300.0), make_world(11, 300.0)
    for item in fields(World):
        assert np.array_equal(getattr(first, item.name), getattr(again, item.name)), item.name


def test_other_seeds_make_other_cities() -> None:
    cities = [make_world(seed, 300.0) for seed in range(4)]
    assert len({city.surface.tobytes() for city in cities}) == 4
    assert len({city.palette_seed for city in cities}) == 4


def test_tables_and_fields_are_as_pinned(world: World) -> None:
    n = world.texels
    assert n == 800
    for name, dtype in (
        ("ground", "f4"),
        ("surface", "u1"),
        ("feature", "i4"),
        ("u", "f4"),
        ("v", "f4"),
        ("junction", "f4"),
        ("building", "i4"),
    ):
        field = getattr(world, name)
        assert field.shape == (n, n)
        assert field.dtype == np.dtype(dtype)
        assert np.isfinite(field).all()
    for name, dtype in (
        ("features", FEATURE),
        ("parts", PART),
        ("plants", PLANT),
        ("slots", SLOT),
        ("furniture", FURNITURE),
    ):
        assert getattr(world, name).dtype == dtype
        assert len(getattr(world, name)) > 0
    assert world.building.max() <= len(world.parts)
    assert world.walkers.dtype == np.float32


@pytest.mark.parametrize("size", [300.0, 437.5])
def test_any_size_will_do(size: float) -> None:
    assert make_world(2, size).texels == round(size * 2.0)
