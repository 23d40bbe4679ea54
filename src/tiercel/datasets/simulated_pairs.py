"""Miniatures of VIGOR, CVUSA and CVACT: simulated cities in exactly the published layouts.

Other people's code reads them, and every loader is tested on them. Pictures have the published sizes unless smaller
ones are asked for, carry no metadata, as the published ones, and have north up or in the middle column; grid north is
within 0.05 degrees of true north, as every city begins at the central meridian of its UTM zone.

* VIGOR: four cities, one seed each. Tiles stand on a grid of 36.48 m, which is half a tile at the 0.114 m a pixel
  that the data set was laid out by, and show as much ground as a tile of web maps does at their latitude. Original
  labels take 0.114 m a pixel, as `evaluate_from_npy.py` of VIGOR's code does; corrected ones the true size of a
  pixel, as SliceMatch's do. A tile is the positive of two panoramas at most, as in the published lists, which are
  called balanced for it.
* CVUSA: a city for training and another for validation, photos at least 30 m apart. A tile shows 750 pixels of a web
  map at zoom 19 around its photo. The lists name annotations, as published, and nothing draws them.
* CVACT: a city for training and another for validation and test. A tile shows 1200 pixels of a web map at zoom 20 of
  double resolution around its photo. The first field of the structs in `ACT_data.mat` is ours; the published code
  reads the second.

`simulation.json`, which says what everything was made from, is written first and the lists are written last: where
they are, the miniature is whole.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.datasets.pairs import PairDataset, cvact, cvusa, open_pairs
from tiercel.datasets.pairs.near import metres_per_pixel
from tiercel.datasets.pairs.vigor import CITIES, LABEL_FOLDERS, LABEL_LISTS, TILE_LIST, TILE_PIXELS, tile_side_m
from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.photos.write import replacing

if TYPE_CHECKING:
    from tiercel.sim import OverheadRenderer, StreetRenderer
    from tiercel.sim.world import World

ORIGIN_FILE = "simulation.json"
LAID_OUT_BY = 0.114
"""Metres that VIGOR's grid and its original labels take for a pixel."""

_EARTH = 6_371_004.0  # metres: the radius in VIGOR's code, by which its grid and its original labels are reckoned
_EASTING = 500_000.0
_APART = 10_000.0
_SPREAD = 30.0  # metres between photos of CVUSA
_TWICE = 2  # panoramas that one tile may be nearest to
_QUALITY = 92
_TRIES = 10  # candidates drawn for each photo
_ROOM = 100.0  # metres of a city beyond a tile
_HALF = TILE_PIXELS / 2

Progress = Callable[[int, int], None]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Form:
    """What the pictures of a layout look like and where its cities lie.

    Attributes:
        crs: UTM zone.
        northing: Of the city of seed 0, metres.
        size: Of its cities where no other is asked for, metres.
        shares: Of the photos in each city.
        tile_pixels: Side of a tile.
        panorama_width: Pixels of 360 degrees.
        panorama_height: Pixels, around the horizon.
        tile_side_m: Ground side of a tile at a latitude.
    """

    crs: str
    northing: float
    size: float
    shares: tuple[int, ...]
    tile_pixels: int
    panorama_width: int
    panorama_height: int
    tile_side_m: Callable[[float], float]

    def resized(self, tile_pixels: int | None, panorama_width: int | None) -> Form:
        """With pictures of other sizes that show the same."""
        width = panorama_width or self.panorama_width
        height = round(width * self.panorama_height / self.panorama_width)
        tile = tile_pixels or self.tile_pixels
        return replace(self, tile_pixels=tile, panorama_width=width, panorama_height=height)


def _side_of_cvusa(latitude: float) -> float:
    return 750 * metres_per_pixel(latitude, 19)


def _side_of_cvact(latitude: float) -> float:
    return 1200 * metres_per_pixel(latitude, 20) / 2


FORMS = {
    "vigor": Form("EPSG:32633", 5.00e6, 400.0, (1, 1, 1, 1), TILE_PIXELS, 2048, 1024, tile_side_m),
    "cvusa": Form("EPSG:32614", 4.00e6, 800.0, (4, 1), 750, 1232, 224, _side_of_cvusa),
    "cvact": Form(cvact.FRAME, 6.09e6, 400.0, (1, 1), 1200, 1664, 832, _side_of_cvact),
}
"""The layouts with the published sizes."""


@dataclass(frozen=True)
class Shot:
    """A panorama to be taken.

    Attributes:
        name: 22 letters, as panoramas of street maps have.
        number: Of the shot in its data set, from 0.
        x: East of the city's western edge, metres.
        y: North of its southern edge, metres.
        latitude: Degrees, of exactly this place.
        longitude: Degrees.
    """

    name: str
    number: int
    x: float
    y: float
    latitude: float
    longitude: float


def simulate_pairs(
    folder: str | Path,
    *,
    layout: str,
    seed: int,
    size: float | None = None,
    photos: int = 100,
    by_kind: bool = False,
    tile_pixels: int | None = None,
    panorama_width: int | None = None,
    progress: Progress | None = None,
) -> PairDataset:
    """Makes cities, tiles of them and panoramas in them, in a published layout.

    A miniature that is there already is only opened, and one that was interrupted goes on where it stopped.

    Args:
        folder: Where to; made if missing.
        layout: "vigor", "cvusa" or "cvact".
        seed: Of the first city; the others have the seeds that follow.
        size: Side of each city, metres; one that holds 100 photos when not given.
        photos: How many panoramas in all.
        by_kind: Of VIGOR, whether to lay it out as `ground/<City>` and `satellite/<City>`.
        tile_pixels: Side of a tile; the published one when not given. The ground it shows stays the same.
        panorama_width: Width of a panorama, likewise; its height follows.
        progress: Called with the pictures that are done and all there are.

    Returns:
        The data set, opened.

    Raises:
        TiercelError: The folder holds something else or cannot be written to, there is no such layout, or the cities
            are too small for so many photos.
    """
    folder = Path(folder)
    if layout not in FORMS:
        raise TiercelError(f"There is no miniature of '{layout}': choose from {', '.join(FORMS)}.")
    form = FORMS[layout].resized(tile_pixels, panorama_width)
    size = form.size if size is None else size
    ends = [round(photos * sum(form.shares[:index]) / sum(form.shares)) for index in range(len(form.shares) + 1)]
    numbers = [range(*pair) for pair in pairwise(ends)]
    cities = [City(form, seed + index, size, chosen) for index, chosen in enumerate(numbers)]
    _claim(folder, {
        "format": 1, "layout": layout, "seed": seed, "size": size, "photos": photos, "by_kind": by_kind,
        "tile_pixels": form.tile_pixels, "panorama_width": form.panorama_width,
    })  # fmt: skip
    report = progress or (lambda done, total: None)
    match layout:
        case "vigor":
            _make_vigor(folder, cities, by_kind, report)
        case "cvusa":
            _make_cvusa(folder, cities, report)
        case _:
            _make_cvact(folder, cities, report)
    return open_pairs(folder, layout=layout)


class City:
    """One city of a miniature: where it lies, where its tiles are, and how many photos are taken in it.

    Attributes:
        form: Of the layout.
        seed: Its seed.
        size: Its side, metres.
        numbers: Of its photos in the data set.
        corner: Easting and northing of its south-western corner, metres.
        tile_side: Of its tiles on the ground, metres.
    """

    def __init__(self, form: Form, seed: int, size: float, numbers: range) -> None:
        """Reckons where it lies; makes nothing.

        Raises:
            TiercelError: It is too small for a tile.
        """
        self.form, self.seed, self.size, self.numbers = form, seed, size, numbers
        self.corner = (_EASTING, form.northing + _APART * (seed % 100))
        self._frame = Frame(form.crs)
        self.tile_side = form.tile_side_m(self.to_wgs84(size / 2, size / 2)[0])
        least = math.ceil(self.tile_side + _ROOM)
        if size < least:
            raise TiercelError(f"A city of {size:g} m is too small for its tiles: make it {least} m or larger.")

    def to_wgs84(self, x: float, y: float) -> tuple[float, float]:
        """Latitude and longitude of a place in the city, degrees."""
        latitude, longitude = self._frame.to_wgs84(self.corner[0] + x, self.corner[1] + y)
        return float(latitude), float(longitude)

    def from_wgs84(self, latitude: float, longitude: float) -> tuple[float, float]:
        """The place at a latitude and longitude, metres from the south-western corner."""
        x, y = self._frame.from_wgs84(latitude, longitude)
        return float(x) - self.corner[0], float(y) - self.corner[1]

    @cached_property
    def grid(self) -> tuple[list[float], list[float]]:
        """Latitudes from the south and longitudes from the west of VIGOR's tiles, degrees."""
        edge = self.tile_side / 2 + 1
        south, west = self.to_wgs84(edge, edge)
        north, east = self.to_wgs84(self.size - edge, self.size - edge)
        down, across = grid_step(south)
        rows, columns = math.floor((north - south) / down) + 1, math.floor((east - west) / across) + 1
        return [south + row * down for row in range(rows)], [west + column * across for column in range(columns)]

    @property
    def tiles(self) -> list[tuple[float, float]]:
        """Latitudes and longitudes of VIGOR's tiles, row by row from the south."""
        return [(latitude, longitude) for latitude in self.grid[0] for longitude in self.grid[1]]


class Scene:
    """A city that is made and drawn when it is first needed; it takes memory, the `City` does not.

    Attributes:
        city: The city.
    """

    def __init__(self, city: City) -> None:
        """Makes nothing yet."""
        self.city = city

    def shots(self, choose: Callable[[City, Sequence[Shot]], list[Shot]]) -> list[Shot]:
        """The panoramas, in driving lanes.

        Args:
            choose: Takes the city and candidates in their order, and returns those that may stay.

        Raises:
            TiercelError: Too few may.
        """
        from tiercel.sim import sample_viewpoints

        city, count = self.city, len(self.city.numbers)
        if not count:
            return []
        rng = np.random.default_rng([city.seed, 1])
        places = sample_viewpoints(self._world, _TRIES * count, rng, margin=city.tile_side / 2 + 2)
        chosen = choose(city, [_candidate(city, float(place["x"]), float(place["y"])) for place in places])[:count]
        if len(chosen) < count:
            raise TiercelError(
                f"The city of seed {city.seed} and {city.size:g} m has room for {len(chosen)} photos, not for {count}: "
                "make it larger, or take fewer."
            )
        name = [_letters(city.form.crs, city.seed, index) for index in range(count)]
        return [replace(shot, name=name[i], number=city.numbers[i]) for i, shot in enumerate(chosen)]

    def tile(self, latitude: float, longitude: float) -> Pixels:
        """(tile_pixels, tile_pixels, 3) uint8, north up, around a place."""
        x, y = self.city.from_wgs84(latitude, longitude)
        overhead, pixels = self._overhead, self.city.form.tile_pixels
        step = self.city.size / overhead.pixels
        left, top = (round(value / step - pixels / 2) for value in (x, self.city.size - y))
        return overhead.window(top, top + pixels, left, left + pixels)

    def panorama(self, shot: Shot) -> Pixels:
        """(panorama_height, panorama_width, 3) uint8, north in the middle column, the horizon in the middle row."""
        from tiercel.sim import EYE_HEIGHTS, StreetLook

        rng = np.random.default_rng([self.city.seed, 2, shot.number])
        look, eye = StreetLook.sample(rng), float(rng.uniform(*EYE_HEIGHTS["roof"]))
        form = self.city.form
        whole = self._street.panorama(shot.x, shot.y, eye, 0.0, form.panorama_width // 2, form.panorama_width, look)
        top = (len(whole) - form.panorama_height) // 2
        return whole[top : top + form.panorama_height]

    @cached_property
    def _world(self) -> World:
        from tiercel.sim import make_world

        return make_world(self.city.seed, self.city.size)

    @cached_property
    def _overhead(self) -> OverheadRenderer:
        from tiercel.sim import OverheadLook, OverheadRenderer

        rng = np.random.default_rng([self.city.seed, 0])
        day = int(rng.integers(1 << 20))
        resolution = self.city.tile_side / self.city.form.tile_pixels
        return OverheadRenderer(self._world, resolution, day=day, look=OverheadLook.sample(rng))

    @cached_property
    def _street(self) -> StreetRenderer:
        from tiercel.sim import StreetRenderer

        return StreetRenderer(self._world)


def grid_step(latitude: float) -> tuple[float, float]:
    """Degrees north and east between the tiles of VIGOR's grid: 320 pixels of 0.114 m (`Lat_Lng` of VIGOR's code)."""
    down = math.degrees(TILE_PIXELS / 2 * LAID_OUT_BY / _EARTH)
    return down, down / math.cos(math.radians(latitude))


def _candidate(city: City, x: float, y: float) -> Shot:
    """At the rounded position that will be written down."""
    latitude, longitude = (round(value, 6) for value in city.to_wgs84(x, y))
    return Shot("", 0, *city.from_wgs84(latitude, longitude), latitude, longitude)


def _letters(*parts: object) -> str:
    """22 letters that follow from some values."""
    digest = hashlib.sha256(repr(parts).encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Writes what the folder is going to hold, or makes sure that it holds just that."""
    path = folder / ORIGIN_FILE
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != settings:
            raise TiercelError(f"{folder} holds another miniature (see {ORIGIN_FILE}): choose another folder.")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TiercelError(f"{folder} is there already and holds something else: choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TiercelError(f"{folder} cannot be made ({error.strerror}): choose another folder.") from error
    with replacing(path) as part:
        part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


class _Drawing:
    """Draws pictures that are not there yet, and tells how many are done."""

    def __init__(self, total: int, report: Progress) -> None:
        self._done, self._total, self._report = 0, total, report
        report(0, total)

    def __call__(self, path: Path, draw: Callable[[], Pixels]) -> None:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(draw())
            with replacing(path) as part:
                if path.suffix == ".png":
                    picture.save(part, "PNG", compress_level=6)
                else:
                    picture.save(part, "JPEG", quality=_QUALITY)
        self._done += 1
        self._report(self._done, self._total)


def _make_vigor(folder: Path, cities: Sequence[City], by_kind: bool, report: Progress) -> None:
    lists = [folder / names[0] for names in LABEL_FOLDERS.values()]
    if all((path / CITIES[-1] / _list_name(path, LABEL_LISTS[-1])).is_file() for path in lists):
        return
    draw = _Drawing(sum(len(city.tiles) + len(city.numbers) for city in cities), report)
    shots = []
    for name, city in zip(CITIES, cities, strict=True):
        scene = Scene(city)
        shots.append(scene.shots(_balanced))
        for tile in city.tiles:
            place = folder / "satellite" / name if by_kind else folder / name / "satellite"
            draw(place / _tile_name(*tile), partial(scene.tile, *tile))
        for shot in shots[-1]:
            place = folder / "ground" / name if by_kind else folder / name / "panorama"
            draw(place / _panorama_name(shot), partial(scene.panorama, shot))
    for path, corrected in zip(lists, (False, True), strict=True):
        for name, city, taken in zip(CITIES, cities, shots, strict=True):
            _write_vigor_lists(path, name, city, taken, corrected)


def _write_vigor_lists(folder: Path, name: str, city: City, shots: Sequence[Shot], corrected: bool) -> None:
    """The four lists of a city; half of its panoramas are for training, as published."""
    _write_lines(folder / name / TILE_LIST, [_tile_name(*tile) for tile in city.tiles])
    lines = [_label_line(city, shot, corrected) for shot in shots]
    order = np.random.default_rng([city.seed, 3]).permutation(len(lines)).tolist()
    half = (len(order) + 1) // 2
    for stem, chosen in zip(LABEL_LISTS, (order[:half], order[half:], order), strict=True):
        _write_lines(folder / name / _list_name(folder, stem), [lines[index] for index in chosen])


def _list_name(folder: Path, stem: str) -> str:
    return f"{stem}__corrected.txt" if folder.name.endswith("__corrected") else f"{stem}.txt"


def _tile_name(latitude: float, longitude: float) -> str:
    return f"satellite_{latitude!r}_{longitude!r}.png"


def _panorama_name(shot: Shot) -> str:
    return f"{shot.name},{shot.latitude:.6f},{shot.longitude:.6f},.jpg"


def _balanced(city: City, candidates: Sequence[Shot]) -> list[Shot]:
    """Those among four tiles, at most two of them nearest to the same."""
    (south, *_, north), (west, *_, east) = city.grid
    down, across = grid_step(south)
    taken: dict[tuple[int, int], int] = {}
    chosen = []
    for shot in candidates:
        cell = round((shot.latitude - south) / down), round((shot.longitude - west) / across)
        inside = south < shot.latitude < north and west < shot.longitude < east
        if inside and taken.get(cell, 0) < _TWICE:
            taken[cell] = taken.get(cell, 0) + 1
            chosen.append(shot)
    return chosen


def _label_line(city: City, shot: Shot, corrected: bool) -> str:
    """A panorama, and the four tiles around it with its place in each, the nearest tile first."""
    (south, *_), (west, *_) = city.grid
    down, across = grid_step(south)
    row, column = math.floor((shot.latitude - south) / down), math.floor((shot.longitude - west) / across)
    tiles = [(city.grid[0][row + i], city.grid[1][column + j]) for i in (0, 1) for j in (0, 1)]
    tiles.sort(key=lambda tile: math.hypot(*_offset(city, shot, tile, True)))
    words = [_panorama_name(shot)]
    for tile in tiles:
        words += [_tile_name(*tile), *(f"{round(value)}.0" for value in _offset(city, shot, tile, corrected))]
    return " ".join(words)


def _offset(city: City, shot: Shot, tile: tuple[float, float], corrected: bool) -> tuple[float, float]:
    """How far a tile's centre is north and east of a camera, in pixels of a tile of 640."""
    if corrected:
        x, y = city.from_wgs84(*tile)
        pixel = city.tile_side / TILE_PIXELS
        return (y - shot.y) / pixel, (x - shot.x) / pixel
    down, across = grid_step(tile[0])
    return (tile[0] - shot.latitude) / down * _HALF, (tile[1] - shot.longitude) / across * _HALF


def _make_cvusa(folder: Path, cities: Sequence[City], report: Progress) -> None:
    if all((folder / path).is_file() for path in cvusa.LISTS.values()):
        return
    draw = _Drawing(2 * sum(len(city.numbers) for city in cities), report)
    shots = []
    for city in cities:
        scene = Scene(city)
        shots.append(scene.shots(_spread))
        for shot in shots[-1]:
            tile, panorama, _ = _cvusa_names(shot)
            draw(folder / tile, partial(scene.tile, shot.latitude, shot.longitude))
            draw(folder / panorama, partial(scene.panorama, shot))
    places = [f"{shot.latitude:.6f},{shot.longitude:.6f}" for taken in shots for shot in taken]
    _write_lines(folder / cvusa.LOCATIONS[0], [f"{place},{place},0" for place in places])
    for path, taken in zip(cvusa.LISTS.values(), shots, strict=True):
        _write_lines(folder / path, [",".join(_cvusa_names(shot)) for shot in taken])


def _cvusa_names(shot: Shot) -> tuple[str, str, str]:
    name = f"{shot.number + 1:07d}"
    return f"bingmap/19/{name}.jpg", f"streetview/panos/{name}.jpg", f"streetview/annotations/{name}.png"


def _spread(city: City, candidates: Sequence[Shot]) -> list[Shot]:
    """Those well apart from all before them."""
    chosen: list[Shot] = []
    for shot in candidates:
        if all(math.hypot(shot.x - other.x, shot.y - other.y) >= _SPREAD for other in chosen):
            chosen.append(shot)
    return chosen


def _make_cvact(folder: Path, cities: Sequence[City], report: Progress) -> None:
    if (folder / cvact.FILE).is_file():
        return
    first, second = (city.numbers for city in cities)
    splits = {"train": first, "val": second[: math.ceil(len(second) / 4)], "test": second}
    draw = _Drawing(2 * sum(len(numbers) for numbers in splits.values()), report)
    names: list[str] = []
    places: list[tuple[float, float]] = []
    for city, wanted in zip(cities, (("train",), ("val", "test")), strict=True):
        scene = Scene(city)
        shots = scene.shots(lambda _, candidates: list(candidates))
        names += [shot.name for shot in shots]
        places += [(city.corner[0] + shot.x, city.corner[1] + shot.y) for shot in shots]
        for split in wanted:
            for shot in shots[: len(splits[split])]:
                pictures = folder / cvact.FOLDERS[split]
                draw(pictures / cvact.TILE.format(shot.name), partial(scene.tile, shot.latitude, shot.longitude))
                draw(pictures / cvact.PHOTO.format(shot.name), partial(scene.panorama, shot))
    cvact.write_table(folder / cvact.FILE, names, np.reshape(places, (-1, 2)), splits)
