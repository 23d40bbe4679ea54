"""A simulated city in the layout of the published zooming benchmark, so that the authors' own code can be run on it.

Beside the published files (see `tiercel.datasets.justzoomin`) it writes

* `metadata/benchmark.yaml`: where the root square lies; its side is the city's size;
* `metadata/photos.csv`: each photo's drive, kind, heading and the like, which are in its EXIF as well;
* `metadata/simulation.json`: what everything was made from, written first.

The tables of the splits are written last: where they are, the benchmark is whole.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from tiercel.datasets.justzoomin import (
    COLUMNS,
    MAP_FOLDER,
    PHOTO_FOLDER,
    PHOTO_SUFFIX,
    PHOTOS_FILE,
    SETTINGS_FILE,
    SPLITS,
    Division,
    JustZoomIn,
    published_actions,
)
from tiercel.datasets.simulated import KINDS, SimulatedSample, corner, render_photo
from tiercel.errors import TiercelError
from tiercel.geo import Frame, Square
from tiercel.photos.write import replacing, write_photo

if TYPE_CHECKING:
    from tiercel.sim.world import World

Progress = Callable[[int, int], None]

ORIGIN_FILE = "metadata/simulation.json"
VALIDATION_SHARE = 0.1
"""Share of the photos in the validation split, drawn photo by photo as published."""

_CRS = "EPSG:32633"
_RESOLUTION = 0.5
_TILE_PIXELS = 250
_TILE_M = _TILE_PIXELS * _RESOLUTION
_BLOCK = 8
"""Tiles along a side of what is drawn at once."""
_MARGIN_M = 30.0
"""The city reaches this far beyond the root square at least: a metre of the published sphere is not one of UTM, and the
square stands on true north."""
_LEAF_M = 39.0625
_IN_MEMORY_M = 3000.0
"""Cities larger than this are kept in files while they are made."""
_MOUNTS = (0.0, 0.0, 0.0, 90.0, 180.0, 270.0)
"""Where cameras look on mapping cars, degrees clockwise from straight ahead."""


@dataclass(frozen=True)
class DrivePhoto:
    """One photo of a drive, to be taken.

    Attributes:
        image_id: Its name.
        drive: Number of its drive.
        truth: Where and how it is taken; its heading is from the map's grid north.
        true_heading: The same from true north, degrees.
    """

    image_id: str
    drive: int
    truth: SimulatedSample
    true_heading: float


def simulate_benchmark(
    folder: str | Path,
    *,
    seed: int,
    size: float = 2000.0,
    photos: int = 100,
    kinds: Sequence[str] = ("panorama", "photo_90"),
    progress: Progress | None = None,
) -> JustZoomIn:
    """Makes a city, its map and photos along drives through it, in the published layout.

    A benchmark that is there already is only opened, and one that was interrupted goes on where it stopped. A drive has
    up to 20 photos, 10 to 20 m apart, taken on one day with one camera of one kind that looks one way from the car. The
    leaves are as near to the published 39 m as the size allows; a city of 10 km has the published 65,536.

    Args:
        folder: Where to; made if missing.
        seed: Of the city, the drives and the looks.
        size: Side of the root square, metres; the city reaches some tens of metres further.
        photos: How many photos.
        kinds: Kinds of photos, one a drive in turn; see `tiercel.datasets.simulated.KINDS`.
        progress: Called with the tiles and photos that are done and all there are.

    Raises:
        TiercelError: The folder holds something else or cannot be written to, or a kind is unknown.
    """
    folder = Path(folder)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise TiercelError(f"There are no photos of kind {unknown or 'none'}: choose from {', '.join(KINDS)}.")
    _claim(folder, {"format": 1, "seed": seed, "size": size, "photos": photos, "kinds": list(kinds), "crs": _CRS})
    if not all((folder / table).is_file() for table in SPLITS.values()):
        _make(folder, seed, size, photos, kinds, progress or (lambda done, total: None))
    return JustZoomIn.open(folder)


def city_size(size: float) -> float:
    """Side of the city around a root square, metres: whole tiles, with a margin on every side."""
    return math.ceil((size + 2 * _MARGIN_M) / _TILE_M) * _TILE_M


def division_of(seed: int, size: float) -> Division:
    """The root square in the middle of the city of a seed, and its cells."""
    west, south = corner(seed)
    middle = city_size(size) / 2
    latitude, longitude = (round(float(value), 9) for value in Frame(_CRS).to_wgs84(west + middle, south + middle))
    depth = max(1, round(math.log(size / _LEAF_M, 4)))
    words = f"A simulated city of seed {seed}, made by tiercel sim; free of rights."
    return Division(latitude=latitude, longitude=longitude, side_m=size, branching=4, depth=depth, attribution=words)


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Writes what the folder is going to hold, or makes sure that it holds just that."""
    path = folder / ORIGIN_FILE
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != settings:
            raise TiercelError(
                f"{folder} holds another simulated benchmark (see {ORIGIN_FILE}): choose another folder."
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TiercelError(f"{folder} is there already and holds something else: choose another folder.")
    try:
        for name in ("metadata", PHOTO_FOLDER):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TiercelError(f"{folder} cannot be made ({error.strerror}): choose another folder.") from error
    with replacing(path) as part:
        part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _make(folder: Path, seed: int, size: float, count: int, kinds: Sequence[str], report: Progress) -> None:
    from tiercel.sim import make_world

    whole = city_size(size)
    on_disk = folder if whole > _IN_MEMORY_M else None
    tiles = math.ceil(whole / _TILE_M)
    total = sum(math.ceil(tiles / 2**zoom) ** 2 for zoom in range(math.ceil(math.log2(max(tiles, 1))) + 1)) + count
    report(0, total)
    world = make_world(seed, whole, on_disk)
    _write_map(folder / MAP_FOLDER, world, on_disk, lambda done, _: report(done, total))
    division = division_of(seed, size)
    taken = _draw_photos(folder, world, division, count, kinds)
    _take_photos(taken, world, on_disk, lambda done: report(total - count + done, total))
    _write_tables(folder, division, taken, seed)


def _write_map(folder: Path, world: World, on_disk: Path | None, progress: Progress) -> None:
    from tiercel.maps import write_pyramid
    from tiercel.maps.write_pyramid import LAYOUT_FILE
    from tiercel.sim import OverheadLook, OverheadRenderer

    if (folder / LAYOUT_FILE).is_file():
        return
    rng = np.random.default_rng([world.seed, 0])
    day = int(rng.integers(1 << 20))
    renderer = OverheadRenderer(world, _RESOLUTION, day=day, look=OverheadLook.sample(rng), folder=on_disk)
    west, south = corner(world.seed)
    draw = _Blocks(renderer.window, renderer.pixels, west, south)
    bounds = (west, south, west + world.size, south + world.size)
    write_pyramid(
        folder, draw, crs=_CRS, bounds=bounds, tile_pixels=_TILE_PIXELS, tile_side_m=_TILE_M, progress=progress
    )


class _Blocks:
    """Draws tiles from blocks of many, so that what lies around a block is looked up once."""

    def __init__(
        self, window: Callable[[int, int, int, int], NDArray[np.uint8]], pixels: int, west: float, south: float
    ) -> None:
        self._window, self._pixels, self._west, self._south = window, pixels, west, south
        self._block, self._key = np.zeros((0, 0, 3), np.uint8), (-1, -1)

    def __call__(self, square: Square, pixels: int) -> NDArray[np.uint8]:
        # Blocks count from the south-west, as tiles do, so that the tiles of one follow one another.
        column, row = (round(value / _TILE_M) for value in (square.west - self._west, square.south - self._south))
        block, key = _BLOCK * pixels, (column // _BLOCK, row // _BLOCK)
        left, bottom = key[0] * block, self._pixels - key[1] * block
        top = max(0, bottom - block)
        if key != self._key:
            self._block = self._window(top, bottom, left, min(self._pixels, left + block))
            self._key = key
        across, down = column * pixels - left, self._pixels - (row + 1) * pixels - top
        return self._block[down : down + pixels, across : across + pixels]


def _draw_photos(folder: Path, world: World, division: Division, count: int, kinds: Sequence[str]) -> list[DrivePhoto]:
    """Places, directions and cameras of all photos, whether they are on disk or not."""
    from tiercel.sim import EYE_HEIGHTS, sample_drives

    rng = np.random.default_rng([world.seed, 1])
    margin = (world.size - division.side_m) / 2 + 0.002 * division.side_m
    west, south = corner(world.seed)
    frame, taken = Frame(_CRS), []
    for drive, places in enumerate(sample_drives(world, count, rng, margin=margin) if count else ()):
        kind = kinds[drive % len(kinds)]
        mount = float(rng.choice(_MOUNTS))
        eye = round(float(rng.uniform(*EYE_HEIGHTS["roof" if kind == "panorama" else "car"])), 3)
        for position, place in enumerate(places):
            x, y = round(west + float(place["x"]), 3), round(south + float(place["y"]), 3)
            latitude, longitude = (round(float(value), 9) for value in frame.to_wgs84(x, y))
            heading = round(float(place["heading"] + mount + rng.normal(0.0, 4.0)) % 360, 4) % 360
            pitch = 0.0 if kind == "panorama" else round(float(np.clip(rng.normal(0, 2), -6, 6)), 3)
            image_id = f"{drive:05d}-{position:03d}"
            file = folder / PHOTO_FOLDER / f"{image_id}{PHOTO_SUFFIX}"
            truth = SimulatedSample(file, kind, x, y, latitude, longitude, heading, KINDS[kind], pitch, eye)
            turned = round((heading + frame.convergence(x, y)) % 360, 4) % 360
            taken.append(DrivePhoto(image_id, drive, truth, turned))
    return taken


def _take_photos(
    photos: Sequence[DrivePhoto], world: World, on_disk: Path | None, report: Callable[[int], None]
) -> None:
    from tiercel.sim import StreetLook, StreetRenderer

    renderer: StreetRenderer | None = None  # takes its time, and is not needed where all photos are there
    for done, photo in enumerate(photos, 1):
        truth = photo.truth
        if not truth.file.is_file():
            renderer = renderer or StreetRenderer(world, folder=on_disk)
            look = StreetLook.sample(np.random.default_rng([world.seed, 2, photo.drive]))
            write_photo(
                truth.file, render_photo(renderer, world, truth, look), latitude=truth.latitude,
                longitude=truth.longitude, heading=photo.true_heading, field_of_view=truth.field_of_view,
                panorama=truth.kind == "panorama",
            )  # fmt: skip
        report(done)


def _write_tables(folder: Path, division: Division, photos: Sequence[DrivePhoto], seed: int) -> None:
    with replacing(folder / SETTINGS_FILE) as part:
        part.write_text(yaml.safe_dump(division.model_dump(), sort_keys=False), encoding="utf-8")
    notes = [
        {
            "image_id": photo.image_id, "drive": f"{photo.drive:05d}", "kind": photo.truth.kind,
            "heading": photo.true_heading, "field_of_view": photo.truth.field_of_view, "pitch": photo.truth.pitch,
            "eye_height": photo.truth.eye_height,
        }
        for photo in photos
    ]  # fmt: skip
    _write_table(folder / PHOTOS_FILE, tuple(notes[0]) if notes else ("image_id", "drive"), notes)
    north, east = (np.array([getattr(photo.truth, name) for photo in photos]) for name in ("latitude", "longitude"))
    picks = published_actions(north, east, division).tolist()
    rows = [
        dict(zip(COLUMNS, (photo.image_id, photo.truth.latitude, photo.truth.longitude, str(pick)), strict=True))
        for photo, pick in zip(photos, picks, strict=True)
    ]
    order = np.random.default_rng([seed, 3]).permutation(len(rows))
    held = set(order[: round(VALIDATION_SHARE * len(rows))].tolist())
    for split, path in SPLITS.items():
        chosen = [row for index, row in enumerate(rows) if (index in held) == (split == "val")]
        _write_table(folder / path, COLUMNS, chosen)


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
