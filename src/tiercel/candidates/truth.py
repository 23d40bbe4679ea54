"""Where photos were taken, told beside them: it judges candidates and has no part in finding them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tiercel.candidates.files import absolute
from tiercel.candidates.lists import CORRECT_M, Candidate, CandidateList
from tiercel.candidates.matching import FileIndex
from tiercel.errors import TiercelError
from tiercel.geo.sphere import haversine_m
from tiercel.photos import Photo, Position

if TYPE_CHECKING:
    from tiercel.atlas import Atlas

EXIF = "EXIF GPS"


class Truth(Protocol):
    """Says where photos were taken."""

    @property
    def source(self) -> str:
        """As in `Position.source`."""

    def of(self, photo: Photo) -> Position | None:
        """Where a photo was taken, None if that is not known."""


class ExifTruth:
    """What the photos themselves say."""

    source = EXIF

    def of(self, photo: Photo) -> Position | None:
        """The photo's own GPS position."""
        return photo.position


class TableTruth:
    """What a CSV file says; columns image (or file), latitude and longitude.

    A row speaks of the photo that it names from the table's folder, or else of the only one whose path ends in that
    name.

    Args:
        table: The CSV file, or the folder of a data set with a `photos.csv` in it.
        queries: The photos that it is to be asked for.

    Raises:
        TiercelError: The table cannot be read, a row of one of the photos cannot be used, or it has none of them.
    """

    def __init__(self, table: str | Path, queries: Sequence[Path]) -> None:
        """Reads the table."""
        from tiercel.datasets.curation.sources import TABLE_FILE, list_photos

        table = Path(table)
        table = table / TABLE_FILE if table.is_dir() else table
        self.source = table.name
        index = FileIndex([absolute(query) for query in queries])
        self._places: dict[Path, Position] = {}
        for row in list_photos(None, table):
            number = index.ending_in(absolute(row.file))
            number = index.ending_in(Path(row.name)) if number is None else number
            if number is None:
                continue
            if row.trouble:
                raise TiercelError(row.trouble)
            if row.latitude is not None and row.longitude is not None:
                place = Position(row.latitude, row.longitude, self.source)
                if self._places.setdefault(absolute(queries[number]), place) != place:
                    raise TiercelError(f"{table} has two places for {queries[number]}: keep one of the rows.")
        if queries and not self._places:
            raise TiercelError(f"{table} has no place for any of the photos: name them as their paths from its folder.")

    def of(self, photo: Photo) -> Position | None:
        """The place of the photo's row."""
        return None if photo.path is None else self._places.get(absolute(photo.path))


def judged(one: CandidateList, truth: Position | None, atlas: Atlas) -> CandidateList:
    """A list with the distance of each of its candidates from the truth.

    Distances are measured in the map's frame, or on the sphere where the truth is off the map, far from which its frame
    knows no distances.

    Args:
        one: The list of a photo, its candidates with coordinates.
        truth: Where the photo was taken; None leaves the list as it is.
        atlas: The map.
    """
    if truth is None or one.failed:
        return one
    x, y = (float(value) for value in atlas.frame.from_wgs84(truth.latitude, truth.longitude))
    on_map = (x, y) if atlas.tree.root.contains(x, y) else None
    distances = [_distance(it, truth, on_map) for it in one.candidates]
    candidates = (
        replace(it, distance_m=distance, correct=None if distance is None else distance <= CORRECT_M)
        for it, distance in zip(one.candidates, distances, strict=True)
    )
    return replace(one, truth=truth, candidates=tuple(candidates))


def _distance(it: Candidate, truth: Position, on_map: tuple[float, float] | None) -> float | None:
    if on_map is not None and it.x is not None and it.y is not None:
        return math.hypot(it.x - on_map[0], it.y - on_map[1])
    if it.latitude is None or it.longitude is None:
        return None
    return float(haversine_m(truth.latitude, truth.longitude, it.latitude, it.longitude))
