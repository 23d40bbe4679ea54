"""The published zooming benchmark ("Just Zoom In", arXiv 2603.25686), and any other city in the same folder layout.

A folder holds

* `satellite/layout.yaml` and its tiles: a tiledwebmaps pyramid;
* `streetview/images/<image_id>_undistorted.jpg`: the photos;
* `metadata/large_area_train_map.csv` and `large_area_val_map.csv`: image_id, latitude, longitude and sequence, the
  four picks that lead to the photo's cell, as "[7, 6, 6, 5]".

Two files of ours may stand beside them, so that other cities fit as well: `metadata/benchmark.yaml` says where the
root square lies and how it is divided (without it, Washington as published), and `metadata/photos.csv` says more about
the photos, above all which drive each belongs to. Neither bothers the authors' own code.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from tiercel.errors import TiercelError
from tiercel.geo.sphere import haversine_m, move_from_latlon
from tiercel.maps import open_map
from tiercel.maps.tiledwebmaps import TiledWebMap

SPLITS = {"train": "metadata/large_area_train_map.csv", "val": "metadata/large_area_val_map.csv"}
"""The splits and their files."""
SETTINGS_FILE = "metadata/benchmark.yaml"
PHOTOS_FILE = "metadata/photos.csv"
MAP_FOLDER = "satellite"
PHOTO_FOLDER = "streetview/images"
PHOTO_SUFFIX = "_undistorted.jpg"
COLUMNS = ("image_id", "latitude", "longitude", "sequence")

_OUTSIDE_M = 10.0  # rounding puts a few photos of the published region some metres outside its square
_WASHINGTON = tuple(float(value) for value in move_from_latlon(38.8936, -77.0116, 90.0, 2000.0))

Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]


class Division(BaseModel, extra="forbid", frozen=True):
    """How the ground is divided into cells; the defaults are the published ones.

    Attributes:
        latitude: Of the root square's centre, degrees; as published, 2 km east of 38.8936 N, 77.0116 W.
        longitude: Degrees.
        side_m: Side of the root square, metres.
        branching: Children of a square along a side.
        depth: Picks from the root to a leaf.
        attribution: Whose the photos and the map are, and under what licence.
    """

    latitude: float = Field(default=_WASHINGTON[0], ge=-90, le=90)
    longitude: float = Field(default=_WASHINGTON[1], ge=-180, le=180)
    side_m: float = Field(default=10_000.0, gt=0)
    branching: int = Field(default=4, ge=2)
    depth: int = Field(default=4, ge=1)
    attribution: str = ""

    @property
    def leaves(self) -> int:
        """Number of leaf cells."""
        return int(self.branching ** (2 * self.depth))


PUBLISHED = Division()
"""Washington: 10 km, four picks of 4 x 4."""


def published_actions(latitude: ArrayLike, longitude: ArrayLike, division: Division = PUBLISHED) -> Indices:
    """The picks that lead to places, by the published rule.

    In every square a place is a linear fraction between the latitudes and longitudes of two corners, and picks the
    child it falls into; outside it picks the nearest. The north-western corner is reached from the centre by half a
    side north, then half a side west, the south-eastern by south, then east. The child's centre is reached by moving
    east, then north.

    Args:
        latitude: Degrees, of any shape.
        longitude: Degrees, of the same shape.
        division: How the ground is divided.

    Returns:
        (..., depth) int64, the first pick first: row * branching + col, row 0 in the north.
    """
    north, east = np.broadcast_arrays(np.asarray(latitude, np.float64), np.asarray(longitude, np.float64))
    centre = np.full(north.shape, division.latitude), np.full(north.shape, division.longitude)
    side, picks = division.side_m, []
    for _ in range(division.depth):
        top, left, bottom, right = _corners(*centre, side)
        row = _fraction_to_index((top - north) / (top - bottom), division.branching)
        col = _fraction_to_index((east - left) / (right - left), division.branching)
        picks.append(row * division.branching + col)
        centre, side = _child(*centre, side, picks[-1], division.branching)
    return np.stack(picks, -1)


def cell_centre(actions: ArrayLike, division: Division = PUBLISHED) -> tuple[Doubles, Doubles]:
    """Latitudes and longitudes, degrees, of the centres of the squares that picks lead to.

    Args:
        actions: (..., n) picks from the root; n may be anything from 0 (the root) to the depth.
        division: How the ground is divided.
    """
    picks = np.asarray(actions, np.int64)
    centre = np.full(picks.shape[:-1], division.latitude), np.full(picks.shape[:-1], division.longitude)
    side = division.side_m
    for step in range(picks.shape[-1]):
        centre, side = _child(*centre, side, picks[..., step], division.branching)
    return centre


def outside_m(latitude: ArrayLike, longitude: ArrayLike, division: Division = PUBLISHED) -> Doubles:
    """How many metres outside the root square places lie, 0 inside."""
    north, east = np.asarray(latitude, np.float64), np.asarray(longitude, np.float64)
    top, left, bottom, right = _corners(np.asarray(division.latitude), np.asarray(division.longitude), division.side_m)
    return haversine_m(north, east, np.clip(north, bottom, top), np.clip(east, left, right))


def _corners(latitude: Doubles, longitude: Doubles, side: float) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """North and west of the north-western corner, south and east of the south-eastern."""
    top, left = move_from_latlon(*move_from_latlon(latitude, longitude, 0.0, side / 2), 270.0, side / 2)
    bottom, right = move_from_latlon(*move_from_latlon(latitude, longitude, 180.0, side / 2), 90.0, side / 2)
    return top, left, bottom, right


def _fraction_to_index(fraction: Doubles, branching: int) -> Indices:
    return np.clip(np.trunc(fraction * branching), 0, branching - 1).astype(np.int64)


def _child(
    latitude: Doubles, longitude: Doubles, side: float, action: Indices, branching: int
) -> tuple[tuple[Doubles, Doubles], float]:
    """Centre and side of a child."""
    row, col = np.divmod(action, branching)
    part = side / branching
    eastward = move_from_latlon(latitude, longitude, 90.0, (col + 0.5) * part - side / 2)
    return move_from_latlon(*eastward, 0.0, side / 2 - (row + 0.5) * part), part


@dataclass(frozen=True)
class ZoomSample:
    """One photo of a benchmark.

    Attributes:
        image_id: Its name.
        file: The photo; whether it is there is not looked at.
        latitude: Where it was taken, degrees.
        longitude: Degrees.
        actions: The picks that lead to its cell.
        drive: The sequence of photos that it belongs to, where known. (The column `sequence` of the tables holds the
            picks.)
    """

    image_id: str
    file: Path
    latitude: float
    longitude: float
    actions: tuple[int, ...]
    drive: str | None = None


@dataclass(frozen=True)
class Problem:
    """What is wrong with one photo.

    Attributes:
        sample: The photo.
        words: What is wrong, with the file named.
    """

    sample: ZoomSample
    words: str


@dataclass(frozen=True)
class Report:
    """What a look through a benchmark found.

    Attributes:
        photos: How many photos were looked at.
        problems: What was wrong, a photo at a time.
    """

    photos: int
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        """The count, and one line a problem."""
        head = f"{len(self.problems)} of {self.photos} photos cannot be used"
        return "\n".join([head + (":" if self.problems else "."), *(f"  {problem.words}" for problem in self.problems)])


class JustZoomIn:
    """A benchmark in the published layout.

    Attributes:
        folder: Where it lies.
        division: How its ground is divided.
        basemap: The map.
    """

    def __init__(self, folder: Path, division: Division, basemap: TiledWebMap) -> None:
        """See `open`."""
        self.folder, self.division, self.basemap = folder, division, basemap

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens a benchmark's folder.

        Raises:
            TiercelError: There is none, or its map or settings cannot be read.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise TiercelError(f"{folder} does not exist; give the folder that holds {MAP_FOLDER} and metadata.")
        layout = folder / MAP_FOLDER / "layout.yaml"
        if not layout.is_file():
            raise TiercelError(f"{layout} is missing; copy the whole folder {MAP_FOLDER} of the benchmark there.")
        basemap = open_map(layout)
        assert isinstance(basemap, TiledWebMap)
        return cls(folder, _read_division(folder / SETTINGS_FILE), basemap)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def branching(self) -> int:
        """Children of a square along a side."""
        return self.division.branching

    @property
    def depth(self) -> int:
        """Picks from the root to a leaf."""
        return self.division.depth

    @property
    def side_m(self) -> float:
        """Side of the root square, metres."""
        return self.division.side_m

    def samples(self, split: str) -> list[ZoomSample]:
        """The photos of a split, in the order of its table, whether their files are there or not (see `check`).

        Args:
            split: "train" or "val".

        Raises:
            TiercelError: There is no such split, or a row of its table cannot be true.
        """
        if split not in SPLITS:
            raise TiercelError(f"There is no split '{split}' in {self.folder}; use {' or '.join(SPLITS)}.")
        return self._read_table(self.folder / SPLITS[split])

    def check(self, split: str, *, progress: Callable[[int, int], None] | None = None) -> Report:
        """Opens every photo of a split and compares its label with its position; goes on after what is wrong.

        Args:
            split: "train" or "val".
            progress: Called with photos looked at and photos in all.

        Raises:
            TiercelError: The table itself cannot be read.
        """
        samples, problems = self.samples(split), []
        for done, sample in enumerate(samples, 1):
            words = self._wrong_with(sample)
            if words:
                problems.append(Problem(sample, f"{self.folder / SPLITS[split]} row {done + 1}: {words}"))
            if progress is not None:
                progress(done, len(samples))
        return Report(len(samples), tuple(problems))

    def read_square(self, actions_prefix: Sequence[int], pixels: int) -> NDArray[np.uint8]:
        """The map in the square that some picks lead to, as the published code reads it.

        Args:
            actions_prefix: Picks from the root; () is the root.
            pixels: Pixels a side; 384 as published.

        Returns:
            (pixels, pixels, 3) uint8, north up; black where there is no map.
        """
        latitude, longitude = self.cell_centre(actions_prefix)
        side = self.side_m / self.branching ** len(actions_prefix)
        return self.basemap.read_around(latitude, longitude, side / pixels, pixels)

    def cell_centre(self, actions: Sequence[int]) -> tuple[float, float]:
        """Latitude and longitude, degrees, of the centre of the square that some picks lead to."""
        latitude, longitude = cell_centre(np.asarray(actions, np.int64), self.division)
        return float(latitude), float(longitude)

    def actions_at(self, latitude: float, longitude: float) -> tuple[int, ...]:
        """The picks that lead to a place, see `published_actions`."""
        return tuple(int(action) for action in published_actions(latitude, longitude, self.division))

    def error_m(self, actions: Sequence[int], latitude: float, longitude: float) -> float:
        """Metres from the centre of the cell that picks lead to, to a photo's position."""
        return float(haversine_m(*self.cell_centre(actions), latitude, longitude))

    def _wrong_with(self, sample: ZoomSample) -> str | None:
        if not sample.file.is_file():
            return f"the photo {sample.file} is missing; copy it there or delete the row."
        try:
            with Image.open(sample.file) as image:
                image.load()
        except (OSError, SyntaxError, ValueError) as error:
            return f"the photo {sample.file} is broken ({error}); copy it again or delete the row."
        rule = self.actions_at(sample.latitude, sample.longitude)
        if rule != sample.actions:
            return f"the sequence of {sample.image_id} is {list(sample.actions)}, but its position gives {list(rule)}."
        return None

    @cached_property
    def photo_notes(self) -> dict[str, dict[str, str]]:
        """What `metadata/photos.csv` says about each photo, empty where there is no such file.

        Raises:
            TiercelError: The file has no column image_id.
        """
        table = self.folder / PHOTOS_FILE
        if not table.is_file():
            return {}
        return {row["image_id"]: row for _, row in _rows(table, ("image_id",))}

    def _read_table(self, table: Path) -> list[ZoomSample]:
        samples = [self._sample(row, f"{table} row {number}") for number, row in _rows(table, COLUMNS)]
        places = np.array([(sample.latitude, sample.longitude) for sample in samples]).reshape(-1, 2)
        outside = outside_m(places[:, 0], places[:, 1], self.division)
        for index in np.flatnonzero(outside > _OUTSIDE_M)[:1]:
            where = f"{table} row {index + 2}: {samples[index].image_id} was taken {outside[index]:.0f} m outside"
            raise TiercelError(f"{where} the map's square; delete the row.")
        return samples

    def _sample(self, row: dict[str, str], where: str) -> ZoomSample:
        image_id = row["image_id"]
        try:
            latitude, longitude = float(row["latitude"]), float(row["longitude"])
        except (TypeError, ValueError):
            latitude = longitude = float("nan")
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            raise TiercelError(f"{where}: the position of {image_id} is not in degrees; mend or delete the row.")
        drive = row.get("drive") or self.photo_notes.get(image_id, {}).get("drive") or None
        file = self.folder / PHOTO_FOLDER / f"{image_id}{PHOTO_SUFFIX}"
        return ZoomSample(image_id, file, latitude, longitude, self._sequence(row["sequence"], where), drive)

    def _sequence(self, text: str, where: str) -> tuple[int, ...]:
        try:
            actions = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            actions = None
        whole = isinstance(actions, list | tuple) and all(type(action) is int for action in actions)
        if not whole or len(actions) != self.depth or not all(0 <= a < self.branching**2 for a in actions):
            raise TiercelError(
                f"{where}: the sequence {text!r} is not {self.depth} picks of 0 to {self.branching**2 - 1}, "
                f"as in {[0] * self.depth}; mend or delete the row."
            )
        return tuple(actions)


def _rows(table: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table, each with its number in the file, the heading being row 1."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [column for column in needed if column not in (reader.fieldnames or ())]
            if missing:
                raise TiercelError(
                    f"{table} has no column {', '.join(missing)}; its first row must name {', '.join(needed)}."
                )
            for number, row in enumerate(reader, 2):
                if any(row[column] is None for column in needed):
                    raise TiercelError(f"{table} row {number} is cut short; mend or delete the row.")
                yield number, row
    except FileNotFoundError:
        raise TiercelError(f"{table} is missing; copy the folder metadata of the benchmark there.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TiercelError(f"{table} cannot be read as a table ({error}); copy it again.") from error


def _read_division(path: Path) -> Division:
    if not path.is_file():
        return PUBLISHED
    try:
        return Division.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "its content"
        raise TiercelError(f"{path}: {key} {first['msg'][0].lower()}{first['msg'][1:]}; mend it.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TiercelError(f"{path} cannot be read as YAML; mend it or delete it.") from error
