"""A world small enough to know every wall of: flat grass, a street to the north, and what a test puts into it."""

from collections.abc import Sequence

import numpy as np

from tiercel.sim.world import FEATURE, FURNITURE, PART, PLANT, SLOT, TEXEL, Surface, World

Box = tuple[float, float, float, float, float]
"""West, south, east, north and height of a house, metres."""


def handmade(
    houses: Sequence[Box] = (),
    *,
    size: float = 160.0,
    slots: Sequence[tuple[float, ...]] = (),
    plants: Sequence[tuple[float, ...]] = (),
    walkers: Sequence[tuple[float, float]] = (),
) -> World:
    """The street runs along x = size / 2 and is 10 m wide, with pavements of 2.5 m; the ground lies at 5 m."""
    texels = int(size / TEXEL)
    row, column = np.mgrid[0:texels, 0:texels]
    x = ((column + 0.5) * TEXEL).astype(np.float32)
    y = (size - (row + 0.5) * TEXEL).astype(np.float32)
    u = x - np.float32(size / 2)
    surface = np.where(abs(u) < 5, Surface.ROAD, np.where(abs(u) < 7.5, Surface.PAVEMENT, Surface.GRASS))
    features = np.zeros(2, FEATURE)
    features["kind"] = (0, 1)
    features["half_width"], features["lanes"], features["pavement"] = 5.0, 1, 2.5
    features["colour"] = ((90, 90, 92), (98, 122, 66))
    features["accent"] = features["paving"] = (150, 146, 140)
    parts, corners = np.zeros(len(houses), PART), []
    building = np.zeros((texels, texels), np.int32)
    for index, (west, south, east, north, height) in enumerate(houses):
        part = parts[index]
        part["start"], part["count"] = len(corners), 4
        corners += [(west, south), (east, south), (east, north), (west, north)]
        part["base"], part["eave"] = 5.0, 5.0 + height
        part["centre"], part["axis"] = ((west + east) / 2, (south + north) / 2), (1.0, 0.0)
        part["half_length"], part["half_width"] = (east - west) / 2, (north - south) / 2
        part["wall"], part["roof_colour"] = (200, 60, 60), (200, 60, 60)
        part["floor_height"], part["bay"], part["seed"] = 3.0, 3.0, index
        half = 0.5 * TEXEL
        building[(x + half > west) & (x - half < east) & (y + half > south) & (y - half < north)] = index + 1
    return World(
        seed=1,
        size=size,
        ground=np.full((texels, texels), 5.0, np.float32),
        surface=surface.astype(np.uint8),
        feature=np.where(abs(u) < 7.5, 0, 1).astype(np.int32),
        u=u,
        v=y,
        junction=np.full((texels, texels), 1e3, np.float32),
        building=building,
        features=features,
        parts=parts,
        corners=np.array(corners, np.float32).reshape(-1, 2),
        plants=np.array(list(plants), PLANT),
        slots=np.array(list(slots), SLOT),
        furniture=np.zeros(0, FURNITURE),
        walkers=np.array(list(walkers), np.float32).reshape(-1, 2),
        palette_seed=1,
    )
