"""A plain pair of folders: photos in one, tiles in the other, with or without coordinates.

`photos/` and `tiles/` hold JPEG, PNG, WebP or TIFF files. Two tables may stand beside them (first row: names of the
columns; empty cells: not known):

* `pairs.csv`, a row for each photo: `photo` (its path below `photos/`); `tile` (below `tiles/`); `latitude`,
  `longitude`; `heading`, `field_of_view` (degrees); `panorama` (true or false); `split`, any name; and, for the tile
  it names, `tile_latitude`, `tile_longitude` and `tile_side_m`. Only what it lists is taken;
* `tiles.csv`, a row for each tile that should have coordinates: `tile`, `latitude`, `longitude` and `side_m`.

What no table says is read from the photos' own EXIF and XMP. A photo's tile is the one its row names; else the one of
the same name but for the ending; else the one whose centre is nearest, where photos and tiles have coordinates. Tiles
whose side is known and that show a photo's place are its semi-positives. The gallery of every split are all tiles.
Without a column `split` all photos are in one split, called "all".
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from tiercel.datasets.pairs.files import Listing, lacking, parts_of, settled
from tiercel.datasets.pairs.near import near, nearest, plane
from tiercel.datasets.pairs.pairs import Checked, Missing, PairQuery, PairSplit, Part, Reference
from tiercel.errors import TiercelError
from tiercel.photos import Photo

PHOTOS, TILES = "photos", "tiles"
TABLE, TILE_TABLE = "pairs.csv", "tiles.csv"
WHOLE = "all"
"""The split of photos that no table assigns to one."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": None}
_SIDE = 100_000.0  # metres that a tile may show at most

Cells = Mapping[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class _Listed:
    """A photo and what a table says of it.

    Attributes:
        name: Its path below the folder of photos.
        where: Table and line, or the photo, for messages.
        split: Of the photo.
        tile: The tile its row names, None without.
        latitude: Degrees, None without.
        longitude: Degrees.
        heading: Degrees.
        field_of_view: Degrees.
        panorama: None where not said.
    """

    name: str
    where: str
    split: str = WHOLE
    tile: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    heading: float | None = None
    field_of_view: float | None = None
    panorama: bool | None = None


class Folders:
    """A pair of folders, opened with `open_pairs`, or from any two folders.

    Attributes:
        photos: The folder of photos.
        tiles: The folder of tiles.
        table: `pairs.csv`, whether it is there or not.
        tile_table: `tiles.csv`, likewise.
    """

    def __init__(
        self,
        photos: str | Path,
        tiles: str | Path,
        table: str | Path | None = None,
        tile_table: str | Path | None = None,
    ) -> None:
        """Notes the folders; reads nothing.

        Args:
            photos: The folder of photos.
            tiles: The folder of tiles.
            table: A table of pairs; by default `pairs.csv` beside the folder of photos.
            tile_table: A table of tiles; by default `tiles.csv` beside the folder of tiles.
        """
        self.photos, self.tiles = Path(photos), Path(tiles)
        self.table = Path(table) if table else self.photos.parent / TABLE
        self.tile_table = Path(tile_table) if tile_table else self.tiles.parent / TILE_TABLE

    @property
    def name(self) -> str:
        """The name of the folder that holds the photos' folder."""
        return self.folder.resolve().name

    @property
    def folder(self) -> Path:
        """The folder that holds the photos' folder."""
        return self.photos.parent

    @property
    def splits(self) -> tuple[str, ...]:
        """The names in the column `split`, in the order of their appearance; ("all",) without it."""
        return tuple(dict.fromkeys(listed.split for listed in self._listed()))

    def split(self, name: str, *, missing: Missing = "error") -> PairSplit:
        """See `PairDataset.split`.

        Photos are opened for their metadata where no table says all there is to know; their pixels are not read.

        Raises:
            TiercelError: As there, or a photo has no tile or cannot be read.
        """
        everything = self._listed()
        listed = [one for one in everything if one.split == name]
        if not listed:
            known = ", ".join(dict.fromkeys(one.split for one in everything)) or "none"
            raise TiercelError(f"{self.folder} has no split '{name}': it has {known}.")
        gallery, listing = self._gallery(everything), Listing()
        there = [one for one in listed if listing.has(self.photos / one.name)]
        absent = [self.photos / one.name for one in listed if not listing.has(self.photos / one.name)]
        if absent and (missing == "error" or not there):
            raise lacking(name, absent, len(listed) + len(gallery), self._common)
        described = [self._described(one) for one in there]
        split = PairSplit(name, tuple(gallery), tuple(self._paired(described, gallery)))
        split = settled(split, missing, self._common)
        return replace(split, queries_left_out=split.queries_left_out + len(absent))

    def check(self) -> Checked:
        """See `PairDataset.check`; opens the photos that no table describes, for their metadata."""
        listing = Listing()
        counts, problems = parts_of(
            lambda: [listing.part("photos", (self.photos / one.name for one in self._listed()), self._common)],
            lambda: [listing.part("tiles", (tile.file for tile in self._gallery(self._listed())), self._common)],
        )
        wrong = list(problems)
        if not wrong:
            _, problems = parts_of(*(partial(self._try, name) for name in self.splits))
            wrong += problems
        notes = [] if self.table.is_file() else [f"There is no {self.table.name}: pairs go by equal names or by EXIF."]
        return Checked("a pair of folders", self.folder, counts, tuple(wrong), tuple(notes), "It is your own.")

    def _try(self, name: str) -> list[Part]:
        """Pairs the photos of a split that are there; what is missing is counted elsewhere."""
        self.split(name, missing="skip")
        return []

    @property
    def _common(self) -> Path:
        """The folder that names are told from."""
        photos, tiles = self.photos.resolve(), self.tiles.resolve()
        same = self.photos.parent == self.tiles.parent
        return self.photos.parent if same else Path(*_shared(photos.parts, tiles.parts))

    def _listed(self) -> list[_Listed]:
        """All photos, of the table or of the folder."""
        if not self.table.is_file():
            names = _pictures(self.photos, "photos")
            return [_Listed(name, str(self.photos / name)) for name in names]
        listed = _rows(self.table, ("photo",), _listed)
        _once([one.name for one in listed], self.table, "photo")
        return listed

    def _gallery(self, listed: Sequence[_Listed]) -> list[Reference]:
        """All tiles of the folder and of the tables, with what the tables say of them."""
        names = dict.fromkeys(_pictures(self.tiles, "tiles"))
        names |= dict.fromkeys(one.tile for one in listed if one.tile is not None)
        told: dict[str, Reference] = {}
        if self.table.is_file():
            for tile in _rows(self.table, ("photo",), lambda cells, where: _tile(cells, where, "tile_")):
                if tile is not None:
                    _agree(told.setdefault(tile.name, tile), tile, self.table)
        if self.tile_table.is_file():
            rows = [
                tile for tile in _rows(self.tile_table, ("tile",), lambda cells, where: _tile(cells, where, "")) if tile
            ]
            _once([tile.name for tile in rows], self.tile_table, "tile")
            told |= {tile.name: tile for tile in rows}
            names |= dict.fromkeys(told)
        return [replace(told.get(name, Reference(name, Path())), file=self.tiles / name) for name in names]

    def _described(self, one: _Listed) -> _Listed:
        """With what the photo itself says where no table does."""
        if one.panorama is not None and None not in (one.latitude, one.heading, one.field_of_view):
            return one
        photo = Photo.open(
            self.photos / one.name, heading=one.heading, field_of_view=one.field_of_view, panorama=one.panorama,
            pixels=False,
        )  # fmt: skip
        position = photo.position if one.latitude is None else None
        return replace(
            one,
            latitude=position.latitude if position else one.latitude,
            longitude=position.longitude if position else one.longitude,
            heading=photo.heading.value if photo.heading else None,
            field_of_view=photo.field_of_view.value,
            panorama=photo.panorama,
        )

    def _paired(self, listed: Sequence[_Listed], gallery: Sequence[Reference]) -> list[PairQuery]:
        """Every photo with its tile and the tiles around."""
        number = {tile.name: index for index, tile in enumerate(gallery)}
        stems: dict[str, list[int]] = {}
        for index, tile in enumerate(gallery):
            stems.setdefault(str(Path(tile.name).with_suffix("")), []).append(index)
        named: list[int | None] = []
        for one in listed:
            same = stems.get(str(Path(one.name).with_suffix("")), [])
            if one.tile is None and len(same) > 1:
                raise TiercelError(
                    f"{one.where}: there are {len(same)} tiles of its name; keep one, or name it in {TABLE}."
                )
            named.append(number[one.tile] if one.tile is not None else same[0] if same else None)
        positives = self._by_place(listed, gallery, named)
        around = _covering(listed, gallery)
        return [
            replace(_query(self.photos / one.name, one, positive),
                    semi_positives=tuple(index for index in around[place] if index != positive))
            for place, (one, positive) in enumerate(zip(listed, positives, strict=True))
        ]  # fmt: skip

    def _by_place(
        self, listed: Sequence[_Listed], gallery: Sequence[Reference], named: Sequence[int | None]
    ) -> list[int]:
        """The tiles of all photos: of those without, the nearest one."""
        lost = [place for place, tile in enumerate(named) if tile is None]
        tiles = [index for index, tile in enumerate(gallery) if tile.latitude is not None]
        for place in lost:
            if listed[place].latitude is None or not tiles:
                lacking = "it has no position" if listed[place].latitude is None else "no tile has one"
                raise TiercelError(
                    f"{listed[place].where}: no tile is named or has the name of {listed[place].name}, and {lacking}; "
                    f"name its tile in {self.table}, or give both coordinates."
                )
        if not lost:
            return [tile for tile in named if tile is not None]
        (x, y), (to_x, to_y) = _planes([listed[place] for place in lost], [gallery[index] for index in tiles])
        found = {place: tiles[index] for place, index in zip(lost, nearest(x, y, to_x, to_y).tolist(), strict=True)}
        return [found[place] if tile is None else tile for place, tile in enumerate(named)]


def _query(file: Path, one: _Listed, positive: int) -> PairQuery:
    return PairQuery(
        name=one.name, file=file, latitude=one.latitude, longitude=one.longitude, heading=one.heading,
        field_of_view=one.field_of_view or 0.0, panorama=bool(one.panorama), positive=positive,
    )  # fmt: skip


def _planes(
    photos: Sequence[_Listed], tiles: Sequence[Reference]
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Places in metres of photos and tiles that all have coordinates."""
    here = np.array([(one.latitude, one.longitude) for one in photos], np.float64).reshape(-1, 2)
    there = np.array([(one.latitude, one.longitude) for one in tiles], np.float64).reshape(-1, 2)
    middle = float(np.median(there[:, 0]))
    return plane(here[:, 0], here[:, 1], middle), plane(there[:, 0], there[:, 1], middle)


def _covering(listed: Sequence[_Listed], gallery: Sequence[Reference]) -> list[tuple[int, ...]]:
    """For every photo the tiles whose side is known and that show its place."""
    around: list[tuple[int, ...]] = [()] * len(listed)
    places = [place for place, one in enumerate(listed) if one.latitude is not None]
    tiles = [index for index, tile in enumerate(gallery) if tile.latitude is not None and tile.side_m is not None]
    if not places or not tiles:
        return around
    (x, y), (to_x, to_y) = _planes([listed[place] for place in places], [gallery[index] for index in tiles])
    half = np.array([gallery[index].side_m for index in tiles], np.float64) / 2
    for row, (place, found) in enumerate(zip(places, near(x, y, to_x, to_y, float(half.max())), strict=True)):
        shown = np.maximum(np.abs(to_x[found] - x[row]), np.abs(to_y[found] - y[row])) <= half[found]
        around[place] = tuple(tiles[index] for index in found[shown].tolist())
    return around


def _pictures(folder: Path, what: str) -> list[str]:
    """Paths of the pictures in a folder and in all folders in it."""
    if not folder.is_dir():
        raise TiercelError(f"{folder} is no folder: put the {what} there.")
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    names = sorted(path.as_posix() for path in files if not any(part.startswith(".") for part in path.parts))
    if not names:
        raise TiercelError(f"{folder} holds no {what} ({', '.join(SUFFIXES)}): put them there.")
    return names


def _shared(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """The common beginning of two paths."""
    shared = []
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared.append(one)
    return shared


def _rows(table: Path, needed: Sequence[str], read: Callable[[Cells, str], T]) -> list[T]:
    """The rows of a table, each read with its place for messages."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            lacking = [column for column in needed if column not in (reader.fieldnames or ())]
            if lacking:
                raise TiercelError(f"{table} has no column {lacking[0]}; name the columns in its first row.")
            return [
                read({name: (value or "").strip() for name, value in row.items() if isinstance(name, str)},
                     f"{table}, line {reader.line_num}")
                for row in reader
            ]  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TiercelError(f"{table} cannot be read as a table ({error}); save it as CSV in UTF-8.") from error


def _once(names: Sequence[str], table: Path, what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TiercelError(f"{table} lists the {what} {name} twice: delete one row.")
        seen.add(name)


def _listed(cells: Cells, where: str) -> _Listed:
    said = cells.get("panorama", "").lower()
    if said not in _TRUTH:
        raise TiercelError(f"{where}: panorama is '{said}'; write true or false, or leave it empty.")
    latitude, longitude = _position(cells, where, "")
    return _Listed(
        name=_name(cells, "photo", where) or "", where=where, split=cells.get("split") or WHOLE,
        tile=_name(cells, "tile", where, may_lack=True), latitude=latitude, longitude=longitude,
        heading=_number(cells, where, "heading", -360, 360),
        field_of_view=_number(cells, where, "field_of_view", 1, 360), panorama=_TRUTH[said],
    )  # fmt: skip


def _tile(cells: Cells, where: str, prefix: str) -> Reference | None:
    """The tile of a row and its coordinates; None where the row names none."""
    name = _name(cells, "tile", where, may_lack=bool(prefix))
    latitude, longitude = _position(cells, where, prefix)
    side = _number(cells, where, f"{prefix}side_m", 0.001, _SIDE)
    if name is None:
        return None
    return Reference(name, Path(), latitude, longitude, side)


def _agree(first: Reference, second: Reference, table: Path) -> None:
    if (first.latitude, first.longitude, first.side_m) != (second.latitude, second.longitude, second.side_m):
        raise TiercelError(f"{table} gives the tile {first.name} two places or sides: make its rows alike.")


def _name(cells: Cells, column: str, where: str, may_lack: bool = False) -> str | None:
    name = cells.get(column, "")
    if not name and may_lack:
        return None
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise TiercelError(f"{where}: {column} is '{name}'; write a path below its folder.")
    return Path(name).as_posix()


def _position(cells: Cells, where: str, prefix: str) -> tuple[float | None, float | None]:
    latitude = _number(cells, where, f"{prefix}latitude", -90, 90)
    longitude = _number(cells, where, f"{prefix}longitude", -180, 180)
    if (latitude is None) != (longitude is None):
        raise TiercelError(
            f"{where}: only one of {prefix}latitude and {prefix}longitude is given; give both or neither."
        )
    return latitude, longitude


def _number(cells: Cells, where: str, name: str, least: float, most: float) -> float | None:
    text = cells.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise TiercelError(f"{where}: {name} is '{text}' and not a number from {least:g} to {most:g}; mend it.")
    return value
