"""The world some years earlier."""

from dataclasses import fields

import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.sim import DIFFICULTIES, Difficulty, older
from tiercel.sim.ageing import group_parts
from tiercel.sim.difficulty import Ageing
from tiercel.sim.world import World

HARD = DIFFICULTIES["hard"]


@pytest.fixture(scope="module")
def then(world: World) -> World:
    return older(world, 3, HARD)


def test_nothing_ages_in_a_plain_world(world: World) -> None:
    assert older(world, 3, DIFFICULTIES["plain"]) is world


def test_the_same_seed_gives_the_same_past(world: World, then: World) -> None:
    again = older(world, np.random.default_rng(3), HARD)
    assert all(np.array_equal(getattr(then, item.name), getattr(again, item.name)) for item in fields(World))
    assert not np.array_equal(then.plants, older(world, 4, HARD).plants)


def test_the_present_is_left_as_it_is_and_the_ground_is_shared(world: World) -> None:
    before = {item.name: np.copy(getattr(world, item.name)) for item in fields(World)}
    then = older(world, 8, Difficulty(ageing=Ageing(1.0, 1.0, 1.0)))
    assert all(np.array_equal(before[item.name], getattr(world, item.name)) for item in fields(World))
    assert then.ground is world.ground and then.surface is world.surface


def test_about_a_tenth_of_the_trees_are_missing_or_others(world: World) -> None:
    places = {(float(p["x"]), float(p["y"]), float(p["height"])) for p in world.plants}
    kept = []
    for seed in range(5):
        then = older(world, seed, HARD)
        kept.append(sum((float(p["x"]), float(p["y"]), float(p["height"])) in places for p in then.plants))
    assert 0.85 < np.mean(kept) / len(world.plants) < 0.95


def test_markings_of_some_streets_are_others_and_medians_stay(world: World) -> None:
    then = older(world, 2, Difficulty(ageing=Ageing(streets=1.0)))
    streets = (world.features["kind"] == 0) & (world.features["lanes"] > 0)
    assert (then.features["marking"] != world.features["marking"])[streets].mean() > 0.4
    assert np.array_equal(then.features[~streets], world.features[~streets])
    assert np.array_equal(then.features["marking"] & 512, world.features["marking"] & 512)


def test_some_buildings_were_missing_lower_or_under_another_roof_and_some_are_gone_now(world: World) -> None:
    then = older(world, 2, Difficulty(ageing=Ageing(buildings=0.5)))
    old = {tuple(centre): part for centre, part in zip(then.parts["centre"].tolist(), then.parts, strict=True)}
    now = {tuple(centre): part for centre, part in zip(world.parts["centre"].tolist(), world.parts, strict=True)}
    both = old.keys() & now.keys()
    assert now.keys() - old.keys() and old.keys() - now.keys()
    assert any(old[key]["eave"] != now[key]["eave"] for key in both)
    assert any((old[key]["roof_colour"] != now[key]["roof_colour"]).any() for key in both)
    assert ((then.building > 0) & (world.building == 0)).any() and ((then.building == 0) & (world.building > 0)).any()
    assert then.building.max() <= len(then.parts)


def test_buildings_that_are_gone_stood_on_free_ground_and_under_no_tree(world: World) -> None:
    then = older(world, 6, Difficulty(ageing=Ageing(buildings=0.5)))
    gained = (then.building > 0) & (world.building == 0)
    assert not np.isin(world.surface[gained], (0, 6)).any()
    last = then.texels - 1
    rows = np.clip(((then.size - then.plants["y"]) / 0.5).astype(int), 0, last)
    cols = np.clip((then.plants["x"] / 0.5).astype(int), 0, last)
    assert not gained[rows, cols].any()


def test_parts_that_touch_on_one_lot_are_one_building() -> None:
    row = handmade([(10, 10, 20, 20, 9), (20, 10, 30, 20, 6), (40, 10, 50, 20, 9), (50, 10, 60, 20, 9)])
    assert group_parts(row.parts, row.corners, np.zeros(4)).tolist() == [0, 0, 1, 1]
    assert group_parts(row.parts, row.corners, np.array([0, 1, 1, 1])).tolist() == [0, 1, 2, 2]
    row.parts["facade"][1] = 8
    assert group_parts(row.parts, row.corners, np.zeros(4)).tolist() == [0, 1, 2, 2]
    assert len(group_parts(row.parts[:0], row.corners[:0], np.zeros(0))) == 0
