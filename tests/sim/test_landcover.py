import numpy as np
import pytest

from tiercel.sim.landcover import BUILDINGS, CLASSES, LandCover, land_cover
from tiercel.sim.world import Plant, Surface


@pytest.fixture(scope="module")
def cover(world) -> np.ndarray:
    return land_cover(world, 200)


def at(cover, world, x, y) -> int:
    side = world.size / len(cover)
    return int(cover[int((world.size - y) / side), int(x / side)])


def test_classes_are_the_surfaces_and_what_stands_on_them(cover) -> None:
    assert cover.shape == (200, 200) and cover.dtype == np.uint8
    assert {int(kind) for kind in Surface} | {int(kind) for kind in LandCover} == set(range(CLASSES))
    assert {int(Surface.ROAD), int(Surface.PAVEMENT), int(Surface.WATER), int(LandCover.TREE)} <= set(np.unique(cover))


def test_buildings_are_where_their_parts_are(cover, world) -> None:
    houses = world.parts[(world.parts["facade"] != 8) & (world.parts["half_width"] > 4)]
    named = [at(cover, world, *part["centre"]) for part in houses]
    # A neighbour's tree may reach over a low one, and a higher part may stand on the same spot.
    assert np.isin(named, BUILDINGS).mean() > 0.9
    tall = [name for name, part in zip(named, houses, strict=True) if part["eave"] - part["base"] > 12.5]
    assert np.mean(np.array(tall) == LandCover.TALL_BUILDING) > 0.9


def test_free_trees_are_trees(cover, world) -> None:
    trees = world.plants[(world.plants["kind"] != Plant.BUSH) & (world.plants["crown"] > 2.5)]
    named = np.array([at(cover, world, tree["x"], tree["y"]) for tree in trees])
    assert np.isin(named, (LandCover.TREE, *BUILDINGS)).all() and (named == LandCover.TREE).mean() > 0.9


def test_open_ground_is_its_surface(cover, world) -> None:
    texels = np.minimum(((np.arange(200) + 0.5) / 200 * world.texels).astype(int), world.texels - 1)
    surface = world.surface[np.ix_(texels, texels)]
    open_ground = cover < len(Surface)
    assert (cover[open_ground] == surface[open_ground]).all()
