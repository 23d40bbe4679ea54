import math

import numpy as np
import pytest

from tests.sim.handmade import handmade
from tiercel.sim.furniture import HEIGHT, hit_box, hit_furniture
from tiercel.sim.objects import make_objects
from tiercel.sim.people import person_colour, walker_at
from tiercel.sim.street import StreetLook, StreetRenderer
from tiercel.sim.trees import hit_crown
from tiercel.sim.world import FURNITURE, Furniture, Plant

OVERCAST = StreetLook(weather="overcast", haze=0.0)


def test_buckets_hold_every_object_once() -> None:
    rng = np.random.default_rng(0)
    walkers = [tuple(place) for place in rng.uniform(0, 160, (50, 2)).tolist()]
    objects = make_objects(handmade(walkers=walkers, plants=[(5.0, 5.0, 5.0, 6.0, 2.0, 2.0, 0, 0.5, 7)]))
    assert objects.starts[-1] == len(objects.entries) == 51
    assert len({tuple(entry) for entry in objects.entries.tolist()}) == 51


@pytest.mark.parametrize("kind", list(Plant))
def test_crowns_stay_inside_their_size_and_fill_it(kind: Plant) -> None:
    def hit(aside: float, height: float, leaves: float = 1.0) -> bool:
        tangent = (height - 1.7) / 20.0
        return hit_crown(int(kind), leaves, 5, 8.0, 2.5, 2.0, aside, 20.0, 0.0, 1.0, 1.7, tangent, 0.02)[0] > 0

    grid = np.array([[hit(a, h) for a in np.linspace(-4, 4, 81)] for h in np.linspace(0.0, 10.0, 81)])
    rows, columns = np.nonzero(grid)
    assert 0.04 < grid.mean() < 0.5
    assert np.abs(np.linspace(-4, 4, 81)[columns]).max() <= 2.75
    assert np.linspace(0, 10, 81)[rows].max() <= 9.0


def test_a_bare_tree_lets_the_sky_through() -> None:
    def share(leaves: float) -> float:
        hits = [
            hit_crown(0, leaves, 5, 8.0, 2.5, 2.0, a, 20.0, 0.0, 1.0, 1.7, t, 0.02)[0] > 0
            for a in np.linspace(-2, 2, 60)
            for t in np.linspace(0.06, 0.3, 60)
        ]
        return float(np.mean(hits))

    assert 0.02 < share(0.0) < 0.6 * share(1.0)


def test_a_tree_covers_the_columns_of_its_crown() -> None:
    renderer = StreetRenderer(handmade(plants=[(80.0, 100.0, 5.0, 9.0, 3.0, 2.5, 0, 0.5, 7)]))
    empty = StreetRenderer(handmade())
    place = (80.0, 80.0, 2.0, 0.0, 128, 720, 1.0)
    changed = (renderer.cylinder(*place, OVERCAST) != empty.cylinder(*place, OVERCAST)).any(axis=(0, 2))
    columns = np.flatnonzero(changed)
    reach = 2 * math.degrees(math.asin(3.0 / 20.0))
    assert abs(columns[0] - (360 - reach)) < 6 and abs(columns[-1] - (360 + reach)) < 6


def test_a_box_is_met_at_its_face() -> None:
    box = np.array([-1.0, 1.0, -0.5, 0.5, 0.0, 2.0], np.float32)
    assert hit_box(box, -5.0, 0.0, 1.0, 1.0, 0.0, 0.0) == (pytest.approx(4.0), 0)
    assert hit_box(box, 0.0, 3.0, 1.0, 0.0, -1.0, 0.0) == (pytest.approx(2.5), 1)
    assert hit_box(box, -5.0, 0.0, 3.0, 1.0, 0.0, 0.0)[0] < 0


@pytest.mark.parametrize("kind", list(Furniture))
def test_furniture_is_met_from_the_front_and_not_above_its_top(kind: Furniture) -> None:
    heights = np.linspace(0.02, HEIGHT[kind] - 0.02, 60)
    hits = [hit_furniture(int(kind), 3, 1, 10.0, 0.0, float(h), -1.0, 0.003, 0.0)[0] for h in heights]
    assert max(hits) == pytest.approx(10.0, abs=2.0)
    assert hit_furniture(int(kind), 3, 1, 10.0, 0.0, HEIGHT[kind] + 0.1, -1.0, 0.0, 0.0)[0] < 0


def test_furniture_stands_in_the_picture() -> None:
    world = handmade()
    lamp = np.zeros(1, FURNITURE)
    lamp["x"], lamp["y"], lamp["ground"] = 80.0, 90.0, 5.0
    with_lamp = StreetRenderer(type(world)(**{**vars(world), "furniture": lamp}))
    place = (80.0, 80.0, 2.0, 0.0, 5.0, 60.0, 120, 160)
    changed = with_lamp.perspective(*place, OVERCAST) != StreetRenderer(world).perspective(*place, OVERCAST)
    columns = np.flatnonzero(changed.any(axis=(0, 2)))
    assert len(columns) > 0 and np.abs(columns - 80).max() < 4  # a pole seen from behind its arm


def test_pedestrians_come_and_go_by_the_day() -> None:
    days = [[walker_at(index, day)[0] for index in range(400)] for day in (1, 1, 2)]
    assert days[0] == days[1] != days[2]
    assert 0.2 < np.mean(days[0]) < 0.5


def test_a_pedestrian_has_a_head_over_shoulders_over_legs() -> None:
    for index in range(20):
        width = {
            name: np.mean([person_colour(index, 1, 1.75, x, z)[0] >= 0 for x in np.linspace(-0.5, 0.5, 201)])
            for name, z in (("head", 1.64), ("chest", 1.35), ("over", 1.80))
        }
        assert 0.08 < width["head"] < 0.22 < width["chest"] < 0.7
        assert width["over"] == 0.0
