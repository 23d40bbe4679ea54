"""Colours of ground, roofs and leaves."""

import numpy as np
import pytest

from tiercel.sim.materials import (
    dashes,
    ground_at,
    ground_colour,
    hash01,
    leaf_cover,
    plant_colour,
    roof_colour,
    stripe,
    value_noise,
)
from tiercel.sim.plan import Marking
from tiercel.sim.world import FEATURE, Plant, Surface, World


def street(marking: int) -> np.ndarray:
    """A street of half width 5 m on dark asphalt with yellow centre lines."""
    row = (0, 0, 5.0, 3.0, 1, marking, (80,) * 3, (150, 60, 60), (160,) * 3, (230, 190, 60), 7)
    return np.array([row], FEATURE)


def colour(
    features: np.ndarray, u: float, v: float, junction: float, detail: float, surface: int = Surface.ROAD
) -> np.ndarray:
    return np.array(
        ground_colour(int(surface), 0, features, 300.0 + float(u), 200.0 + v, float(u), v, junction, 1.0, detail)
    )


def test_a_stripe_is_averaged_exactly() -> None:
    assert stripe(0.0, 0.1, 0.05) == pytest.approx(1.0)
    assert stripe(0.0, 0.1, 0.4) == pytest.approx(0.5)
    assert stripe(0.1, 0.1, 0.1) == pytest.approx(0.5)
    assert stripe(1.0, 0.1, 0.5) == 0.0
    grid = np.linspace(-2.0, 2.0, 4001)
    for detail in (0.05, 0.3, 1.0):
        assert np.mean([stripe(x, 0.1, detail) for x in grid]) * 4.0 == pytest.approx(0.2, rel=0.01)


def test_dashes_cover_their_share_at_any_detail() -> None:
    places = np.linspace(0.0, 90.0, 9001)[:-1]
    for detail in (0.1, 1.0, 4.0, 50.0):
        assert np.mean([dashes(v, 9.0, 3.0, detail) for v in places]) == pytest.approx(1.0 / 3.0, rel=0.02)


def test_noise_is_smooth_and_spread() -> None:
    values = np.array([value_noise(k * 0.01, 0.37, 5) for k in range(5000)])
    assert np.abs(np.diff(values)).max() < 0.03
    assert values.min() < 0.2
    assert values.max() > 0.8
    draws = np.array([hash01(k, 3) for k in range(5000)])
    assert abs(draws.mean() - 0.5) < 0.02
    assert np.unique(draws).size > 4900


def test_the_centre_line_is_painted_and_fades_with_distance() -> None:
    features = street(int(Marking.CENTRE_SOLID))
    near, far = colour(features, 0.14, 50.0, 1e3, 0.05), colour(features, 0.14, 50.0, 1e3, 2.0)
    bare = colour(features, 2.0, 50.0, 1e3, 0.05)
    assert near[0] > bare[0] + 60.0
    assert near[0] > near[2] + 40.0
    assert bare[0] - 10.0 < far[0] < near[0] - 30.0


def test_zebra_crossings_lie_before_junctions() -> None:
    features = street(int(Marking.ZEBRA))
    stripes = np.array([colour(features, u, 50.0, 2.9, 0.05)[0] for u in np.arange(-4.0, 4.0, 0.05)])
    assert 0.35 < (stripes > 130.0).mean() < 0.65
    plain = np.array([colour(features, u, 50.0, 20.0, 0.05)[0] for u in np.arange(-4.0, 4.0, 0.05)])
    assert (plain > 130.0).mean() == 0.0


def test_all_surfaces_and_roofs_have_colours(world: World) -> None:
    rng = np.random.default_rng(0)
    for row, col in rng.integers(0, world.texels, (500, 2)):
        for detail in (0.05, 0.5, 3.0):
            values = ground_colour(
                int(world.surface[row, col]), int(world.feature[row, col]), world.features, 0.5 * col,
                world.size - 0.5 * float(row), float(world.u[row, col]), float(world.v[row, col]),
                float(world.junction[row, col]), 1.0, detail,
            )  # fmt: skip
            assert all(0.0 <= value <= 255.0 for value in values)
    for index in range(0, len(world.parts), 7):
        x, y = map(float, world.parts[index]["centre"])
        assert all(0.0 <= value <= 255.0 for value in roof_colour(world.parts, index, x, y, 0.1))


def test_fields_continue_between_texels(world: World) -> None:
    """Walking along a street in steps of 5 cm, v grows by 5 cm a step."""
    street_texels = (
        (world.features["kind"][world.feature] == 0) & (world.surface == Surface.ROAD) & (world.junction > 30.0)
    )
    row, col = np.argwhere(street_texels)[1000]
    x, y = 0.5 * col + 0.25, world.size - 0.5 * row - 0.25
    gradient = np.array([world.v[row, col + 1] - world.v[row, col], world.v[row - 1, col] - world.v[row, col]]) / 0.5
    gradient /= np.linalg.norm(gradient)
    places = [(x + gradient[0] * s, y + gradient[1] * s) for s in np.arange(0.0, 3.0, 0.05)]
    fields = [
        ground_at(world.surface, world.feature, world.features, world.u, world.v, world.junction, world.size, px, py)
        for px, py in places
    ]
    assert np.diff([f[3] for f in fields]) == pytest.approx(0.05, abs=0.02)
    assert np.ptp([f[2] for f in fields]) < 0.2


def test_broadleaf_trees_are_bare_in_winter_and_turn_in_autumn() -> None:
    assert leaf_cover(int(Plant.BROADLEAF), 1.2) == 1.0
    assert leaf_cover(int(Plant.BROADLEAF), 3.2) < 0.1
    assert leaf_cover(int(Plant.CONIFER), 3.2) == 1.0
    assert leaf_cover(int(Plant.BROADLEAF), 0.0) == pytest.approx(leaf_cover(int(Plant.BROADLEAF), 4.0), abs=1e-6)
    summer, autumn = plant_colour(int(Plant.BROADLEAF), 0.6, 1.2), plant_colour(int(Plant.BROADLEAF), 0.6, 2.25)
    assert summer[1] > summer[0]
    assert autumn[0] > autumn[1]
