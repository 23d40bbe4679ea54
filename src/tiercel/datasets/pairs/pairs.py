"""What the data sets of pairs have in common: photos, the overhead tiles of a gallery, and which belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Missing = Literal["error", "skip"]
"""What to do about files that are listed and absent."""

Place = tuple[float, float]
"""Pixels below and to the right of a tile's centre."""


@dataclass(frozen=True)
class Reference:
    """An overhead tile of a gallery, north up.

    Attributes:
        name: Its name, unique within the gallery.
        file: The picture; opened by nobody until its pixels are wanted.
        latitude: Of the centre, degrees, WGS84; None where the data set does not say.
        longitude: Degrees.
        side_m: Side of the ground it shows, metres; None where the data set does not say.
    """

    name: str
    file: Path
    latitude: float | None = None
    longitude: float | None = None
    side_m: float | None = None


@dataclass(frozen=True)
class PairQuery:
    """A photo and the tiles it belongs to.

    Attributes:
        name: Its name, unique within the split.
        file: The photo.
        latitude: Of the camera, degrees, WGS84; None where the data set does not say.
        longitude: Degrees.
        heading: Azimuth of the centre column, degrees clockwise from true north; None where unknown.
        field_of_view: Horizontal, degrees.
        panorama: Whether it is a panorama rather than a perspective photo.
        positive: Index of its tile in the gallery.
        semi_positives: Indices of other tiles that show the place; neither right nor wrong, or right as well where
            `PairSplit.right_within_m` says so.
        places: Where labels put the camera in the positive and then in each semi-positive, in pixels of the published
            size of tiles; () where the data set has no such labels.
    """

    name: str
    file: Path
    latitude: float | None
    longitude: float | None
    heading: float | None
    field_of_view: float
    panorama: bool
    positive: int
    semi_positives: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class PairSplit:
    """A gallery and the photos that are looked for in it.

    Attributes:
        name: Such as "train", "val" or "test".
        gallery: All tiles that are searched, not only those of the photos.
        queries: The photos.
        right_within_m: Where the data set's own protocol counts every tile within so many metres of the photo as
            right, that distance; these tiles are the semi-positives.
        queries_left_out: How many photos are listed beyond these and were left out because files are missing.
        tiles_left_out: How many tiles, likewise.
    """

    name: str
    gallery: tuple[Reference, ...]
    queries: tuple[PairQuery, ...]
    right_within_m: float | None = None
    queries_left_out: int = 0
    tiles_left_out: int = 0


@dataclass(frozen=True)
class Part:
    """One kind of file of a data set.

    Attributes:
        what: In words, such as "tiles of Chicago".
        there: How many of them are there.
        missing: How many are listed and are not there.
        first: Names of the first few of the missing.
    """

    what: str
    there: int
    missing: int = 0
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """What a data set has and lacks.

    Attributes:
        layout: What it was recognised as, in words, such as "VIGOR".
        folder: Where it lies.
        parts: Its files, kind by kind.
        problems: Whatever else is wrong, a sentence each.
        notes: What is worth knowing and not wrong, a sentence each.
        source: Where the data set is to be had.
    """

    layout: str
    folder: Path
    parts: tuple[Part, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing and nothing is wrong."""
        return not self.problems and not any(part.missing for part in self.parts)


class PairDataset(Protocol):
    """A data set of pairs; no picture is opened before its pixels are wanted."""

    @property
    def name(self) -> str:
        """What it is, such as "VIGOR, cross-area, original labels"."""
        ...

    @property
    def folder(self) -> Path:
        """Where it lies."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of its splits."""
        ...

    def split(self, name: str, *, missing: Missing = "error") -> PairSplit:
        """A gallery and its queries.

        Args:
            name: One of `splits`.
            missing: What to do about files that are listed and absent: "error", or "skip" to leave out the tiles that
                are absent, the photos that are absent, and the photos whose own tile is; the split counts them.

        Raises:
            TiercelError: There is no such split, its lists cannot be read, or files are missing.
        """
        ...

    def check(self) -> Checked:
        """What is there, what is missing, and where it is to be had; opens no picture and raises nothing."""
        ...
