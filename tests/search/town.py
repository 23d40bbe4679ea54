"""A small map in memory, a tiny model of random weights, and photos planted in what that model makes of the map."""

import atexit
import dataclasses
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from tests.models.tiny import tiny_model
from tiercel.atlas import Atlas, build
from tiercel.geo import Frame
from tiercel.models import Model, PhotoFeatures
from tiercel.models.match import RANGES
from tiercel.models.retrieval import turned
from tiercel.photos import Photo

WEST, NORTH, SIDE = 500_000.0, 5_000_000.0, 500.0
LEAF = 31.25
LOUD = 300.0


class Town:
    """500 m of random patches of 4 m; its south-east corner, 100 m wide, is not covered."""

    name, source, resolution = "town", "town.tif", 0.5
    frame = Frame("EPSG:32633")
    bounds = (WEST, NORTH - SIDE, WEST + SIDE, NORTH)

    def __init__(self) -> None:
        self.patches = np.random.default_rng(0).integers(0, 256, (125, 125, 3), dtype=np.uint8)

    def fingerprint(self) -> str:
        return "town"

    def read(self, square, pixels) -> tuple[np.ndarray, np.ndarray]:
        x, y = square.pixel_centres(pixels)
        east, south = np.meshgrid(x - WEST, NORTH - y)
        covered = (east >= 0) & (south >= 0) & (east < SIDE) & (south < SIDE) & ~((east > 400) & (south > 400))
        row, col = (np.clip(v // 4, 0, 124).astype(int) for v in (south, east))
        return np.where(covered[..., None], self.patches[row, col], 0).astype(np.uint8), covered

    def close(self) -> None:
        """Nothing to close."""


def town_model(**changes) -> Model:
    return tiny_model(block_leaves=16, **changes)


@functools.cache
def prepared(**changes) -> tuple[Model, Atlas]:
    """A model and its atlas of the town, built once for all tests of a process. Not to be changed."""
    folder = Path(tempfile.mkdtemp(prefix="town-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model = town_model(**changes)
    return model, build(Town(), model, folder / "atlas")


def planted(atlas: Atlas, model: Model, x: float, y: float, heading: float, told: bool, view=90.0) -> PhotoFeatures:
    """What the model would make of a photo if it knew the ground by heart.

    The photo is empty; its features are cut from the map's own around (x, y). Where its columns look follows from
    the heading and the width of the view alone: the left edge is half the view anticlockwise of the heading.
    """
    width = 8 if view < 360 else 16
    photo = Photo.from_array(
        np.zeros((8, width, 3), np.uint8),
        panorama=view == 360,
        field_of_view=view,
        heading=heading if told else None,
    )
    features = model.encode_photos([photo])[0]
    config, tree = model.config, atlas.tree
    left = heading - view / 2  # azimuth of the left edge of what the photo sees
    if told:
        left = 0.0 if view == 360 else np.floor(left / config.bin_deg) * config.bin_deg
    columns = features.polar.shape[2]
    row, col = (int(v) for v in tree.cell_at(x, y, tree.depth))
    stored = int(atlas.rows(tree.flat(tree.depth, row, col)))
    east, south = (x - tree.root.west) % LEAF, (tree.root.north - y) % LEAF
    position = int(south / LEAF * 4) * 4 + int(east / LEAF * 4)
    first = round(left / config.bin_deg)
    bins = columns // 2
    key = atlas.keys[stored, position].astype(np.float32)
    # Keys are unit vectors, so that nothing fits a key better than itself; loud, so that nothing else counts.
    queries = torch.from_numpy(LOUD * key[(first + np.arange(bins)) % config.headings])[None]
    weights = turned(queries, config.headings)[0].flatten(1).numpy()
    step = config.template_m / RANGES
    azimuth = np.radians(left + (np.arange(columns) + 0.5) * 360 / 64)
    ring = (np.arange(RANGES) + 0.5) * step
    # What the ground has everywhere tells nothing.
    polar = ground(atlas, x + ring[:, None] * np.sin(azimuth), y + ring[:, None] * np.cos(azimuth))
    polar = polar - atlas.match.mean((0, 1, 2), dtype=np.float64)
    return dataclasses.replace(
        features,
        retrieval=weights[[first % config.headings]] if told else weights,
        polar=LOUD * np.moveaxis(polar, -1, 0).astype(np.float32),
    )


def ground(atlas: Atlas, x, y) -> np.ndarray:
    """Match features (..., match_width) of the cells that points of the frame lie in."""
    tree = atlas.tree
    row, col = tree.cell_at(x, y, tree.depth)
    stored = atlas.rows(tree.flat(tree.depth, row, col))
    cells = atlas.match.shape[1]
    right = (np.asarray(x - tree.root.west) % LEAF / LEAF * cells).astype(int)
    down = (np.asarray(tree.root.north - y) % LEAF / LEAF * cells).astype(int)
    return np.where((stored >= 0)[..., None], atlas.match[stored, down, right], 0)
