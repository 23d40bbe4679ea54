"""VIGOR (Zhu, Yang and Chen, CVPR 2021): panoramas of four American cities and the tiles that cover these without gaps.

A folder holds the pictures in one of two ways,

* `<City>/panorama/<id>,<latitude>,<longitude>,.jpg` and `<City>/satellite/satellite_<latitude>_<longitude>.png`, as
  published, or
* `ground/<City>/...` and `satellite/<City>/...` with the same names, as much code has it,

and lists: `splits/<City>/satellite_list.txt` names a city's tiles; `same_area_balanced_train.txt`,
`same_area_balanced_test.txt` and `pano_label_balanced.txt` (which is both together) have a line for each panorama
with 13 fields: the panorama, then four times a tile, dlat and dlon. The first tile is the positive, the other three
are semi-positives. The labels dlat and dlon tell how far the tile's centre lies north and east of the camera, in
pixels of a tile of 640.

The original labels take 0.114 m for a pixel in every city, which is right for New York at best
(`evaluate_from_npy.py` of the authors' code). SliceMatch (Lentsch et al., CVPR 2023) published corrected ones in
`splits__corrected`, where the names of the lists end in `__corrected.txt`. Positions are in the names of the files
and are the same for both.

Panoramas have north in the middle column (CCVPE and SliceMatch take a roll of 0 for it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tiercel.datasets.pairs.files import Listing, once, parts_of, read_lines, settled
from tiercel.datasets.pairs.near import metres_per_pixel, plane
from tiercel.datasets.pairs.pairs import Checked, Missing, PairQuery, PairSplit, Part, Place, Reference
from tiercel.errors import TiercelError

CITIES = ("Chicago", "NewYork", "SanFrancisco", "Seattle")
TILE_PIXELS = 640
"""Side of a published tile."""
ZOOM = 20
"""Level of the web map whose pixels the tiles have, `near.metres_per_pixel` of their latitude: 0.111 m in Chicago."""
TILE_LIST = "satellite_list.txt"
LABEL_LISTS = ("same_area_balanced_train", "same_area_balanced_test", "pano_label_balanced")
LABEL_FOLDERS = {"original": ("splits",), "corrected": ("splits__corrected", "splits_corrected", "splits_new")}
AREAS: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "same": {"train": (CITIES, LABEL_LISTS[0]), "test": (CITIES, LABEL_LISTS[1])},
    "cross": {
        "train": (("NewYork", "Seattle"), LABEL_LISTS[2]),
        "test": (("SanFrancisco", "Chicago"), LABEL_LISTS[2]),
    },
}
"""For each area and split the cities and the list of labels."""
SOURCE = (
    "Ask for the pictures by the questionnaire in data/DATASET.md of github.com/Jeff-Zilence/VIGOR; the corrected "
    "labels are in VIGOR_corrected_labels of github.com/tudelft-iv/SliceMatch."
)

_FIELDS = 13
_HEADING = 0.0
_REMEDY = "copy the folders of lists (splits, splits__corrected) of VIGOR there, or use the labels that are there"


@dataclass(frozen=True)
class Label:
    """A line of labels.

    Attributes:
        panorama: File name.
        latitude: Of the camera, degrees.
        longitude: Degrees.
        tiles: File names of the positive and the three semi-positives.
        places: Where the camera is in them.
    """

    panorama: str
    latitude: float
    longitude: float
    tiles: tuple[str, ...]
    places: tuple[Place, ...]


class Vigor:
    """VIGOR, opened with `open_pairs`.

    The gallery of a split are all tiles of its cities, whether a panorama belongs to them or not.

    Attributes:
        folder: Where it lies.
        area: "same" for training and test panoramas in all four cities, "cross" to train in New York and Seattle and
            test in San Francisco and Chicago.
        labels: "original" or "corrected".
        splits: "train" and "test".
    """

    splits = ("train", "test")

    def __init__(self, folder: Path, *, area: str = "same", labels: str = "original") -> None:
        """Notes what is wanted; reads nothing.

        Raises:
            TiercelError: There is no such area, or there are no such labels.
        """
        if area not in AREAS:
            raise TiercelError(f"VIGOR has no area '{area}': use 'same' or 'cross'.")
        if labels not in LABEL_FOLDERS:
            raise TiercelError(f"VIGOR has no labels '{labels}': use 'original' or 'corrected'.")
        self.folder, self.area, self.labels = folder, area, labels

    @property
    def name(self) -> str:
        """Its name, with area and labels."""
        return f"VIGOR, {self.area}-area, {self.labels} labels"

    def split(self, name: str, *, missing: Missing = "error") -> PairSplit:
        """See `PairDataset.split`."""
        if name not in self.splits:
            raise TiercelError(f"VIGOR has no split '{name}': use {' or '.join(self.splits)}.")
        cities, list_name = AREAS[self.area][name]
        gallery: list[Reference] = []
        queries: list[PairQuery] = []
        for city in cities:
            tiles = self._tiles(city)
            number = {tile.file.name: len(gallery) + index for index, tile in enumerate(tiles)}
            gallery += tiles
            path = self._label_list(city, list_name)
            queries += [self._query(city, label, number, path, line) for line, label in self._labels(path)]
        return settled(PairSplit(name, tuple(gallery), tuple(queries)), missing, self.folder)

    def check(self) -> Checked:
        """All four cities, whichever the area; see `PairDataset.check`."""
        listing = Listing()
        steps = [
            (lambda city=city, kind=kind: kind(city, listing))
            for city in CITIES
            for kind in (self._check_lists, self._check_tiles, self._check_panoramas)
        ]
        parts, problems = parts_of(*steps)
        return Checked("VIGOR", self.folder, parts, problems, tuple(self._notes()), SOURCE)

    @cached_property
    def _list_folder(self) -> Path:
        """The first folder of lists that is there; the published name where there is none."""
        names = LABEL_FOLDERS[self.labels]
        return self.folder / next((name for name in names if (self.folder / name).is_dir()), names[0])

    def _label_list(self, city: str, name: str) -> Path:
        folder = self._list_folder / city
        corrected = folder / f"{name}__corrected.txt"
        plain = folder / f"{name}.txt"
        return corrected if self.labels == "corrected" and not plain.is_file() else plain

    def _pictures(self, city: str, kind: str) -> Path:
        """Folder of the panoramas ("ground") or tiles ("satellite") of a city."""
        turned = self.folder / kind / city
        straight = self.folder / city / ("panorama" if kind == "ground" else kind)
        by_kind = turned.is_dir() or (not straight.is_dir() and (self.folder / kind).is_dir())
        return turned if by_kind else straight

    def _tiles(self, city: str) -> list[Reference]:
        path = self._list_folder / city / TILE_LIST
        names = [line.strip() for line in read_lines(path, _REMEDY)]
        once(names, path, "tile")
        folder = self._pictures(city, "satellite")
        return [_tile(city, folder, name, f"{path}, line {line}") for line, name in enumerate(names, 1)]

    def _labels(self, path: Path) -> Iterator[tuple[int, Label]]:
        labels = [_label(line, f"{path}, line {number}") for number, line in enumerate(read_lines(path, _REMEDY), 1)]
        once((label.panorama for label in labels), path, "panorama")
        return enumerate(labels, 1)

    def _query(self, city: str, label: Label, number: dict[str, int], path: Path, line: int) -> PairQuery:
        unknown = [tile for tile in label.tiles if tile not in number]
        if unknown:
            raise TiercelError(
                f"{path}, line {line}: {TILE_LIST} of {city} does not list the tile {unknown[0]}; copy both again."
            )
        positive, *others = (number[tile] for tile in label.tiles)
        return PairQuery(
            name=f"{city}/{label.panorama}", file=self._pictures(city, "ground") / label.panorama,
            latitude=label.latitude, longitude=label.longitude, heading=_HEADING, field_of_view=360.0, panorama=True,
            positive=positive, semi_positives=tuple(others), places=label.places,
        )  # fmt: skip

    def _check_lists(self, city: str, listing: Listing) -> list[Part]:
        lists = [self._label_list(city, name) for name in LABEL_LISTS]
        return [listing.part(f"lists of {city}", [self._list_folder / city / TILE_LIST, *lists], self.folder)]

    def _check_tiles(self, city: str, listing: Listing) -> list[Part]:
        if not (self._list_folder / city / TILE_LIST).is_file():  # said already
            return []
        files = (tile.file for tile in self._tiles(city))
        return [listing.part(f"tiles of {city}", files, self.folder)]

    def _check_panoramas(self, city: str, listing: Listing) -> list[Part]:
        folder = self._pictures(city, "ground")
        names: dict[str, None] = {}
        for name in LABEL_LISTS:
            path = self._label_list(city, name)
            if path.is_file():
                names |= {label.panorama: None for _, label in self._labels(path)}
        return [listing.part(f"panoramas of {city}", (folder / name for name in names), self.folder)] if names else []

    def _notes(self) -> Iterable[str]:
        """Which labels there are, and how far the ones in use are from the positions in the names."""
        yield f"There are {' and '.join(labels_in(self.folder)) or 'no'} labels."
        apart: dict[str, float] = {}
        for city in CITIES:
            try:
                labels = [label for _, label in self._labels(self._label_list(city, LABEL_LISTS[2]))]
            except TiercelError:
                continue
            if labels:
                apart[city] = float(np.median(label_errors_m(labels)))
        if apart:
            medians = ", ".join(f"{metres:.1f} m in {city}" for city, metres in apart.items())
            yield f"In the median the {self.labels} labels are off the positions in the names of files by {medians}."


def labels_in(folder: Path) -> list[str]:
    """Which labels a folder has, of "original" and "corrected"."""
    return [kind for kind, names in LABEL_FOLDERS.items() if any((folder / name).is_dir() for name in names)]


def label_errors_m(labels: Sequence[Label]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How far labels are from the positions in the names of the files, in each photo's positive, metres.

    Args:
        labels: (n) at least one.

    Returns:
        (n,) metres on the ground.
    """
    middle = labels[0].latitude
    tiles = np.array([position_of_tile(label.tiles[0]) for label in labels])
    x, y = plane([label.latitude for label in labels], [label.longitude for label in labels], middle)
    tile_x, tile_y = plane(tiles[:, 0], tiles[:, 1], middle)
    places = np.array([label.places[0] for label in labels]) * metres_per_pixel(middle, ZOOM)
    return np.hypot(x - tile_x - places[:, 1], tile_y - y - places[:, 0])


def tile_side_m(latitude: float) -> float:
    """Ground side of a tile: 640 pixels of a web map at zoom 20.

    That is 0.1131 m a pixel in New York, 0.1007 in Seattle, 0.1180 in San Francisco and 0.1112 in Chicago. The numbers
    that CCVPE and SliceMatch measure with (0.113248, 0.100817, 0.118141 and 0.111262) are a thousandth larger.

    Args:
        latitude: Of its centre, degrees.
    """
    return TILE_PIXELS * metres_per_pixel(latitude, ZOOM)


def position_of_tile(name: str) -> tuple[float, float]:
    """Latitude and longitude of a tile's centre, by its name.

    Raises:
        ValueError: The name tells none.
    """
    stem = name.rpartition(".")[0]
    _, latitude, longitude = stem.rsplit("_", 2)
    return _checked(latitude, longitude)


def position_of_panorama(name: str) -> tuple[float, float]:
    """Latitude and longitude of a camera, by its panorama's name.

    Raises:
        ValueError: The name tells none.
    """
    _, latitude, longitude, _ = name.rsplit(",", 3)
    return _checked(latitude, longitude)


def _checked(latitude: str, longitude: str) -> tuple[float, float]:
    position = float(latitude), float(longitude)
    if not (abs(position[0]) <= 90 and abs(position[1]) <= 180):
        raise ValueError("not in degrees")
    return position


def _tile(city: str, folder: Path, name: str, where: str) -> Reference:
    try:
        latitude, longitude = position_of_tile(name)
    except ValueError:
        raise TiercelError(
            f"{where}: '{name}' is no name of a tile, such as satellite_41.85_-87.68.png; copy the list again."
        ) from None
    return Reference(f"{city}/{name}", folder / name, latitude, longitude, tile_side_m(latitude))


def _label(line: str, where: str) -> Label:
    fields = line.split()
    if len(fields) != _FIELDS:
        raise TiercelError(
            f"{where}: there are {len(fields)} fields and not {_FIELDS} (a panorama, then four times a tile, dlat and "
            "dlon); copy the list again."
        )
    try:
        latitude, longitude = position_of_panorama(fields[0])
        places = tuple((float(fields[i + 1]), -float(fields[i + 2])) for i in range(1, _FIELDS, 3))
        if not all(math.isfinite(value) for place in places for value in place):
            raise ValueError("not finite")
        tiles = tuple(fields[1::3])
        for tile in tiles:
            position_of_tile(tile)
    except ValueError:
        raise TiercelError(
            f"{where}: '{line.strip()[:60]}...' is no line of labels (<id>,<latitude>,<longitude>,.jpg, then four "
            "times satellite_<latitude>_<longitude>.png, dlat and dlon); copy the list again."
        ) from None
    return Label(fields[0], latitude, longitude, tiles, places)
