"""Trees, furniture and places of vehicles and people stand where they belong."""

from typing import Any

import numpy as np
import pytest

from tiercel.sim import city
from tiercel.sim.world import Furniture, Plant, Surface, World


def surface_at(world: World, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, col = ((world.size - y) * 2.0).astype(int), (x * 2.0).astype(int)
    return world.surface[row, col], row, col


def test_trees_stand_on_the_ground_and_off_the_road(world: World) -> None:
    plants = world.plants
    assert len(plants) > 100
    surface, row, col = surface_at(world, plants["x"], plants["y"])
    assert not np.isin(surface, (Surface.ROAD, Surface.WATER, Surface.SPORT, Surface.PARKING)).any()
    assert (world.building[row, col] == 0).all()
    assert np.array_equal(plants["ground"], world.ground[row, col])
    assert (plants["clear"] < plants["height"]).all()
    assert len(np.unique(plants["kind"])) >= 2
    bushes = plants["kind"] == Plant.BUSH
    assert plants["height"][bushes].max() < plants["height"][~bushes].mean()


def test_no_tree_grows_on_a_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this city an alley would otherwise run on over the river."""
    decks: list[np.ndarray] = []
    plant = city.plant_trees

    def spy(*arguments: Any) -> np.ndarray:
        decks.append(arguments[-1])
        return plant(*arguments)

    monkeypatch.setattr(city, "plant_trees", spy)
    bridged = city.make_world(6, 400.0)
    _, row, col = surface_at(bridged, bridged.plants["x"], bridged.plants["y"])
    assert decks[0].sum() > 1000
    assert not decks[0][row, col].any()


def test_vehicles_stand_on_paved_ground_along_their_street(world: World) -> None:
    slots = world.slots
    assert {0, 1} <= set(slots["kind"].tolist())
    surface, row, col = surface_at(world, slots["x"], slots["y"])
    driving = slots["kind"] >= 1
    assert np.isin(surface[driving & (slots["kind"] == 1)], (Surface.ROAD,)).all()
    assert (world.building[row, col] == 0).all()
    lane = np.flatnonzero(slots["kind"] == 1)
    inner = lane[(row[lane] > 1) & (row[lane] < world.texels - 2) & (col[lane] > 1) & (col[lane] < world.texels - 2)]
    r, c = row[inner], col[inner]
    same = (world.feature[r, c - 1] == world.feature[r, c + 1]) & (world.feature[r - 1, c] == world.feature[r + 1, c])
    east, north = world.v[r, c + 1] - world.v[r, c - 1], world.v[r - 1, c] - world.v[r + 1, c]
    turn = np.sin(slots["azimuth"][inner]) * east + np.cos(slots["azimuth"][inner]) * north
    assert np.median(np.abs(turn[same])) > 0.99
    assert np.percentile(np.abs(turn[same]), 2) > 0.9


def test_traffic_keeps_to_one_side(world: World) -> None:
    slots = world.slots[world.slots["kind"] == 1]
    _, row, col = surface_at(world, slots["x"], slots["y"])
    inner = (col > 0) & (col < world.texels - 1) & (row > 0) & (row < world.texels - 1)
    slots, row, col = slots[inner], row[inner], col[inner]
    east, north = world.v[row, col + 1] - world.v[row, col - 1], world.v[row - 1, col] - world.v[row + 1, col]
    forward = np.sign(np.sin(slots["azimuth"]) * east + np.cos(slots["azimuth"]) * north)
    side = np.sign(world.u[row, col])
    assert abs(np.mean(forward * side)) > 0.95


def test_furniture_stands_beside_the_road(world: World) -> None:
    surface, _, _ = surface_at(world, world.furniture["x"], world.furniture["y"])
    assert np.isin(surface, (Surface.PAVEMENT, Surface.GRASS)).all()
    assert (world.furniture["kind"] == Furniture.LAMP).sum() > 20
    assert len(np.unique(world.furniture["kind"])) >= 4


def test_people_walk_where_people_walk(world: World) -> None:
    surface, row, col = surface_at(world, world.walkers[:, 0], world.walkers[:, 1])
    assert len(world.walkers) > 50
    assert not np.isin(surface, (Surface.ROAD, Surface.WATER, Surface.GRASS)).any()
    assert (world.building[row, col] == 0).all()
