"""CVUSA, the subset with panoramas (Workman et al., ICCV 2015; Zhai et al., CVPR 2017): one tile for each panorama.

A folder (`CVPR_subset` of the distribution) holds

* `splits/train-19zl.csv` and `splits/val-19zl.csv`, 35,532 and 8,884 rows without a heading, each an overhead
  picture, a panorama and an annotation, as "bingmap/19/0000001.jpg,streetview/panos/0000001.jpg,
  streetview/annotations/0000001.png";
* the pictures: tiles of 750 pixels, panoramas of 1232 x 224, which show the part around the horizon of the whole
  circle;
* `split_locations/all.csv` (or `all.csv`), where it was copied too: row n holds the latitude and longitude of the
  tile and then of the panorama of number n (read as `calc_distance_cvusa.py` of Sample4Geo does).

Annotations are not used and may be missing. Every panorama was taken in the middle of its tile and has north in its
middle column (the polar transform of SAFA's `data_preparation.py` maps a tile's upper edge there). No file says how
much ground a tile shows, so `side_m` stays unknown.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tiercel.datasets.pairs.files import Listing, once, parts_of, read_lines, settled
from tiercel.datasets.pairs.pairs import Checked, Missing, PairQuery, PairSplit, Part, Reference
from tiercel.errors import TiercelError

LISTS = {"train": "splits/train-19zl.csv", "val": "splits/val-19zl.csv"}
LOCATIONS = ("split_locations/all.csv", "all.csv")
SOURCE = (
    "Ask for it at mvrl.cse.wustl.edu/datasets/cvusa: the pictures and splits are in its folder CVPR_subset, which the "
    "authors of CVM-Net and SAFA used as well."
)

_HEADING = 0.0
_REMEDY = "copy the folder splits of CVUSA's CVPR_subset there"

Position = tuple[float, float]


class Cvusa:
    """CVUSA, opened with `open_pairs`; the gallery of a split are its own tiles, as in the published protocol.

    Attributes:
        folder: Where it lies.
        name: "CVUSA".
        splits: "train" and "val".
    """

    name = "CVUSA"
    splits = ("train", "val")

    def __init__(self, folder: Path) -> None:
        """Notes the folder; reads nothing."""
        self.folder = folder

    def split(self, name: str, *, missing: Missing = "error") -> PairSplit:
        """See `PairDataset.split`."""
        if name not in self.splits:
            raise TiercelError(f"CVUSA has no split '{name}': use {' or '.join(self.splits)}.")
        path = self.folder / LISTS[name]
        gallery: list[Reference] = []
        queries: list[PairQuery] = []
        for index, (tile, panorama) in enumerate(self._rows(path)):
            above, below = self._positions_of(tile, f"{path}, line {index + 1}")
            gallery.append(Reference(Path(tile).stem, self.folder / tile, *above))
            queries.append(PairQuery(
                name=Path(panorama).stem, file=self.folder / panorama, latitude=below[0], longitude=below[1],
                heading=_HEADING, field_of_view=360.0, panorama=True, positive=index,
            ))  # fmt: skip
        return settled(PairSplit(name, tuple(gallery), tuple(queries)), missing, self.folder)

    def check(self) -> Checked:
        """See `PairDataset.check`."""
        listing = Listing()
        parts, problems = parts_of(*((lambda split=split: self._check_split(split, listing)) for split in self.splits))
        notes = [] if self._locations_file else [f"There are no positions: {LOCATIONS[0]} was not copied."]
        return Checked("CVUSA", self.folder, parts, problems, tuple(notes), SOURCE)

    def _check_split(self, split: str, listing: Listing) -> Iterator[Part]:
        path = self.folder / LISTS[split]
        yield listing.part(f"list of split {split}", [path], self.folder)
        if not path.is_file():
            return
        rows = self._rows(path)
        for kind, column in (("tiles", 0), ("panoramas", 1)):
            yield listing.part(f"{kind} of split {split}", (self.folder / row[column] for row in rows), self.folder)

    def _rows(self, path: Path) -> list[tuple[str, str]]:
        """Tile and panorama of every row."""
        rows = [_row(line, f"{path}, line {number}") for number, line in enumerate(read_lines(path, _REMEDY), 1)]
        for column, what in enumerate(("tile", "panorama")):
            once((Path(row[column]).stem for row in rows), path, what)
        return rows

    @cached_property
    def _locations_file(self) -> Path | None:
        return next((self.folder / name for name in LOCATIONS if (self.folder / name).is_file()), None)

    @cached_property
    def _locations(self) -> list[tuple[Position, Position]]:
        """Positions of the tile and the panorama of every number, the first being number 1."""
        path = self._locations_file
        if path is None:
            return []
        lines = read_lines(path, "copy it again")
        return [_location(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]

    def _positions_of(self, tile: str, where: str) -> tuple[Position | tuple[None, None], Position | tuple[None, None]]:
        if self._locations_file is None:
            return (None, None), (None, None)
        stem = Path(tile).stem
        if not stem.isdecimal() or not 1 <= int(stem) <= len(self._locations):
            raise TiercelError(
                f"{where}: {self._locations_file} has {len(self._locations):,} rows and none for {tile}; copy it "
                "again, or delete it to do without positions."
            )
        return self._locations[int(stem) - 1]


def _row(line: str, where: str) -> tuple[str, str]:
    (fields,) = csv.reader([line])
    names = [field.strip() for field in fields[:2]]
    if len(names) < 2 or not all(names) or any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
        raise TiercelError(
            f"{where}: '{line[:60]}' is not an overhead picture and a panorama, as in "
            "bingmap/19/0000001.jpg,streetview/panos/0000001.jpg; copy the list again."
        )
    return names[0], names[1]


def _location(line: str, where: str) -> tuple[Position, Position]:
    try:
        numbers = [float(field) for field in line.split(",")[:4]]
        above, below = (numbers[0], numbers[1]), (numbers[2], numbers[3])
        if not all(abs(latitude) <= 90 and abs(longitude) <= 180 for latitude, longitude in (above, below)):
            raise ValueError("not in degrees")
    except (ValueError, IndexError):
        raise TiercelError(
            f"{where}: '{line[:60]}' is not the latitude and longitude of a tile and of a panorama; copy it again."
        ) from None
    return above, below
