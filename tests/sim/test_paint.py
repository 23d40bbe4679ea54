"""The raster fields: who owns a texel, and where in it the texel lies."""

import numpy as np

from tiercel.sim.world import Surface, World


def test_every_texel_has_an_owner(world: World) -> None:
    assert world.feature.min() >= 0
    assert world.feature.max() < len(world.features)
    assert world.surface.max() <= max(Surface)


def steps(world: World, field: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sizes of the field's gradient inside streets, away from junctions, metres a metre."""
    inner = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:]
    same = (world.feature[:-1, :-1] == world.feature[1:, :-1]) & (world.feature[:-1, :-1] == world.feature[:-1, 1:])
    down, right = field[1:, :-1] - field[:-1, :-1], field[:-1, 1:] - field[:-1, :-1]
    return (np.hypot(down, right) / 0.5)[inner & same]


def test_u_and_v_run_smoothly_along_streets(world: World) -> None:
    street = (world.features["kind"][world.feature] == 0) & (world.surface == Surface.ROAD) & (world.junction > 2.0)
    assert street.sum() > 5000
    across, along = steps(world, world.u, street), steps(world, world.v, street)
    assert np.percentile(np.abs(across - 1.0), 99.9) < 0.05
    assert np.percentile(np.abs(along - 1.0), 99.5) < 0.25


def test_carriageways_are_as_wide_as_they_say(world: World) -> None:
    street = (world.features["kind"][world.feature] == 0) & (world.junction > 6.0)
    half = world.features["half_width"][world.feature]
    road, pavement = street & (world.surface == Surface.ROAD), street & (world.surface == Surface.PAVEMENT)
    assert (np.abs(world.u[road]) <= half[road] + 1e-3).all()
    assert (np.abs(world.u[pavement]) >= half[pavement] - 1e-3).all()


def test_junctions_are_negative_where_streets_cross(world: World) -> None:
    street = (world.features["kind"][world.feature] == 0) & (world.surface == Surface.ROAD)
    assert 0.02 < (world.junction[street] < 0.0).mean() < 0.4
    assert world.junction[world.features["kind"][world.feature] == 1].min() == 1e3


def test_a_roundabout_is_a_ring_about_an_island(world: World) -> None:
    ring = world.features["kind"][world.feature] == 2
    assert ring.any()
    road = ring & (world.surface == Surface.ROAD)
    half = world.features["half_width"][world.feature]
    assert (np.abs(world.u[road]) <= half[road] + 1e-3).all()
    island = ring & (world.surface == Surface.GRASS)
    assert (world.u[island] < -half[island]).all()


def test_the_river_is_flat_and_bridges_are_level(world: World) -> None:
    river = (world.features["kind"][world.feature] == 3) & (world.surface == Surface.WATER)
    assert river.sum() > 2000
    assert np.ptp(world.ground[river]) == 0.0
    level = float(world.ground[river][0])
    paved = np.isin(world.surface, (Surface.ROAD, Surface.PAVEMENT))
    deck = paved & (world.features["kind"][world.feature] == 0)
    near = np.zeros_like(deck)
    near[2:] |= river[:-2]
    near[:-2] |= river[2:]
    near[:, 2:] |= river[:, :-2]
    near[:, :-2] |= river[:, 2:]
    bridge = deck & near
    assert bridge.sum() > 10
    assert (world.ground[bridge] > level + 2.0).all()
    assert np.ptp(world.ground[bridge]) < 0.5


def test_the_terrain_is_gentle(world: World) -> None:
    land = (world.surface != Surface.WATER) & (world.surface != Surface.PATH)
    flat = land[1:, :-1] & land[:-1, :-1]
    slope = np.abs(world.ground[1:, :-1] - world.ground[:-1, :-1])[flat] / 0.5
    assert np.percentile(slope, 99) < 0.15
