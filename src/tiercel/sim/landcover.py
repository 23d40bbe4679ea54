"""What lies where, seen from above: the classes that a model may be taught to name."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from tiercel.sim.world import Bytes, Plant, Surface, World


class LandCover(IntEnum):
    """The values of `Surface`, and behind them what stands on the ground."""

    LOW_BUILDING = len(Surface)
    BUILDING = len(Surface) + 1
    TALL_BUILDING = len(Surface) + 2
    TREE = len(Surface) + 3


CLASSES = len(Surface) + len(LandCover)
BUILDINGS = (LandCover.LOW_BUILDING, LandCover.BUILDING, LandCover.TALL_BUILDING)
LOW_M, TALL_M = 5.0, 12.0
"""Walls lower than the first are of a `LOW_BUILDING`, higher than the second of a `TALL_BUILDING`."""


def land_cover(world: World, cells: int) -> Bytes:
    """The class at the centre of each cell of a square grid over the city.

    Args:
        world: The city.
        cells: Cells along one side.

    Returns:
        (cells, cells) uint8, row 0 in the north: a `Surface` or a `LandCover`. A building hides the trees below its
        walls' height; fences, walls and hedges count as the ground they stand on.
    """
    centres = (np.arange(cells) + 0.5) / cells
    index = np.minimum((centres * world.texels).astype(np.int64), world.texels - 1)
    cover = np.array(world.surface[np.ix_(index, index)])
    standing = world.building[np.ix_(index, index)]
    parts = world.parts
    walls = parts["eave"] - parts["base"]
    kind = np.digitize(walls, (LOW_M, TALL_M)).astype(np.uint8) + LandCover.LOW_BUILDING
    house = (standing > 0) & (parts["facade"] != 8)[standing - 1]
    cover[house] = kind[standing - 1][house]
    top = np.where(house, parts["eave"][standing - 1], -np.inf)
    plants = world.plants[world.plants["kind"] != Plant.BUSH]
    side = world.size / cells
    for plant in plants:
        x, y, crown = float(plant["x"]), world.size - float(plant["y"]), float(plant["crown"])
        low_row, high_row = max(0, int((y - crown) / side)), min(cells, int((y + crown) / side) + 1)
        low_col, high_col = max(0, int((x - crown) / side)), min(cells, int((x + crown) / side) + 1)
        rows, cols = np.ogrid[low_row:high_row, low_col:high_col]
        near = ((rows + 0.5) * side - y) ** 2 + ((cols + 0.5) * side - x) ** 2 < crown**2
        near &= top[low_row:high_row, low_col:high_col] < float(plant["ground"] + plant["height"])
        cover[low_row:high_row, low_col:high_col][near] = LandCover.TREE
    return cover
