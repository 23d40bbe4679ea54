"""Causes of wrong answers: each is what it says, in a city that is known."""

import dataclasses

import numpy as np
import pytest

from tiercel.datasets.simulated import SimulatedSample, corner
from tiercel.evaluation.causes import CAUSES, Facts, Ground, cause_of, occluded_share
from tiercel.sim import StreetRenderer, World, make_world
from tiercel.sim.world import TEXEL

OTHER = Facts(900.0, False, False, 0.1, False, 0.2, True)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(1002, 500.0)


@pytest.fixture(scope="module")
def ground(world) -> Ground:
    return Ground(world)


def street_points(world, least_m) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) of the carriageway of the longest street, ordered along it, and how far along they lie."""
    street = (world.features["kind"][np.maximum(world.feature, 0)] == 0) & (world.feature >= 0) & (world.surface == 0)
    names, counts = np.unique(world.feature[street], return_counts=True)
    longest = names[counts.argmax()]
    rows, cols = np.nonzero(street & (world.feature == longest) & (np.abs(world.u) < 1))
    order = world.v[rows, cols].argsort()
    points = np.stack([(cols + 0.5) * TEXEL, world.size - (rows + 0.5) * TEXEL], 1)[order]
    along = world.v[rows, cols][order]
    assert np.ptp(along) > least_m
    return points, along


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, "other"),
        ({"among_candidates": False}, "not_candidate"),
        ({"among_candidates": False, "error_m": 80.0}, "nearly"),
        ({"error_m": 80.0, "same_style": True, "likeness": 0.95}, "twin"),
        ({"same_style": False, "likeness": 0.95}, "other"),
        ({"occluded": 0.5, "same_style": True, "likeness": 0.95}, "occluded"),
        ({"occluded": 0.5, "right_when_told": True}, "heading"),
        ({"right_when_told": None}, "other"),
        ({"same_street": True, "right_when_told": True, "occluded": 0.9}, "same_street"),
    ],
)
def test_the_first_cause_that_holds_counts(changes, cause) -> None:
    assert cause_of(dataclasses.replace(OTHER, **changes)) == cause
    assert cause in CAUSES


def test_both_ends_of_a_street_are_the_same_street_and_its_direction_is_its_own(world, ground) -> None:
    points, _ = street_points(world, 80.0)
    first, last = (tuple(float(value) for value in points[at]) for at in (len(points) // 4, 3 * len(points) // 4))
    assert ground.same_street(first, last)
    middle = len(points) // 2
    east, north = points[middle + 80] - points[middle - 80]
    found = ground.street(tuple(points[middle]))
    expected = np.degrees(np.arctan2(east, north)) % 180
    assert found is not None
    assert abs((found[1] - expected + 90) % 180 - 90) < 12


def test_a_street_across_is_another(world, ground) -> None:
    points, _ = street_points(world, 80.0)
    here = tuple(points[len(points) // 2])
    one = ground.street(here)
    assert one is not None
    rng = np.random.default_rng(0)
    others = [tuple(at) for at in rng.uniform(30, 470, (300, 2))]
    turned = [at for at in others if (two := ground.street(at)) and abs((two[1] - one[1] + 90) % 180 - 90) > 40]
    assert turned
    assert not any(ground.same_street(here, at) for at in turned if ground.street(at)[0] != one[0])


def test_a_place_is_like_itself_and_less_like_most_others(ground) -> None:
    rng = np.random.default_rng(1)
    points = [tuple(float(value) for value in at) for at in rng.uniform(80, 420, (12, 2))]
    assert ground.likeness(points[0], points[0]) == pytest.approx(1.0)
    assert ground.same_style(points[0], points[0])
    likeness = [ground.likeness(points[0], at) for at in points[1:]]
    assert all(-1 <= one <= 1 for one in likeness) and min(likeness) < 0.95


def test_what_hides_is_what_moves_and_trees_nearby(world) -> None:
    west, south = corner(world.seed)
    slot = world.slots[len(world.slots) // 2]
    azimuth = float(slot["azimuth"])
    x, y = float(slot["x"]) - 6 * np.sin(azimuth), float(slot["y"]) - 6 * np.cos(azimuth)
    sample = SimulatedSample(None, "photo_90", west + x, south + y, 0, 0, np.degrees(azimuth) % 360, 90.0, 0.0, 1.6)
    bare = dataclasses.replace(world, slots=world.slots[:0], walkers=world.walkers[:0], plants=world.plants[:0])
    assert occluded_share(StreetRenderer(bare), sample, 0) == 0
    days = [occluded_share(StreetRenderer(world), sample, day) for day in range(8)]
    # On some days a vehicle stands there, six metres ahead.
    assert max(days) > 0.02 + min(days)
    panorama = dataclasses.replace(sample, kind="panorama", field_of_view=360.0)
    assert 0 <= occluded_share(StreetRenderer(world), panorama, 0) < 1
