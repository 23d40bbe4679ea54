"""What is handed on: a photo and its candidates, best first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiercel.photos import Position

CORRECT_M = 50.0
"""A candidate on a map is the right one where its centre is at most so far from the truth, metres."""

Cell = tuple[int, int, int] | int
"""(level, row, col) of a cell of the map's tree, or the number of a tile in its gallery."""


@dataclass(frozen=True)
class Candidate:
    """A place where the photo may have been taken. What is not known is None.

    Attributes:
        cell: (level, row, col) in the map's tree, or the number of a tile in its gallery.
        score: What it was ranked by; comparable within one list only.
        crop: Picture of the place from above, north up.
        crop_m: Side of the ground that the picture shows, metres.
        x: Easting of the centre in the map's frame, metres.
        y: Northing, metres.
        latitude: Of the centre, degrees, WGS84.
        longitude: Degrees, WGS84.
        side_m: Side of the cell, metres.
        distance_m: From the centre to where the photo was taken, metres.
        correct: Whether it is a right answer: at most `CORRECT_M` from the truth, or the query's positive in a
            benchmark of pairs.
        semi_positive: Whether a benchmark of pairs lists it as one that overlaps the positive.
        first_place: Its place in the first stage's order, 1 for the best, where judges have put the list in another.
    """

    cell: Cell | None = None
    score: float | None = None
    crop: Path | None = None
    crop_m: float | None = None
    x: float | None = None
    y: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    side_m: float | None = None
    distance_m: float | None = None
    correct: bool | None = None
    semi_positive: bool = False
    first_place: int | None = None


@dataclass(frozen=True)
class CandidateList:
    """A photo and where it may have been taken. What is not known is None.

    Attributes:
        query: The photo.
        candidates: Best first.
        truth: Where it was taken, and the source of that; it had no part in the ranking.
        positive: The right tile, in a benchmark of pairs; it need not be among the candidates.
        panorama: Whether the photo is an equirectangular panorama.
        field_of_view: Horizontal degrees.
        heading: Azimuth of its centre column, degrees clockwise from true north, if it was known.
        failed: Why the photo has no candidates, in one sentence; empty if it has.
    """

    query: Path
    candidates: tuple[Candidate, ...] = ()
    truth: Position | None = None
    positive: Path | None = None
    panorama: bool | None = None
    field_of_view: float | None = None
    heading: float | None = None
    failed: str = ""

    @property
    def judged(self) -> bool:
        """Whether it is known which candidates are right, or that none is."""
        known = self.truth is not None or self.positive is not None
        return not self.failed and (known or any(one.correct is not None for one in self.candidates))

    def correct_in(self, k: int) -> bool:
        """Whether a right answer is among the first k."""
        return any(one.correct for one in self.candidates[:k])


def recall(lists: Iterable[CandidateList], ks: Sequence[int]) -> dict[int, float]:
    """Share of the queries that have a right answer among their first k candidates.

    At the length of the lists this is the ceiling: no order of the candidates gets more queries right.

    Args:
        lists: Those whose truth is not known do not count.
        ks: How many candidates, each 1 or more.

    Returns:
        For each k a share, 0 to 1; nothing where no truth is known.
    """
    judged = [one for one in lists if one.judged]
    return {k: sum(one.correct_in(k) for one in judged) / len(judged) for k in ks} if judged else {}
